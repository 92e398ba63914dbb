"""minidl/fast/gpu/kernels/draws.py: the kernels draw the numbers of `philox_uniform`, and dropout drops by them."""

from __future__ import annotations

from types import ModuleType

import numpy as np
import pytest

from minidl import backend
from minidl.backend.random import philox_uniform
from minidl.fast.gpu.kernels.draws import dropout, uniform
from tests.fast.gpu.kernels.agreement import dtypes, needs_compiler, numbers, on_device

pytestmark = [needs_compiler, pytest.mark.usefixtures("cupy")]


@pytest.mark.parametrize("shape", [(), (0,), (1,), (4,), (3, 5), (1001,)])
@pytest.mark.parametrize("seed", [0, 7, 2**31 - 1])
def test_the_kernel_draws_the_same(cupy: ModuleType, shape: tuple[int, ...], seed: int) -> None:
    expected = philox_uniform(shape, np, seed)
    found = backend.to_numpy(uniform(shape, cupy, seed))
    np.testing.assert_array_equal(found, expected, strict=True)
    live = on_device(np.array([float(seed)]))
    np.testing.assert_array_equal(backend.to_numpy(uniform(shape, cupy, 99, live)), expected)


@dtypes
@pytest.mark.parametrize("shape", [(), (0,), (1,), (4,), (3, 5), (1001,)])
@pytest.mark.parametrize("p", [0.1, 0.5, 1.0])
def test_dropout_drops_by_the_same_numbers(cupy: ModuleType, shape: tuple[int, ...], dtype: str, p: float) -> None:
    x = numbers(shape, dtype)
    keep = philox_uniform(shape, np, 5) >= p
    scale = keep.astype(dtype) * (1 / (1 - p) if p < 1 else 0)
    live = on_device(np.array([5.0]))
    for found in (dropout(on_device(x), p, 5), dropout(on_device(x), p, 99, live)):
        for ours, expected in zip(found, (x * scale, scale), strict=True):
            np.testing.assert_array_equal(backend.to_numpy(ours), expected, strict=True)


@dtypes
def test_dropout_of_any_layout(cupy: ModuleType, dtype: str) -> None:
    x = numbers((9, 7), dtype)
    for view in (lambda a: a.T, lambda a: a[1:, 1:], lambda a: a.reshape(-1)[1:]):
        z, scale = (backend.to_numpy(array) for array in dropout(view(on_device(x)), 0.3, 1))
        np.testing.assert_array_equal(z, view(x) * scale, strict=True)


def test_they_are_uniform(cupy: ModuleType) -> None:
    values = backend.to_numpy(uniform((100_000,), cupy, 3)).astype(np.float64)
    assert 0 <= values.min() < 1e-4
    assert 1 - 1e-4 < values.max() < 1
    assert values.mean() == pytest.approx(0.5, abs=0.005)
    assert values.var() == pytest.approx(1 / 12, abs=0.001)
    assert abs(np.corrcoef(values[:-1], values[1:])[0, 1]) < 0.02
    other = backend.to_numpy(uniform((100_000,), cupy, 4))
    assert abs(np.corrcoef(values, other)[0, 1]) < 0.02
