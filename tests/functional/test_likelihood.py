"""minidl/functional/likelihood.py."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import minidl as md
import minidl.functional as F
from tests.arrays import device, host, tensor
from tests.factory import assert_close, check, check_special, examples, operand
from tests.functional.samples import labels_of, ours_of, scores, theirs_of, weights_of
from tests.pytorch import TF, torch

REDUCTIONS = st.sampled_from(["mean", "sum", "none"])
SMOOTHINGS = st.sampled_from([0.0, 0.1, 1.0])


@examples(80)
@given(st.data())
def test_cross_entropy_with_probabilities(data):
    x = data.draw(scores())
    target, weight = data.draw(operand(x.values.shape, low=0, high=1)), data.draw(weights_of(x))
    reduction, smoothing = data.draw(REDUCTIONS), data.draw(SMOOTHINGS)
    check(
        lambda t, q: F.cross_entropy(t, q, ours_of(weight), reduction=reduction, label_smoothing=smoothing),
        lambda t, q: TF.cross_entropy(t, q, theirs_of(weight), reduction=reduction, label_smoothing=smoothing),
        [x, target],
        slack=2,
    )


@examples(60)
@given(st.data())
def test_nll_loss(data):
    x = data.draw(scores())
    (labels, ignored), weight, reduction = data.draw(labels_of(x)), data.draw(weights_of(x)), data.draw(REDUCTIONS)
    check(
        lambda t: F.nll_loss(t, device(labels), ours_of(weight), ignored, reduction),
        lambda t: TF.nll_loss(
            t.contiguous(),
            torch.tensor(labels.astype(np.int64)),
            theirs_of(weight),
            ignore_index=ignored,
            reduction=reduction,
        ),
        x,
    )


@pytest.mark.parametrize("loss", [F.cross_entropy, F.nll_loss])
def test_every_sample_ignored(loss):
    x = tensor(np.ones((2, 3)), True)
    labels = device(np.array([-100, -100]))
    for weight in (None, [1.0, 2.0, 3.0]):
        x.zero_grad()
        mean = loss(x, labels, weight=weight)
        assert np.isnan(mean.item())
        mean.backward()
        np.testing.assert_array_equal(host(x.grad), 0)
    assert loss(x, labels, reduction="sum").item() == 0
    np.testing.assert_array_equal(host(loss(x, labels, reduction="none")), 0)


def test_a_class_of_weight_0_and_an_ignored_sample_of_infinite_loss():
    x = np.array([[1.0, 2.0, 3.0], [-np.inf, 0.0, 1.0], [2.0, 1.0, 0.0]])
    labels, weight = np.array([0, -100, 2]), np.array([0.0, 1.0, 0.5])
    check_special(
        lambda t: F.cross_entropy(t, device(labels), weight=device(weight)),
        lambda t: TF.cross_entropy(t, torch.tensor(labels), torch.tensor(weight).to(t.dtype)),
        [x],
    )


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
@pytest.mark.parametrize(("ours", "theirs"), [(F.cross_entropy, TF.cross_entropy), (F.nll_loss, TF.nll_loss)])
def test_extreme_scores(ours, theirs, dtype):
    rows = np.array([[6e4, -6e4, 0.0], [-np.inf, 1.0, 2.0], [1e3, 1e3, -1e3], [1e4, -1e4, -1e4]])
    for label in (0, 1, 2):
        labels = np.full(4, label)
        check_special(
            lambda t, y=labels: ours(t, device(y), reduction="none"),
            lambda t, y=labels: theirs(t, torch.tensor(y), reduction="none"),
            [rows],
            [dtype],
        )


def value_and_derivatives(function, x):
    """The loss, its gradient, and the derivative of a sum of squares of the gradient."""
    x = tensor(x, True)
    loss = function(x)
    slope = md.grad(loss, x, create_graph=True)
    return [host(loss), host(slope), host(md.grad((slope * slope).sum(), x))]


SCORES = np.array([[1.0, -np.inf, 0.5, 2.0], [0.25, -np.inf, 1.0, -1.0]])
KEPT = [0, 2, 3]
TARGETS = {
    "labels": (np.array([3, 0]), np.array([2, 0])),
    "probabilities": (np.array([[0.5, 0, 0.25, 0.25], [0, 0, 1, 0]]), np.array([[0.5, 0.25, 0.25], [0, 1, 0]])),
}


@pytest.mark.parametrize("kind", TARGETS)
@pytest.mark.parametrize("weight", [None, np.array([1.0, 2.0, 0.5, 0.0])])
@pytest.mark.parametrize("reduction", ["mean", "sum"])
def test_a_class_ruled_out_by_score_and_target_is_as_if_it_were_not_there(kind, weight, reduction):
    def loss(target, weight):
        return lambda x: F.cross_entropy(x, device(target), ours_of(weight), reduction=reduction)

    with_it, without = TARGETS[kind]
    found = value_and_derivatives(loss(with_it, weight), SCORES)
    wanted = value_and_derivatives(loss(without, weight if weight is None else weight[KEPT]), SCORES[:, KEPT])
    np.testing.assert_allclose(found[0], wanted[0], rtol=1e-14)
    for ours, theirs in zip(found[1:], wanted[1:], strict=True):
        np.testing.assert_allclose(ours[:, KEPT], theirs, rtol=1e-12, atol=1e-15)
        np.testing.assert_array_equal(ours[:, 1], 0)


@pytest.mark.parametrize("reduction", ["sum", "none"])
def test_what_a_class_of_weight_0_costs_is_0_also_beside_a_score_of_minus_infinity(reduction):
    weight, labels = np.array([1.0, 0.0, 1.0, 1.0]), np.array([1, 0])
    rows = np.array([[0, 1, 0, 0], [0.75, 0.25, 0, 0]])
    for dtype in ("float16", "float32", "float64"):
        x = SCORES.astype(dtype)
        log_p = host(F.log_softmax(tensor(x)))
        second = -log_p[1, 0]
        for loss, values, target, costs in (
            (F.cross_entropy, x, labels, [0, second]),
            (F.nll_loss, log_p, labels, [0, second]),
            (F.cross_entropy, x, rows.astype(dtype), [0, 0.75 * second]),
        ):
            given = tensor(values, True)
            found = loss(given, device(target), ours_of(weight), reduction=reduction)
            expected = np.array(costs) if reduction == "none" else np.array(np.sum(costs))
            assert_close(found, expected, dtype)
            found.sum().backward()
            assert np.isfinite(host(given.grad)).all()
            np.testing.assert_array_equal(host(given.grad)[0], 0)


def test_smoothed_labels_cost_infinity_where_a_score_is_minus_infinity():
    """Every class has some probability in the target then, the label's own or not."""
    for labels, smoothing in (([0, 0], 0.1), ([1, 1], 0.1), ([1, 1], 1.0), ([0, 0], 1.0)):
        x = tensor(SCORES, True)
        loss = F.cross_entropy(x, device(np.array(labels)), label_smoothing=smoothing)
        assert loss.item() == np.inf
        loss.backward()
        target = np.eye(4)[labels] * (1 - smoothing) + smoothing / 4
        np.testing.assert_allclose(host(x.grad), (host(F.softmax(tensor(SCORES))) - target) / 2, rtol=1e-12)
        weight = np.array([1.0, 0.0, 1.0, 1.0])
        loss = F.cross_entropy(x, device(np.array(labels)), ours_of(weight), label_smoothing=smoothing, reduction="sum")
        assert np.isfinite(loss.item())


