"""minidl/fast/cpu/probabilities.py: computed in place, softmax and its logarithm are bit for bit the plain ones."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import minidl as md
import minidl.functional as F
from minidl.fast.cpu import probabilities

ROWS = np.array(
    [
        [0.5, -1.0, 2.0],
        [1000.0, -1000.0, 999.0],
        [-np.inf, 0.0, 1.0],
        [np.inf, 0.0, -np.inf],
        [np.inf, np.inf, 5.0],
        [-np.inf, -np.inf, -np.inf],
        [np.nan, np.inf, 0.0],
    ]
)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("function", [F.softmax, F.log_softmax])
@pytest.mark.parametrize("axis", [0, 1])
def test_it_is_the_plain_op(function: Any, axis: int, dtype: str) -> None:
    values = ROWS.astype(dtype) if axis else ROWS.astype(dtype).T.copy()
    before, results = values.copy(), []
    with md.using("numpy"):
        for plain in (False, True):
            with md.plain() if plain else md.enable_grad():
                results.append(function(values, axis))
    np.testing.assert_array_equal(results[0], results[1], strict=True)
    np.testing.assert_array_equal(values, before)


def test_where_it_fits() -> None:
    op = probabilities.Softmax(-1)
    assert op.fits(np.ones((2, 3), np.float32))
    for other in (np.ones((2, 3), np.float16), np.ones((0, 3)), np.ones(()), np.ones(3, int)):
        assert not op.fits(other)
        assert F.softmax(other).shape == other.shape
