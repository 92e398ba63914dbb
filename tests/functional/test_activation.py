"""minidl/functional/activation.py."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import minidl as md
import minidl.functional as F
from tests.arrays import device, host, tensor
from tests.factory import SPECIAL, check, check_against_numpy, check_limits, check_special, examples, operand, shapes
from tests.pytorch import TF, torch

PAIRS = [
    (F.relu, torch.relu),
    (F.sigmoid, torch.sigmoid),
    (F.tanh, torch.tanh),
    (F.softplus, TF.softplus),
    (F.leaky_relu, TF.leaky_relu),
    (lambda t: F.leaky_relu(t, 0.3), lambda t: TF.leaky_relu(t, 0.3)),
    (lambda t: F.leaky_relu(t, 0), lambda t: TF.leaky_relu(t, 0.0)),
    (lambda t: F.leaky_relu(t, 1.5), lambda t: TF.leaky_relu(t, 1.5)),
    (lambda t: F.leaky_relu(t, -0.5), lambda t: TF.leaky_relu(t, -0.5)),
    (F.softsign, TF.softsign),
    (F.hardtanh, TF.hardtanh),
    (lambda t: F.hardtanh(t, -2, 0.5), lambda t: TF.hardtanh(t, -2, 0.5)),
    (lambda t: F.hardtanh(t, min_val=1, max_val=1), lambda t: TF.hardtanh(t, min_val=1, max_val=1)),
    (F.elu, TF.elu),
    (lambda t: F.elu(t, 2.5), lambda t: TF.elu(t, 2.5)),
    (lambda t: F.elu(t, alpha=0), lambda t: TF.elu(t, alpha=0)),
    (F.selu, TF.selu),
]
PRELU = (lambda t: F.prelu(t, 0.25), lambda t: TF.prelu(t, torch.tensor(0.25, dtype=t.dtype)))


@pytest.mark.parametrize(("ours", "theirs"), PAIRS)
@examples(60)
@given(operand())
def test_activations(ours, theirs, x):
    check(ours, theirs, x)


@pytest.mark.parametrize(("ours", "theirs"), [*PAIRS, PRELU])
def test_special_values(ours, theirs):
    check_special(ours, theirs, [SPECIAL[np.isfinite(SPECIAL)]])
    check_special(ours, theirs, [SPECIAL[3:]])


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [(F.relu, torch.relu), (F.sigmoid, torch.sigmoid), (F.tanh, torch.tanh), PAIRS[3], PAIRS[4], *PAIRS[13:], PRELU],
)
def test_infinities_and_nan(ours, theirs):
    check_special(ours, theirs, [np.array([np.inf, -np.inf, np.nan])])


@pytest.mark.parametrize(("ours", "theirs"), [*PAIRS, PRELU])
def test_the_first_and_second_slope_at_the_kinks(ours, theirs):
    """Where the slope jumps (0, and hardtanh's limits) PyTorch takes one side; the second derivative there is 0."""
    kinks = np.array([0.0, -0.0, 1.0, -1.0, -2.0, 0.5])
    x, other = tensor(kinks, True), torch.tensor(kinks, requires_grad=True)
    slope = md.grad(ours(x).sum(), x, create_graph=True)
    (their_slope,) = torch.autograd.grad(theirs(other).sum(), other, create_graph=True)
    np.testing.assert_allclose(host(slope), their_slope.detach().numpy(), rtol=1e-12)
    if their_slope.requires_grad and slope.requires_grad:
        (theirs_again,) = torch.autograd.grad(their_slope.sum(), other, materialize_grads=True)
        again = md.grad(slope.sum(), x, allow_unused=True)
        found = np.zeros_like(kinks) if again is None else host(again)
        np.testing.assert_allclose(found, theirs_again.numpy(), rtol=1e-12, atol=1e-15)


def test_infinity_and_nan_where_pytorch_has_no_rule_or_none_to_follow():
    """Its hardtanh passes a NaN's gradient or not as its loop is vectorized; its softsign(inf) is NaN."""
    for function, slopes in ((F.hardtanh, [0, 0, 0]), (F.softsign, [0, 0, np.nan])):
        x = tensor(np.array([np.inf, -np.inf, np.nan]), True)
        y = function(x)
        y.backward(device(np.ones(3)))
        np.testing.assert_array_equal(host(x.grad), slopes)
        np.testing.assert_array_equal(host(y), [1, -1, np.nan])


INFINITE = np.inf
LIMITS = [  # value, slope and second derivative at -infinity and at infinity
    (F.relu, (0, 0, 0), (INFINITE, 1, 0)),
    (lambda t: F.leaky_relu(t, 0), (0, 0, 0), (INFINITE, 1, 0)),
    (lambda t: F.leaky_relu(t, 0.25), (-INFINITE, 0.25, 0), (INFINITE, 1, 0)),
    (lambda t: F.leaky_relu(t, -0.5), (INFINITE, -0.5, 0), (INFINITE, 1, 0)),
    (lambda t: F.leaky_relu(t, 1e4), (-INFINITE, 1e4, 0), (INFINITE, 1, 0)),
    (lambda t: F.prelu(t, 0.0), (0, 0, 0), (INFINITE, 1, 0)),
    (lambda t: F.prelu(t, 0.25), (-INFINITE, 0.25, 0), (INFINITE, 1, 0)),
    (lambda t: F.prelu(t, 1e4), (-INFINITE, 1e4, 0), (INFINITE, 1, 0)),
    (F.elu, (-1, 0, 0), (INFINITE, 1, 0)),
    (lambda t: F.elu(t, 0), (0, 0, 0), (INFINITE, 1, 0)),
    (F.selu, (-1.7580993408473766, 0, 0), (INFINITE, 1.0507009873554805, 0)),
    (F.hardtanh, (-1, 0, 0), (1, 0, 0)),
    (F.sigmoid, (0, 0, 0), (1, 0, 0)),
    (F.tanh, (-1, 0, 0), (1, 0, 0)),
    (F.softsign, (-1, 0, 0), (1, 0, 0)),
    (F.softplus, (0, 0, 0), (INFINITE, 1, 0)),
]


@pytest.mark.parametrize(("function", "below", "above"), LIMITS)
def test_at_infinity_and_far_from_zero_there_is_the_limit(function, below, above):
    check_limits(function, below, above)


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
def test_prelu_with_slopes_of_every_size(dtype):
    """0 times -infinity is 0, the limit; a slope far above 1, or an infinite one, leaves the positive side alone."""
    weight = np.array([0, 1e-3, 1, 1e4, -1e4, np.inf], dtype)
    rows = np.repeat(np.array([[-np.inf], [-2.0], [3.0], [np.inf]], dtype), 6, axis=1)
    x, slopes = tensor(rows, True), tensor(weight, True)
    y = F.prelu(x, slopes)
    y.sum().backward()
    infinite = np.where(weight == 0, 0, np.where(weight > 0, -np.inf, np.inf))
    np.testing.assert_array_equal(host(y), np.stack([infinite, -2 * weight, [3] * 6, [np.inf] * 6]))
    np.testing.assert_array_equal(host(x.grad), np.stack([weight, weight, np.ones(6), np.ones(6)]))
    np.testing.assert_array_equal(host(slopes.grad), -np.inf)


@st.composite
def with_slopes(draw):
    """x, and one slope for each of its channels, or one for all.

    Not at x = 0: there PyTorch takes the slope w in the backward, but 1 in the backward of that.
    """
    x = draw(operand(shapes(min_dims=2, max_dims=4, min_side=1), zero=False))
    return [x, draw(operand(draw(st.sampled_from([(x.values.shape[1],), (1,), ()]))))]


@examples(80)
@given(with_slopes())
def test_prelu(xs):
    check(F.prelu, TF.prelu, xs)


@examples(20)
@given(st.tuples(operand(shapes(max_dims=1), zero=False), operand((1,))))
def test_prelu_without_channels(xs):
    check(F.prelu, TF.prelu, xs)


def test_prelu_where_x_is_zero_infinite_or_nan():
    check_special(F.prelu, TF.prelu, [SPECIAL[SPECIAL == SPECIAL], np.array([0.25])])
    check_special(F.prelu, TF.prelu, [np.array([np.nan, 1.0]), np.array([0.25])])


def test_prelu_wants_a_slope_a_channel():
    for x, weight in (((2, 3, 4), (4,)), ((2, 3), (2,)), ((3,), (3,)), ((2, 3), (3, 1))):
        with pytest.raises(md.ShapeError, match=r"one for each channel \(axis 1\) of x; got Tensor of shape"):
            F.prelu(tensor(np.ones(x)), tensor(np.ones(weight)))


def test_hardtanh_wants_its_limits_in_order():
    with pytest.raises(ValueError, match="min_val <= max_val; got 1 and -1"):
        F.hardtanh(tensor(np.ones(2)), 1, -1)


def test_elu_is_exact_for_small_x_and_its_slope_far_away_is_zero_or_one():
    for dtype in ("float16", "float32", "float64"):
        x = tensor(np.array([-1e-4, -6e4, 6e4], dtype), True)
        y = F.elu(x)
        y.backward(device(np.ones(3, dtype)))
        np.testing.assert_allclose(host(y), [np.expm1(-1e-4), -1, 6e4], rtol=1e-3)
        np.testing.assert_allclose(host(x.grad), [1, 0, 1], rtol=1e-3)
    big = tensor(np.array([1000.0, -1000.0]), True)
    slope = md.grad(F.elu(big).sum(), big, create_graph=True)
    np.testing.assert_array_equal(host(md.grad(slope.sum(), big)), [0, 0])


def test_selu_keeps_mean_zero_and_variance_one():
    """Klambauer et al.: they are a fixed point of a layer whose weights have variance 1 / fan_in."""
    rng = np.random.default_rng(0)
    h = rng.standard_normal((2000, 300))
    for _ in range(8):
        h = host(F.selu(tensor(h @ rng.normal(0, 300**-0.5, (300, 300)))))
    assert abs(h.mean()) < 0.05
    assert abs(h.var() - 1) < 0.1


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
def test_saturation_without_overflow(dtype):
    x = np.array([-1e4, -800, -90, -17, -12, 12, 17, 90, 800, 1e4], dtype)
    exact = torch.tensor(x.astype(np.float64))
    for ours, theirs in ((F.sigmoid, torch.sigmoid), (F.softplus, TF.softplus), (F.tanh, torch.tanh)):
        got = host(ours(tensor(x)))
        assert got.dtype == dtype
        tiny = {"float16": 6e-8, "float32": 2e-38, "float64": 3e-308}[dtype]
        np.testing.assert_allclose(got, theirs(exact).numpy(), rtol=2 * np.finfo(dtype).eps, atol=tiny)


def test_relu_at_zero_has_slope_zero_and_passes_nan():
    x = tensor(np.array([-0.0, 0.0, np.nan]), True)
    y = F.relu(x)
    y.backward(device(np.ones(3)))
    assert np.isnan(host(y)[2])
    np.testing.assert_array_equal(host(x.grad), [0, 0, 1])


def test_integers():
    check_against_numpy(F.relu, lambda a: np.maximum(a, 0), np.array([-1, 2]))
    check_against_numpy(F.hardtanh, lambda a: np.clip(a, -1.0, 1.0), np.array([-3, 0, 2]))
    check_against_numpy(F.softsign, lambda a: a / (1 + abs(a)), np.array([-3, 0, 2]))
    narrow = np.array([-128, -127, 127], np.int8)  # 1 + 127 would be -128
    check_against_numpy(F.softsign, lambda a: a / (1 + abs(a.astype(float))), narrow)
    check_against_numpy(F.elu, lambda a: np.where(a > 0, a, np.expm1(a.astype(float))), np.array([-3, 0, 2]))
    check_against_numpy(F.sigmoid, lambda a: 1 / (1 + np.exp(-a.astype(float))), np.array([1, 200], np.uint8))


@pytest.mark.parametrize(
    "function",
    [
        lambda x, number: F.leaky_relu(x, number),
        lambda x, number: F.elu(x, number),
        lambda x, number: F.hardtanh(x, -number, number),
        lambda x, number: F.dropout(x, number),
        lambda x, number: F.clip(x, -number, number),
        lambda x, number: F.cross_entropy(x[None], [0], label_smoothing=number),
        lambda x, number: F.huber_loss(x, x, delta=number),
        lambda x, number: F.pad(x, 1, number),
    ],
)
def test_a_scalar_of_numpys_as_an_option_does_not_promote(function: Any) -> None:
    x = md.Tensor(device(np.array([-1.0, 2.0], np.float32)), requires_grad=True)
    y = function(x, np.float64(0.25))
    assert y.dtype == np.float32
    y.sum().backward()
    assert x.grad.dtype == np.float32
