"""minidl/fast/cpu/selection.py: rectifiers and masks without `where` are what they are with it."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import minidl as md
import minidl.functional as F
from minidl.fast.cpu.selection import slopes, zero_outside
from minidl.functional.masking import masked

SPECIAL = [0.0, -0.0, 1e-30, -1e-30, 3.0, -3.0, np.inf, -np.inf, np.nan]


def value_and_gradients(function: Any, *arrays: Any) -> list[Any]:
    """z, and the gradients of a weighted sum of z."""
    tensors = [md.Tensor(array, requires_grad=True) for array in arrays]
    z = function(*tensors)
    z.backward(md.Tensor(np.linspace(-1, 2, z.size, dtype=z.dtype).reshape(z.shape)))
    return [z.numpy(), *[x.grad.numpy() for x in tensors]]


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
@pytest.mark.parametrize("slope", [0, 0.01, 0.3, 0.7, 1, 1.5, -0.5])
def test_leaky_relu_is_bit_for_bit_the_plain_one(dtype: str, slope: float) -> None:
    x = np.array([*SPECIAL, *np.random.default_rng(0).standard_normal(91)], dtype)
    found = value_and_gradients(lambda t: F.leaky_relu(t, slope), x)
    with md.plain():
        expected = value_and_gradients(lambda t: F.leaky_relu(t, slope), x)
    for ours, plain in zip(found, expected, strict=True):
        np.testing.assert_array_equal(ours, plain, strict=True)


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
@pytest.mark.parametrize("shape", [(), (1,), (3,)])
def test_prelu_is_the_plain_one(dtype: str, shape: Any) -> None:
    rng = np.random.default_rng(0)
    x, weight = rng.standard_normal((5, 3, 7)).astype(dtype), rng.uniform(0, 1, shape).astype(dtype)
    found = value_and_gradients(F.prelu, x, weight)
    with md.plain():
        expected = value_and_gradients(F.prelu, x, weight)
    for ours, plain in zip(found[:2], expected[:2], strict=True):  # z and dL/dx
        np.testing.assert_array_equal(ours, plain, strict=True)
    np.testing.assert_allclose(found[2], expected[2], rtol=5e-3 if dtype == "float16" else 1e-5)


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
def test_the_slope_of_a_positive_number_is_exactly_1(dtype: str) -> None:
    x = np.array([2.0, -2.0], dtype)
    for slope in np.random.default_rng(0).uniform(0, 1, 2000):
        np.testing.assert_array_equal(slopes(x, slope, x.dtype), np.array([1, slope], dtype), strict=True)


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
