"""minidl/fast/cpu/selection.py: bits cut by a mask are what `where` chooses."""

from __future__ import annotations

import numpy as np
import pytest

from minidl.fast.cpu.selection import zero_outside
from minidl.functional.masking import (
    masked,
)


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
def test_zero_outside_is_where(dtype):
    values = np.array([[1, 2, 3], [4, 5, 6]], dtype)
    mask = np.array([[True, False, True]])
    np.testing.assert_array_equal(zero_outside(mask, values), np.where(mask, values, 0), strict=True)
    special = np.array([np.nan, np.inf, -0.0, np.nan], dtype)
    mask = np.array([False, False, True, True])
    found = zero_outside(mask, special)
    np.testing.assert_array_equal(found, [0, 0, 0, np.nan])
    assert np.signbit(found[2])
    np.testing.assert_array_equal(zero_outside(mask, special[::-1]), [0, 0, np.inf, np.nan])
    assert zero_outside(np.array(True), np.array(2, dtype)) == 2


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64", "longdouble", "int32"])
def test_every_dtype_can_be_masked(dtype):
    values, mask = np.array([1, 0, 1], dtype), np.array([True, True, False])
    np.testing.assert_array_equal(masked(values, mask), np.array([1, 0, 0], dtype), strict=True)