def test_the_gradient_by_a_target_is_the_logarithm_also_where_it_is_infinite():
    x, target = tensor(SCORES), tensor(TARGETS["probabilities"][0], True)
    F.cross_entropy(x, target, reduction="sum").backward()
    np.testing.assert_allclose(host(target.grad), -host(F.log_softmax(x)))
    target.zero_grad()
    F.cross_entropy(x, target, ours_of(np.array([1.0, 0.0, 1.0, 1.0])), reduction="sum").backward()
    np.testing.assert_array_equal(host(target.grad)[:, 1], 0)


def test_nan_stays_nan_beside_a_target_or_weight_of_0():
    x = np.array([[np.nan, 1.0, 2.0]])
    assert np.isnan(F.cross_entropy(tensor(x), device(np.array([[0.0, 1.0, 0.0]]))).item())
    assert np.isnan(F.nll_loss(tensor(x), [0], weight=[0.0, 1.0, 1.0], reduction="sum").item())


@pytest.mark.parametrize("row", [[-np.inf, -np.inf, -np.inf], [np.inf, 0.0, np.nan]])
def test_an_ignored_sample_adds_nothing_to_the_second_derivative_whatever_its_scores_are(row):
    x = np.array([[1.0, 2.0, 4.0], row])
    found = value_and_derivatives(lambda t: F.cross_entropy(t, device(np.array([0, -100]))), x)
    alone = value_and_derivatives(lambda t: F.cross_entropy(t, device(np.array([0]))), x[:1])
    np.testing.assert_allclose(found[0], alone[0])
    for whole, part in zip(found[1:], alone[1:], strict=True):
        np.testing.assert_allclose(whole[:1], part)
        np.testing.assert_array_equal(whole[1], 0)
