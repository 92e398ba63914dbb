"""Activations in one launch: the kernel gives what the op's own lines give on NumPy, forward and backward."""

from __future__ import annotations

from types import ModuleType
from typing import Any

import numpy as np
import pytest

import minidl as md
import minidl.functional as F
from minidl.fast.gpu.kernels.elementwise import OPERATIONS
from tests.fast.gpu.kernels.agreement import assert_close, both, dtypes, launched, needs_compiler, numbers, on_device

pytestmark = [needs_compiler, pytest.mark.usefixtures("cupy")]

OPS = {
    "elu": lambda x: F.elu(x, 0.7),
    "gelu": F.gelu,
    "hardtanh": lambda x: F.hardtanh(x, -0.5, 1.5),
    "leaky_relu": lambda x: F.leaky_relu(x, 0.1),
    "relu": F.relu,
    "sigmoid": F.sigmoid,
    "silu": F.silu,
    "softplus": F.softplus,
    "softsign": F.softsign,
    "tanh": F.tanh,
    "tanh_gelu": lambda x: F.gelu(x, "tanh"),
}


def special(dtype: str) -> Any:
    """Numbers of every size, and 0, infinity and NaN."""
    largest = np.finfo(dtype).max
    numbers = [0.0, 1e-4, 3, 80, 3e4, largest**0.4, largest**0.6, largest, np.inf]
    return np.array([*numbers, *[-number for number in numbers], np.nan], dtype)


def with_gradient(op: Any) -> Any:
    """A function of raw arrays x and dL/dz that gives z and dL/dx."""

    def run(x: Any, grad: Any) -> Any:
        x = md.Tensor(x, requires_grad=True)
        z = op(x)
        z.backward(md.Tensor(grad))
        return z._data, x.grad._data

    return run


def test_every_operation_belongs_to_an_op() -> None:
    assert {name.removesuffix("_gradient") for name in OPERATIONS} == {*OPS, "dropped"}  # and that one to dropout


@dtypes
@pytest.mark.parametrize("name", OPS)
@pytest.mark.parametrize("shape", [(5, 7), (0, 3), (), "special"])
def test_kernel_and_plain_version_agree(cupy: ModuleType, name: str, dtype: str, shape: Any) -> None:
    x = special(dtype) if shape == "special" else numbers(shape, dtype)
    grad = numbers(x.shape, dtype, 1)
    results, expected = both(with_gradient(OPS[name]), x, grad)
    if x.size:
        assert len(launched()) in (0, 2), launched()  # one each way
    for found, plain in zip(results, expected, strict=True):
        np.testing.assert_array_equal(np.isnan(found), np.isnan(plain))
        finite = np.isfinite(plain)
        np.testing.assert_array_equal(found[~finite], plain[~finite])
        assert_close(np.where(finite, found, 0).astype(dtype), np.where(finite, plain, 0).astype(dtype))


@dtypes
def test_any_layout(cupy: ModuleType, dtype: str) -> None:
    x, grad = numbers((4, 6), dtype), numbers((6, 4), dtype, 1)
    for name in OPS:
        run = with_gradient(OPS[name])
        results, expected = both(lambda a, g, run=run: run(a.T, g), x, grad)
        for found, plain in zip(results, expected, strict=True):
            assert_close(found, plain)


def test_second_derivatives_take_the_plain_lines(cupy: ModuleType) -> None:
    for name in OPS:
        x = md.Tensor(on_device(numbers((5,), "float64")), requires_grad=True)
        (slope,) = md.grad(OPS[name](x).sum(), [x], create_graph=True)
        (curvature,) = md.grad((slope * slope).sum(), [x], allow_unused=True)
        assert curvature is None or curvature.device == "cupy"
