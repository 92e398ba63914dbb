"""minidl/functional/likelihood.py."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import minidl.functional as F
from tests.arrays import device, host, tensor
from tests.factory import check, check_special, examples, operand
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
