"""minidl/functional/gated.py."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given

import minidl as md
import minidl.functional as F
from tests.arrays import device, host, tensor
from tests.factory import SPECIAL, check, check_against_numpy, check_limits, check_special, examples, operand
from tests.pytorch import TF, torch


def gelu_tanh(t):
    return F.gelu(t, approximate="tanh")


def their_gelu_tanh(t):
    return TF.gelu(t, approximate="tanh")


PAIRS = [(F.silu, TF.silu), (F.gelu, TF.gelu), (gelu_tanh, their_gelu_tanh)]


@pytest.mark.parametrize(("ours", "theirs"), PAIRS)
@examples(60)
@given(operand())
def test_gated(ours, theirs, x):
    check(ours, theirs, x)


@pytest.mark.parametrize(("ours", "theirs"), PAIRS)
def test_special_values(ours, theirs):
    check_special(ours, theirs, [SPECIAL[np.isfinite(SPECIAL)]])
    check_special(ours, theirs, [np.array([6e4, -6e4, 300.0, -300.0, 1e-4])])


@pytest.mark.parametrize("function", [F.silu, F.gelu, gelu_tanh])
def test_at_infinity_and_far_from_zero_there_is_the_limit(function):
    """PyTorch's are NaN at -infinity, its slopes at both ends, and those of gelu's "tanh" where x^3 overflows."""
    check_limits(function, (0, 0, 0), (np.inf, 1, 0))
    x = tensor(np.array([np.nan, 1.0]), True)
    y = function(x)
    y.sum().backward()
    np.testing.assert_array_equal(np.isnan(host(y)), [True, False])
    np.testing.assert_array_equal(np.isnan(host(x.grad)), [True, False])


@pytest.mark.parametrize(("ours", "theirs"), PAIRS)
@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
def test_the_slope_far_from_zero(ours, theirs, dtype):
    """Where e^x, x^2 and x^3 leave float16's range the slope is still 0 or 1; and the dip is where it belongs."""
    values = np.array([-6e4, -1000, -60, -12, -5, -1.28, -0.75, 5, 12, 60, 1000, 6e4]).astype(dtype)
    x, exact = tensor(values, True), torch.tensor(values.astype(np.float64), requires_grad=True)
    ours(x).backward(device(np.ones(len(values), dtype)))
    theirs(exact).sum().backward()
    np.testing.assert_allclose(host(x.grad), exact.grad.numpy(), rtol=1e-3, atol=4 * np.finfo(dtype).eps)


@pytest.mark.parametrize(("ours", "theirs"), PAIRS)
def test_the_third_derivative(ours, theirs):
    values = np.linspace(-4, 4, 9)
    x, other = tensor(values, True), torch.tensor(values, requires_grad=True)
    y, z = ours(x), theirs(other)
    for _ in range(3):
        y = md.grad(y.sum(), x, create_graph=True)
        (z,) = torch.autograd.grad(z.sum(), other, create_graph=True)
    np.testing.assert_allclose(host(y), z.detach().numpy(), rtol=1e-9, atol=1e-12)


def test_gelu_is_x_times_the_normal_distribution():
    values = np.linspace(-8, 8, 1001)
    exact = [v * (1 + math.erf(v / math.sqrt(2))) / 2 for v in values]
    np.testing.assert_allclose(host(F.gelu(tensor(values))), exact, rtol=1e-12, atol=1e-15)
    np.testing.assert_allclose(host(gelu_tanh(tensor(values))), exact, atol=5e-4)
    assert np.abs(host(gelu_tanh(tensor(values))) - exact).max() > 4e-4


def test_integers_are_computed_in_float64():
    for ours, theirs in PAIRS:
        check_against_numpy(ours, lambda a, f=theirs: f(torch.tensor(a, dtype=torch.float64)).numpy(), np.arange(-2, 3))


def test_gelu_names_an_unknown_approximation():
    with pytest.raises(ValueError, match="'none' or 'tanh'; got 'sigmoid'"):
        F.gelu(tensor(np.ones(2)), "sigmoid")
