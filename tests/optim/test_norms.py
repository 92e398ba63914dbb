"""The norm of gradients loses neither the smallest nor the largest."""

from __future__ import annotations

import math
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from minidl import backend
from minidl.optim.norms import l2_norm
from tests.arrays import device, host


def test_is_the_norm_over_all_arrays_together() -> None:
    rng = np.random.default_rng(0)
    arrays = [rng.standard_normal(shape) for shape in ((3, 4), (5,), ())]
    expected = np.linalg.norm(np.concatenate([a.ravel() for a in arrays]))
    assert host(l2_norm([device(a) for a in arrays])) == pytest.approx(expected, rel=1e-14)


@pytest.mark.parametrize(
    ("dtype", "value"),
    [
        ("float16", 6e-5),  # its square is 0 in float16
        ("float16", 6e4),  # and this one's is infinite
        ("float32", 1e-25),
        ("float32", 1e30),
        ("float64", 1e-200),
        ("float64", 1e200),
        ("float64", 5e-324),  # the smallest number there is
    ],
)
def test_no_square_is_lost(dtype: str, value: float) -> None:
    array = np.full((2, 2), value, dtype)
    assert host(l2_norm([device(array)])) == pytest.approx(2 * float(array[0, 0]), rel=1e-12, abs=0)
    assert host(l2_norm([device(array)] * 4)) == pytest.approx(4 * float(array[0, 0]), rel=1e-12, abs=0)


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
def test_zeros_infinity_and_nan_are_what_they_are(dtype: str) -> None:
    def norm(*values: float) -> Any:
        return host(l2_norm([device(np.array(values, dtype))]))

    assert norm(0, 0) == 0
    assert norm(1, -math.inf) == math.inf
    assert math.isnan(norm(1, math.nan))
    assert norm() == 0
    assert host(l2_norm([])) == 0


def test_does_not_wait_for_the_device(standin: ModuleType) -> None:
    arrays = [backend.to_device(np.ones(4, dtype), "cupy") for dtype in ("float16", "float32", "float64")]
    norm = l2_norm(arrays)
    assert standin.synchronizations() == ()
    assert float(norm) == pytest.approx(math.sqrt(12))


def test_a_nan_is_seen_beside_an_infinity():
    arrays = [device(np.array([value], np.float32)) for value in (np.inf, np.nan, 1.0)]
    assert np.isnan(host(l2_norm(arrays)))
    assert np.isnan(host(l2_norm(arrays[::-1])))
    many = [device(np.ones(1, np.float32)) for _ in range(250)]
    many[3], many[222] = arrays[:2]
    assert np.isnan(host(l2_norm(many)))
