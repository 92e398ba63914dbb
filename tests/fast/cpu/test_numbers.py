"""minidl/fast/cpu/numbers.py: numbers as arrays without axes."""

from __future__ import annotations

import numpy as np
import pytest

from minidl.fast.cpu.numbers import DTYPES, ONE, ZERO


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_they_are_numbers_of_their_dtype_that_nobody_writes_to(dtype: np.dtype) -> None:
    for array, value in ((ZERO[dtype], 0), (ONE[dtype], 1)):
        assert (array.dtype, array.shape, float(array)) == (dtype, (), value)
        assert (np.ones(3, dtype) + array).dtype == dtype
        with pytest.raises(ValueError, match="read-only"):
            array[...] = 2
