"""Local response normalisation: the kernels compute what the version for the CPU does, in one launch each way."""

from __future__ import annotations

from types import ModuleType
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import minidl as md
import minidl.functional as F
from minidl import backend
from minidl.fast import response as on_cpu
from minidl.fast.gpu import response as on_gpu
from tests.fast.gpu.kernels.agreement import assert_close, both, few, launched, needs_compiler, numbers, wide

pytestmark = [needs_compiler, pytest.mark.usefixtures("cupy")]


def there_and_back(size: int, alpha: float = 1.5, beta: float = 0.75, k: float = 1.0) -> Any:
    """A function of x and dL/dy that gives y, s and dL/dx."""

    def run(x: Any, grad: Any) -> Any:
        version = on_cpu if backend.device_of(x) == "numpy" else on_gpu
        op = version.LocalResponse(size, alpha, beta, k, within_channel=False)
        y = op.forward(x)
        return y, op.kept, op.backward(grad, x, y)

    return run


@few(60)
@given(
    shape=st.tuples(
        st.integers(1, 3), st.integers(1, 40), *[st.integers(1, 6)] * 2, st.integers(1, 2)
    ),  # more and fewer channels than a thread takes
    dtype=st.sampled_from(["float32", "float64"]),
    size=st.integers(1, 9),
    alpha=st.sampled_from([1e-4, 1.5]),
    beta=st.sampled_from([0.5, 0.75, 2.0]),
)
def test_kernel_and_plain_version_agree(
    cupy: ModuleType, shape: Any, dtype: str, size: int, alpha: float, beta: float
) -> None:
    results, expected = both(there_and_back(size, alpha, beta), numbers(shape, dtype), numbers(shape, dtype, 1))
    assert launched() in ((), ("respond", "respond_gradient"))
    for found, plain in zip(results, expected, strict=True):
        assert_close(found, plain)


@wide
def test_any_layout_and_more_places_than_threads(cupy: ModuleType, dtype: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("minidl.fast.gpu.kernels.launch.MOST_BLOCKS", 1)
    x, grad = numbers((23, 19, 20), dtype), numbers((20, 19, 23), dtype, 1)
    results, expected = both(lambda a, g: there_and_back(5)(a.T, g), x, grad)
    for found, plain in zip(results, expected, strict=True):
        assert_close(found, plain)


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_what_is_not_finite_reaches_its_neighbours_alone(cupy: ModuleType, value: float) -> None:
    x, grad = numbers((2, 20, 3), "float64"), numbers((2, 20, 3), "float64", 1)
    x[1, 9, 2] = value
    results, expected = both(there_and_back(4), x, grad)
    for found, plain in zip(results, expected, strict=True):
        np.testing.assert_allclose(found, plain, rtol=1e-10, atol=1e-12)
    assert 1 < (~np.isfinite(results[2])).sum() < 10


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
@pytest.mark.parametrize("within_channel", [False, True])
def test_in_the_function_that_uses_it(cupy: ModuleType, within_channel: bool, dtype: str) -> None:
    def step(x: Any, grad: Any) -> Any:
        x = md.Tensor(x, requires_grad=True)
        y = F.local_response_norm(x, 3, within_channel=within_channel)
        y.backward(md.Tensor(grad))
        return y._data, x.grad._data

    results, expected = both(step, numbers((2, 5, 4, 3), dtype), numbers((2, 5, 4, 3), dtype, 1))
    for found, plain in zip(results, expected, strict=True):
        assert_close(found, plain)


@wide
def test_second_derivatives_take_the_plain_lines(cupy: ModuleType, dtype: str) -> None:
    def penalty(x: Any, w: Any) -> Any:
        x = md.Tensor(x, requires_grad=True)
        slope = md.grad(F.sum(F.local_response_norm(x, 2, alpha=1.0) * w), x, create_graph=True)
        F.sum(slope * slope).backward()
        return x.grad._data

    (found,), (plain,) = both(penalty, numbers((2, 6, 3), dtype), numbers((2, 6, 3), dtype, 1))
    assert_close(found, plain)
