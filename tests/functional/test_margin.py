"""minidl/functional/margin.py."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import minidl as md
import minidl.functional as F
from minidl import backend
from tests.arrays import device, host, tensor
from tests.factory import check, examples, operand
from tests.functional.samples import class_count, ours_of, scores, theirs_of, weights_of, without_classes
from tests.pytorch import TF, torch

REDUCTIONS = st.sampled_from(["mean", "sum", "none"])
SMOOTHINGS = st.sampled_from([0.0, 0.1, 1.0])


@examples(60)
@given(st.data())
def test_multi_margin_loss(data):
    x = data.draw(scores(max_dims=2))
    weight, reduction = data.draw(weights_of(x)), data.draw(REDUCTIONS)
    p, margin = data.draw(st.sampled_from([1, 2])), data.draw(st.sampled_from([1.0, 0.25, 2.0]))
    seed = data.draw(st.integers(0, 10**6))
    labels = np.asarray(np.random.default_rng(seed).integers(0, class_count(x), without_classes(x.values.shape)))

    def plain(t):  # PyTorch's own has no second derivative
        y = torch.tensor(labels)
        own = TF.one_hot(y, t.shape[-1]).bool()
        missing = torch.relu(margin - t[own].reshape(y.shape)[..., None] + t).masked_fill(own, 0)
        loss = (missing**p).mean(-1) * (1 if weight is None else theirs_of(weight)[y])
        return {"mean": loss.mean(), "sum": loss.sum(), "none": loss}[reduction]

    def ours(t):
        return F.multi_margin_loss(t, device(labels), p, margin, ours_of(weight), reduction)

    def theirs(t):
        return TF.multi_margin_loss(t, torch.tensor(labels), p, margin, theirs_of(weight), reduction=reduction)

    check(ours, theirs, x, second=False, numeric=False, slack=2)
    check(ours, plain, x, slack=2)


@examples(60)
@given(st.data())
def test_hinge_loss(data):
    x, reduction = data.draw(operand()), data.draw(REDUCTIONS)
    sides = np.random.default_rng(data.draw(st.integers(0, 10**6))).choice([-1.0, 1.0], x.values.shape)

    def theirs(t):
        loss = torch.relu(1 - torch.tensor(sides) * t)
        return {"mean": loss.mean(), "sum": loss.sum(), "none": loss}[reduction]

    check(
        lambda t: F.hinge_loss(t, device(sides.astype(t.dtype)), reduction),
        theirs,
        x,
        numeric=x.values.size > 0,
        slack=2,
    )


def test_labels_of_0_and_1_are_no_sides():
    x = tensor(np.array([0.5, 2.0]))
    if backend.current() == "numpy":
        with pytest.raises(ValueError, match=r"targets of -1 and \+1; got values from 0 to 1.*2 \* target - 1"):
            F.hinge_loss(x, [0, 1])
    assert F.hinge_loss(x, [-1, 1]).item() == 0.75


@pytest.mark.parametrize("p", [1, 2])
def test_infinite_scores(p):
    """Where the right one is infinite the lead is, and costs nothing; an infinite loss of weight 0 neither."""
    scores = np.array([[np.inf, 1.0, 0.5], [0.5, 2.0, -np.inf], [np.inf, 1.0, 0.0]])
    x, labels = tensor(scores, True), device(np.array([0, 1, 2]))
    loss = F.multi_margin_loss(x, labels, p, weight=[1.0, 1.0, 0.0], reduction="none")
    np.testing.assert_array_equal(host(loss), 0)
    loss.sum().backward()
    np.testing.assert_array_equal(host(x.grad), 0)
    assert F.multi_margin_loss(x, labels, p, reduction="sum").item() == np.inf


@pytest.mark.parametrize(("dtype", "large"), [("float16", 3e4), ("float32", 1e30), ("float64", 1e300)])
@pytest.mark.parametrize("p", [1, 2])
def test_a_class_of_weight_0_does_not_count_however_large_its_scores(p, dtype, large):
    x = tensor(np.array([[0.0, large, 1], [0, 0.5, 0], [0, np.inf, 1]], dtype), True)
    weight = device(np.array([0.0, 1, 1], dtype))
    loss = F.multi_margin_loss(x, device(np.array([0, 1, 0])), p, weight=weight, reduction="none")
    np.testing.assert_allclose(host(loss), [0, 2 * 0.5**p / 3, 0], rtol=1e-3)
    slope = md.grad(F.sum(loss), x, create_graph=True)
    np.testing.assert_array_equal(host(slope)[[0, 2]], 0)
    np.testing.assert_array_equal(host(md.grad(slope.sum(), x))[[0, 2]], 0)
