"""minidl/functional/precision.py."""

from __future__ import annotations

import numpy as np
import pytest

from minidl.functional import precision
from tests.arrays import device, host


def test_precision():
    half, single, whole = (device(np.ones(3, d)) for d in (np.float16, np.float32, np.uint8))
    assert precision.widened(half).dtype == np.float32
    assert precision.widened(single) is single
    assert precision.widened(whole).dtype == np.float64
    assert precision.narrowed(single, half).dtype == np.float16
    assert precision.narrowed(single, single) is single
    assert precision.add_up(half, (0,)).dtype == np.float16
    assert precision.add_up(whole, (0,)).dtype == np.ones(3, np.uint8).sum().dtype


@pytest.mark.parametrize(("dtype", "number"), [("float16", 5000), ("float32", 1_000_001), ("float64", 1_000_001)])
@pytest.mark.parametrize("axis", [None, (0,)])
def test_sums_lose_nothing(dtype, number, axis):
    """One after the other a million times 0.1 make 100,958 in float32, and 5000 times 1 make 2048 in float16."""
    value = 1 if dtype == "float16" else 0.1
    x = device(np.full((number, 1), value, dtype))
    total = host(precision.add_up(x, axis, keepdims=True))
    assert total.dtype == dtype
    np.testing.assert_allclose(total, [[number * value]], rtol=1e-6)
