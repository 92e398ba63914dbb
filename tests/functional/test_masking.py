"""masked: exactly 0 where the mask is false, whatever arrives there."""

from __future__ import annotations

import numpy as np

import minidl as md
from minidl.functional.masking import masked
from tests.arrays import device, host, tensor


def test_what_is_masked_is_exactly_zero_in_value_and_gradient() -> None:
    x = tensor([1.0, np.inf, np.nan, 4.0], requires_grad=True)
    mask = device(np.array([True, False, False, True]))
    y = masked(x, mask)
    np.testing.assert_array_equal(host(y), [1, 0, 0, 4])
    y.backward(tensor([2.0, np.nan, np.inf, 5.0]))
    np.testing.assert_array_equal(host(x.grad), [2, 0, 0, 5])


def test_its_second_derivative_is_masked_too() -> None:
    x, mask = tensor([1.0, 2.0], requires_grad=True), device(np.array([True, False]))
    grad = md.grad((masked(x, mask) ** 3).sum(), x, create_graph=True)
    np.testing.assert_array_equal(host(md.grad(grad.sum(), x)), [6, 0])
