"""minidl/functional/loss.py."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import minidl as md
import minidl.functional as F
from tests.arrays import device, host, tensor
from tests.factory import assert_close, check, check_special, examples, operand
from tests.pytorch import TF, torch

REDUCTIONS = st.sampled_from(["mean", "sum", "none"])


def pair(draw, **limits):
    """Input and target of one shape."""
    x = draw(operand())
    return [x, draw(operand(x.values.shape, **limits))]


# ---- distances


@pytest.mark.parametrize(
    ("ours", "theirs", "options"),
    [
        (F.mse_loss, TF.mse_loss, {}),
        (F.l1_loss, TF.l1_loss, {}),
        (F.smooth_l1_loss, TF.smooth_l1_loss, {}),
        (F.smooth_l1_loss, TF.smooth_l1_loss, {"beta": 0.5}),
        (F.smooth_l1_loss, TF.smooth_l1_loss, {"beta": 0}),
        (F.huber_loss, TF.huber_loss, {}),
        (F.huber_loss, TF.huber_loss, {"delta": 2.5}),
    ],
)
@examples(40)
@given(st.data())
def test_distances(ours, theirs, options, data):
    xs, reduction = pair(data.draw), data.draw(REDUCTIONS)
    check(
        lambda a, b: ours(a, b, reduction=reduction, **options),
        lambda a, b: theirs(a, b, reduction=reduction, **options),
        xs,
        numeric=xs[0].values.size > 0,
        slack=2,
    )


@pytest.mark.parametrize(("ours", "theirs"), [(F.mse_loss, TF.mse_loss), (F.l1_loss, TF.l1_loss)])
@examples(40)
@given(st.data())
def test_weighted_distances(ours, theirs, data):
    xs, reduction = pair(data.draw), data.draw(REDUCTIONS)
    weight = data.draw(operand(xs[0].values.shape, low=0.5))
    check(
        lambda a, b, w: ours(a, b, reduction=reduction, weight=w),
        lambda a, b, w: theirs(a, b, reduction=reduction, weight=w),
        [*xs, weight],
        numeric=weight.values.size > 0,
        slack=4,
    )


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
@pytest.mark.parametrize(
    ("ours", "theirs"),
    [(F.l1_loss, TF.l1_loss), (F.smooth_l1_loss, TF.smooth_l1_loss), (F.huber_loss, TF.huber_loss)],
)
def test_kinks_in_value_and_both_derivatives(ours, theirs, dtype):
    x = np.array([0.0, -0.0, 1.0, -1.0, 0.5, 1.5])  # errors: 0, and exactly where the two pieces meet
    mine, other = tensor(x.astype(dtype), True), torch.tensor(x, requires_grad=True)
    zeros = np.zeros(6, dtype)
    loss, their_loss = ours(mine, device(zeros), "none"), theirs(other, torch.zeros(6).double(), reduction="none")
    (grad,) = md.grad(loss.sum(), [mine], create_graph=True)
    (their_grad,) = torch.autograd.grad(their_loss.sum(), other, create_graph=True)
    assert_close(loss, their_loss, dtype)
    assert_close(grad, their_grad, dtype)
    assert_close(md.grad(grad.sum(), mine), torch.autograd.grad(their_grad.sum(), other)[0], dtype)


@pytest.mark.parametrize(("ours", "slope"), [(F.smooth_l1_loss, 1), (F.huber_loss, 2.5)])
def test_an_infinite_error_has_the_slope_of_a_large_one(ours, slope):
    x, options = tensor(np.array([np.inf, -np.inf, 1e300, 0.5]), True), {"beta" if slope == 1 else "delta": 2.5}
    grad = md.grad(ours(x, device(np.zeros(4)), "sum", **options), x, create_graph=True)
    np.testing.assert_allclose(host(grad), [slope, -slope, slope, slope / 2.5 / 2])
    np.testing.assert_allclose(host(md.grad(F.sum(grad), x)), [0, 0, 0, slope / 2.5])


def test_a_large_float16_batch_loses_nothing():
    x = np.zeros(200_000, np.float16)
    for loss in (F.mse_loss, F.l1_loss, F.smooth_l1_loss):
        assert loss(tensor(x), tensor(x + 1)).item() == (0.5 if loss is F.smooth_l1_loss else 1)
    assert F.mse_loss(tensor(x), tensor(x + 1), weight=device(x + 1)).item() == 1


# ---- probabilities


def weights(draw, shape):
    """No weights, or some that broadcast to `shape`: the values for device() and for torch.tensor()."""
    if draw(st.booleans()):
        return None
    kept = draw(st.integers(0, len(shape)))
    return draw(operand(shape[kept:], low=0.5)).values


def optional(convert, weight):
    return None if weight is None else convert(weight)


@examples(60)
@given(st.data())
def test_binary_cross_entropy(data):
    shape = data.draw(operand()).values.shape
    xs = [data.draw(operand(shape, low=0.125, high=0.875)), data.draw(operand(shape, low=0, high=0.875))]
    weight, reduction = weights(data.draw, shape), data.draw(REDUCTIONS)

    def ours(x, t):
        return F.binary_cross_entropy(x, t, optional(device, weight), reduction)

    def theirs(x, t):
        return TF.binary_cross_entropy(x, t, optional(torch.tensor, weight), reduction=reduction)

    def exact(x, t):  # PyTorch's second derivative shifts its denominators by 1e-12
        loss = (-t * torch.log(x) - (1 - t) * torch.log(1 - x)) * (1 if weight is None else torch.tensor(weight))
        return {"mean": loss.mean(), "sum": loss.sum(), "none": loss}[reduction]

    check(ours, theirs, xs, second=False, numeric=False, slack=2)
    check(ours, exact, xs, numeric=xs[0].values.size > 0, slack=2)


@examples(60)
@given(st.data())
def test_binary_cross_entropy_with_logits(data):
    x = data.draw(operand())
    xs = [x, data.draw(operand(x.values.shape, low=0, high=0.875))]
    weight, pos_weight = weights(data.draw, x.values.shape), weights(data.draw, x.values.shape)
    reduction = data.draw(REDUCTIONS)

    def ours(x, t):
        both = optional(device, weight), reduction, optional(device, pos_weight)
        return F.binary_cross_entropy_with_logits(x, t, *both)

    def theirs(x, t):
        return TF.binary_cross_entropy_with_logits(
            x,
            t,
            optional(torch.tensor, weight),
            reduction=reduction,
            pos_weight=optional(torch.tensor, pos_weight),
        )

    check(ours, theirs, xs, numeric=x.values.size > 0, slack=2)


def test_certain_probabilities_cost_100_at_most():
    x, target = [0.0, 0.0, 1.0, 1.0, 1e-30], [0.0, 1.0, 0.0, 1.0, 1.0]
    check_special(
        lambda a, b: F.binary_cross_entropy(a, b, reduction="none"),
        lambda a, b: TF.binary_cross_entropy(a, b, reduction="none"),
        [x, target],
        ["float32", "float64"],
        gradients=False,
    )
    for dtype, steepest in (("float64", 1e12), ("float32", 1e12), ("float16", np.inf)):  # beyond float16
        mine = tensor(np.array(x, dtype), True)
        F.binary_cross_entropy(mine, device(np.array(target, dtype)), reduction="sum").backward()
        np.testing.assert_allclose(host(mine.grad), np.array([0, -1, 1, 0, -1]) * [1, *[steepest] * 2, 1, steepest])


def test_where_a_certain_probability_is_right_both_derivatives_stay_small():
    x = tensor(np.array([0.0, 1.0, 1 - 1e-9, 0.5]), True)
    loss = F.binary_cross_entropy(x, device(np.array([0.0, 1.0, 1.0, 0.5])), reduction="sum")
    grad = md.grad(loss, x, create_graph=True)
    np.testing.assert_allclose(host(grad), [0, 0, -1, 0])  # PyTorch's, 0 at the ends
    np.testing.assert_allclose(host(md.grad(F.sum(grad), x)), [0, 0, 1, 4], rtol=1e-8)


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
def test_extreme_logits_neither_overflow_nor_cancel(dtype):
    scores = np.array([-1e4, -700, -80, -12, -7, 0, 7, 12, 80, 700, 1e4])
    for target in (0.0, 1.0):
        x = tensor(scores.astype(dtype), True)
        loss = F.binary_cross_entropy_with_logits(x, device(np.full(11, target, dtype)), reduction="none")
        loss.sum().backward()
        exact = host(x).astype(np.float64)
        expected = np.logaddexp(0, exact if target == 0 else -exact)
        tiny = {"float16": 6e-8, "float32": 2e-38, "float64": 3e-308}[dtype]
        np.testing.assert_allclose(host(loss), expected, rtol=2 * np.finfo(dtype).eps, atol=tiny)
        slope = torch.sigmoid(torch.tensor(exact)).numpy() - target
        np.testing.assert_allclose(host(x.grad), slope, atol=np.finfo(dtype).eps)
    if dtype == "float64":
        check_special(
            lambda a, b: F.binary_cross_entropy_with_logits(a, b, reduction="none", pos_weight=[3.0]),
            lambda a, b: TF.binary_cross_entropy_with_logits(
                a, b, reduction="none", pos_weight=torch.tensor([3.0]).to(a.dtype)
            ),
            [[-1e4, -1e4, 1e4, 1e4, np.nan], [0.0, 1.0, 0.0, 1.0, 1.0]],
        )


@pytest.mark.parametrize("log_target", [False, True])
@examples(80)
@given(st.data())
def test_kl_div(log_target, data):
    x = data.draw(operand())
    target = data.draw(operand(x.values.shape, low=-2 if log_target else 0.125, high=1))
    reduction = data.draw(st.sampled_from(["mean", "sum", "none", "batchmean"]))

    def theirs(a, b):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # PyTorch advises "batchmean"
            return TF.kl_div(a, b, reduction=reduction, log_target=log_target)

    check(lambda a, b: F.kl_div(a, b, reduction, log_target), theirs, [x, target], numeric=x.values.size > 0, slack=4)


def test_kl_div_where_the_target_is_0():
    x = tensor(np.array([[-1.0, -2.0]]), True)
    loss = F.kl_div(x, [[0.0, 1.0]], reduction="none")
    np.testing.assert_array_equal(host(loss), [[0, 2]])
    loss.sum().backward()
    np.testing.assert_array_equal(host(x.grad), [[0, -1]])
    assert np.isnan(host(F.kl_div(x, [[-1.0, 1.0]], "none"))[0, 0])


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
def test_what_prediction_and_target_rule_out_adds_nothing(dtype):
    """log p = -infinity where the target is 0; in PyTorch it adds NaN."""
    log_p, q = np.array([np.log(0.5), np.log(0.5), -np.inf], dtype), np.array([0.25, 0.75, 0], dtype)
    with np.errstate(divide="ignore"):
        log_q = np.log(q)
    expected = 0.25 * np.log(0.5) + 0.75 * np.log(1.5)
    for target, log_target in ((q, False), (log_q, True)):
        x, t = tensor(log_p, True), tensor(target, True)
        loss = F.kl_div(x, t, "sum", log_target)
        assert_close(loss, np.array(expected), dtype)
        slope, by_target = md.grad(loss, [x, t], create_graph=True)
        assert_close(slope, -q, dtype)
        along = np.log([0.5, 1.5]) + 1
        assert_close(by_target, np.array([*(along * q[:2]), 0] if log_target else [*along, np.inf]), dtype)
        (again,) = md.grad(slope.sum(), [t], retain_graph=True)
        assert_close(again, -q if log_target else np.full(3, -1), dtype)
        if log_target:
            curved = md.grad(by_target.sum(), [x, t])
            assert_close(curved[0], -q, dtype)
            assert_close(curved[1], np.array([*((along + 1) * q[:2]), 0]), dtype)
    ruled_out = tensor(log_p[2:]), tensor(q[:1])
    assert F.kl_div(*ruled_out, "sum").item() == np.inf  # ruled out by the prediction alone
    assert F.kl_div(ruled_out[0], F.log(ruled_out[1]), "sum", log_target=True).item() == np.inf
    assert np.isnan(F.kl_div(tensor(log_p[2:] + np.nan), tensor(q[2:]), "sum").item())
    assert np.isnan(F.kl_div(tensor(log_p[2:] + np.nan), tensor(log_q[2:]), "sum", log_target=True).item())


def test_the_gradient_of_kl_div_by_a_target_of_0_is_that_of_the_logarithm():
    t = tensor(np.array([0.0, 1e-30, 1.0]), True)
    slope = md.grad(F.kl_div(tensor(np.full(3, -2.0)), t, "sum"), t, create_graph=True)
    np.testing.assert_allclose(host(slope), [-np.inf, np.log(1e-30) + 3, 3])
    np.testing.assert_allclose(host(md.grad(slope.sum(), t)), [np.inf, 1e30, 1])


def test_the_gradient_of_kl_div_by_a_target_that_is_ruled_out_is_infinite_and_stays_so():
    t = tensor(np.array([0.0, 0.5]), True)
    slope = md.grad(F.kl_div(tensor(np.full(2, -np.inf)), t, "sum"), t, create_graph=True)
    np.testing.assert_array_equal(host(slope), np.inf)
    np.testing.assert_array_equal(host(md.grad(slope.sum(), t)), 0)


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
@pytest.mark.parametrize("pos_weight", [None, 3.0, 0.0])
def test_certain_logits_cost_nothing_where_they_are_right_and_infinity_where_they_are_wrong(dtype, pos_weight):
    x, t = tensor(np.array([np.inf, -np.inf, -np.inf, np.inf], dtype), True), device(np.array([1, 0, 1, 0], dtype))
    p = 1.0 if pos_weight is None else pos_weight
    loss = F.binary_cross_entropy_with_logits(x, t, reduction="none", pos_weight=pos_weight)
    np.testing.assert_array_equal(host(loss), [0, 0, np.inf if p else 0, np.inf])
    slope = md.grad(loss.sum(), x, create_graph=True)
    np.testing.assert_array_equal(host(slope), [0, 0, -p, 1])
    np.testing.assert_array_equal(host(md.grad(slope.sum(), x)), 0)


def test_the_gradient_by_a_target_beside_certain_logits():
    x, t = tensor(np.array([np.inf, -np.inf])), tensor(np.array([1.0, 0.0]), True)
    F.binary_cross_entropy_with_logits(x, t, reduction="sum").backward()
    np.testing.assert_array_equal(host(t.grad), [-np.inf, np.inf])
    t.zero_grad()
    F.binary_cross_entropy_with_logits(x, t, reduction="sum", pos_weight=0.0).backward()
    np.testing.assert_array_equal(host(t.grad), [-np.inf, 0])


@pytest.mark.parametrize("loss", [F.mse_loss, F.l1_loss, F.binary_cross_entropy_with_logits])
def test_an_infinite_loss_of_weight_0_does_not_count(loss):
    values, target, weight = np.array([np.inf, 1.0]), np.array([0.0, 0.5]), np.array([0.0, 2.0])
    x, alone = tensor(values, True), tensor(values[1:], True)
    found = loss(x, device(target), weight=device(weight), reduction="sum")
    expected = loss(alone, device(target[1:]), weight=device(weight[1:]), reduction="sum")
    found.backward()
    expected.backward()
    assert found.item() == expected.item()
    np.testing.assert_array_equal(host(x.grad), [0, *host(alone.grad)])
    assert np.isnan(loss(tensor(values * np.nan), device(target), weight=device(weight)).item())


# ---- options


def test_more_options_that_are_none():
    x = tensor(np.ones(3))
    for value in (-1, float("nan")):
        with pytest.raises(ValueError, match=f"smooth_l1_loss: beta: expected a number of at least 0; got {value}"):
            F.smooth_l1_loss(x, x, beta=value)
    for value in (0, float("nan")):
        with pytest.raises(ValueError, match=f"huber_loss: delta: expected a number above 0; got {value}"):
            F.huber_loss(x, x, delta=value)


def test_huber_without_a_limit_is_refused():
    with pytest.raises(ValueError, match="expected a finite delta; without a limit it is mse_loss / 2"):
        F.huber_loss(tensor(np.ones(2)), tensor(np.zeros(2)), delta=np.inf)


# ---- what has the weight 0 does not count


@pytest.mark.parametrize(("dtype", "large"), [("float16", 3e4), ("float32", 1e30), ("float64", 1e300)])
@pytest.mark.parametrize("loss", [F.mse_loss, F.l1_loss])
@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
def test_an_error_of_weight_0_does_not_count_however_large(loss, reduction, dtype, large):
    """Not infinite ones, nor those of which the square is; in value and both derivatives."""
    x = np.array([1.0, large, -large, np.inf, 2.0], dtype)
    weight = device(np.array([1.0, 0, 0, 0, 1], dtype))
    found, left = tensor(x, True), tensor(x[[0, 4]], True)
    y = loss(found, device(np.zeros(5, dtype)), reduction, weight)
    expected = loss(left, device(np.zeros(2, dtype)), reduction, device(np.ones(2, dtype)))
    if reduction == "none":
        np.testing.assert_array_equal(host(y), [host(expected)[0], 0, 0, 0, host(expected)[1]])
        y, expected = y.sum(), expected.sum()
    np.testing.assert_allclose(y.item(), expected.item(), rtol=1e-3)
    slope, their = md.grad(y, found, create_graph=True), md.grad(expected, left, create_graph=True)
    np.testing.assert_allclose(host(slope), np.insert(host(their), 1, [0, 0, 0]), rtol=1e-3)
    np.testing.assert_array_equal(host(md.grad(slope.sum(), found))[1:4], 0)


def test_a_weight_that_makes_a_large_square_small_again():
    """1e-30 (1e25)^2 is 1e20, though (1e25)^2 is infinite in float32."""
    x, weight = tensor(np.array([1e25], np.float32), True), device(np.array([1e-30], np.float32))
    y = F.mse_loss(x, device(np.zeros(1, np.float32)), "sum", weight)
    np.testing.assert_allclose(y.item(), 1e20, rtol=1e-5)
    np.testing.assert_allclose(host(md.grad(y, x)), [2e-5], rtol=1e-5)


def test_the_weight_of_an_error_has_its_own_gradient_also_where_it_is_0():
    weight = tensor(np.array([0.0, 1.0]), True)
    F.mse_loss(tensor(np.array([3.0, 2.0])), device(np.zeros(2)), "sum", weight).backward()
    np.testing.assert_array_equal(host(weight.grad), [9, 4])


def test_the_slope_of_bce_by_its_target_where_the_prediction_is_certain():
    """No logarithm is less than -100, as in the value; and of weight 0 nothing comes back."""
    x = tensor(np.array([0.0, 1.0, 0.5, 0.0, 1.0]), True)
    t = tensor(np.array([0.0, 1.0, 0.25, 1.0, 0.0]), True)
    weight = device(np.array([1.0, 1, 1, 0, 0]))
    by_t = md.grad(F.binary_cross_entropy(x, t, weight, "sum"), t, create_graph=True)
    np.testing.assert_allclose(host(by_t), [100, -100, 0, 0, 0])
    np.testing.assert_allclose(host(md.grad(by_t.sum(), x)), [-1, -1, -4, 0, 0])  # of the other logarithm


def test_the_slope_of_bce_with_logits_by_its_target_where_the_weight_is_0():
    t = tensor(np.array([0.0, 1.0, 0.25]), True)
    scores = device(np.array([np.inf, -np.inf, 2.0]))
    for positives in (None, device(np.array([2.0, 2.0, 1.0]))):
        weight = device(np.array([0.0, 0, 1]))
        by_t = md.grad(F.binary_cross_entropy_with_logits(scores, t, weight, "sum", positives), t)
        np.testing.assert_allclose(host(by_t), [0, 0, -2])
