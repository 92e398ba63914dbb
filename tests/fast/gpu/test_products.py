"""minidl/fast/gpu/products.py: products of a GPU, which are what the plain lines give."""

from __future__ import annotations

from types import ModuleType
from typing import Any

import numpy as np
import pytest

import minidl as md
import minidl.functional as F
from minidl import backend
from minidl.fast.graph import capture
from tests.fast.gpu.kernels.agreement import assert_close, dtypes, numbers, on_device

SHAPES = [
    ((4, 3), (3, 5)),
    ((3,), (3, 5)),
    ((4, 3), (3,)),
    ((3,), (3,)),
    ((2, 4, 3), (3, 5)),
    ((2, 1, 4, 3), (6, 3, 5)),
]


def with_gradients(function: Any, *arrays: Any) -> list[Any]:
    """What `function` gives of arrays on the device, and its gradients, as NumPy arrays."""
    tensors = [md.Tensor(on_device(a), requires_grad=True) for a in arrays]
    y = function(*tensors)
    grad = md.Tensor(on_device(numbers(y.shape, y.dtype, 9)))
    return [backend.to_numpy(a._data) for a in (y, *md.grad(y, tensors, grad))]


@dtypes
@pytest.mark.parametrize("shapes", SHAPES)
def test_matmul_is_the_plain_one(cupy: ModuleType, shapes: Any, dtype: str) -> None:
    arrays = [numbers(shape, dtype, i) for i, shape in enumerate(shapes)]
    found = with_gradients(F.matmul, *arrays)
    with md.plain():
        expected = with_gradients(F.matmul, *arrays)
    for ours, plain in zip(found, expected, strict=True):
        assert_close(ours, plain)


@dtypes
@pytest.mark.parametrize("leading", [(), (4,), (2, 5), (0, 3)])
@pytest.mark.parametrize("bias", [False, True])
def test_linear_is_the_plain_one(cupy: ModuleType, leading: Any, dtype: str, bias: bool) -> None:
    shapes = [(*leading, 3), (5, 3), (5,)][: 3 if bias else 2]
    arrays = [numbers(shape, dtype, i) for i, shape in enumerate(shapes)]
    found = with_gradients(F.linear, *arrays)
    with md.plain():
        expected = with_gradients(F.linear, *arrays)
    for ours, plain in zip(found, expected, strict=True):
        assert_close(ours, plain)


def test_on_a_gpu_samples_in_several_axes_are_one_product(standin: ModuleType) -> None:
    x, weight = (backend.to_device(np.ones(shape, np.float32), "cupy") for shape in ((4, 5, 3), (2, 3)))
    standin.reset_launches()
    out = F.linear(md.Tensor(x, requires_grad=True), md.Tensor(weight, requires_grad=True))
    assert out.shape == (4, 5, 2)
    assert standin.launches() == ("matmul",)
    out.backward(md.Tensor(backend.to_device(np.ones((4, 5, 2), np.float32), "cupy")))
    seen = [name for name in standin.launches() if name == "matmul"]
    assert len(seen) == 3
    assert F.linear(md.Tensor(x[:0]), md.Tensor(weight)).shape == (0, 5, 2)


def test_raw_arrays_too_are_multiplied_in_a_captured_step(standin: ModuleType) -> None:
    x = backend.to_device(np.ones((2, 3), np.float32), "cupy")
    graph, out = capture.captured(lambda: F.matmul(x, x.T))
    graph.launch()
    np.testing.assert_array_equal(backend.to_numpy(out), np.full((2, 2), 3))
