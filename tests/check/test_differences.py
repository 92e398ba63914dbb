"""Finite differences agree with gradients that are known."""

from __future__ import annotations

import numpy as np

from minidl.check.differences import by_differences


def test_the_gradients_of_a_product_of_matrices() -> None:
    rng = np.random.default_rng(0)
    x, w, grad_out = rng.standard_normal((3, 4)), rng.standard_normal((4, 2)), rng.standard_normal((3, 2))
    grad_x, grad_w = by_differences(lambda x, w: x @ w, grad_out, (x, w))
    np.testing.assert_allclose(grad_x, grad_out @ w.T, rtol=1e-6)
    np.testing.assert_allclose(grad_w, x.T @ grad_out, rtol=1e-6)


def test_a_number_is_an_input_too_and_large_ones_get_larger_steps() -> None:
    (grad,) = by_differences(lambda x: x * x, 2.0, (1e6,))
    np.testing.assert_allclose(grad, 4e6, rtol=1e-6)


def test_the_inputs_stay_as_they_are() -> None:
    x = np.ones(3)
    by_differences(lambda x: x.sum(), 1.0, (x,))
    assert (x == 1).all()
