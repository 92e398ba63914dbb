"""minidl/training/whole_loss.py: a loss of batches is that of all data in one batch, whatever it is made of."""

from __future__ import annotations

import warnings

import numpy as np
import pytest

import minidl as md
import minidl.functional as F
from minidl import nn
from minidl.data import Dataset, Loader
from minidl.training.evaluation import evaluate
from minidl.training.whole_loss import WholeLoss
from tests.arrays import device, host

RANDOM = np.random.default_rng(3)
SCORES = RANDOM.normal(size=(12, 3)).astype(np.float32)
LABELS = np.array([0, 1, -100, 2, -100, -100, -100, 1, 1, 2, -100, 0])
CLASSES = np.abs(LABELS) % 3
WEIGHT = device(np.array([1.0, 0.25, 3.0], np.float32))
PENALTY = nn.Parameter(device(np.array([0.6, 0.8], np.float32)))
IGNORING = nn.CrossEntropyLoss(ignore_index=1)


def squares(y, t, reduction="mean"):
    """Of the scores, of which the first column counts as often as the label says."""
    return F.mse_loss(y, y * 0, reduction, weight=md.Tensor(device(np.ones((1, 3), np.float32))) * (t[:, None] + 0.5))


def added_in_place(y, t):
    loss = F.cross_entropy(y, t)
    loss += F.sum(PENALTY * PENALTY)
    return loss


LOSSES = {
    "two means, of other labels": (lambda y, t: F.cross_entropy(y, t) + 0.5 * IGNORING(y, abs(t) % 3), LABELS),
    "class weights and squares": (lambda y, t: F.cross_entropy(y, t, WEIGHT) - 2 * squares(y, t), CLASSES),
    "ignored, and a mean of all": (lambda y, t: F.cross_entropy(y, t) + 0.1 * F.mse_loss(y, y * 0), LABELS),
    "ignored, and a mean that is no loss": (lambda y, t: F.cross_entropy(y, t) + 0.1 * F.mean(y * y), LABELS),
    "ignored, and a penalty": (lambda y, t: F.cross_entropy(y, t) + 0.1 * F.norm(PENALTY), LABELS),
    "ignored, and a penalty that is a loss": (
        lambda y, t: F.cross_entropy(y, t) + F.mse_loss(PENALTY, PENALTY * 0, reduction="sum"),
        LABELS,
    ),
    "a penalty added in place": (added_in_place, LABELS),
    "a sum over the number of examples": (lambda y, t: F.mse_loss(y, y * 0, reduction="sum") / len(t), CLASSES),
    "half of it, and a mean": (lambda y, t: F.l1_loss(y, y * 0, "sum") / (2 * len(t)) + F.cross_entropy(y, t), LABELS),
    "a sum over the labels that count": (
        lambda y, t: F.cross_entropy(y, t, reduction="sum") / (t >= 0).sum(),
        np.where(np.arange(12) % 4 == 0, LABELS, CLASSES),
    ),
    "a sum times a constant": (lambda y, t: 0.25 * F.cross_entropy(y, t, reduction="sum"), LABELS),
    "a sum and a mean": (lambda y, t: F.l1_loss(y, y * 0, "sum") + F.cross_entropy(y, t), LABELS),
    "the mean of two sums": (lambda y, t: (F.l1_loss(y, y * 0, "sum") + F.mse_loss(y, y * 0, "sum")) / 2, CLASSES),
    "means in a stack": (lambda y, t: F.mean(F.stack([F.cross_entropy(y, t), F.cross_entropy(y, abs(t) % 3)])), LABELS),
    "a sum that is no loss": (lambda y, t: F.sum((y - t[:, None]) ** 2), CLASSES),
    "a sum of one a sample": (lambda y, t: F.sum(F.cross_entropy(y, t, reduction="none")) / 12, CLASSES),
    "ignored, and a sum that is no loss": (lambda y, t: F.cross_entropy(y, t) + F.sum(abs(y)), LABELS),
    "by the batch": (lambda y, t: F.kl_div(F.log_softmax(y), F.softmax(y * 2), "batchmean"), CLASSES),
    "one a sample": (lambda y, t: F.mean(F.cross_entropy(y, t, reduction="none")), CLASSES),
    "a part that is not used": (lambda y, t: F.cross_entropy(y, t) + 0 * F.cross_entropy(y, abs(t) % 3), LABELS),
}  # fmt: skip


@pytest.mark.parametrize("batch_size", [1, 2, 4, 5, 12, 100])
@pytest.mark.parametrize("name", LOSSES)
def test_the_batch_size_changes_nothing(name, batch_size):
    loss, labels = LOSSES[name]
    with md.no_grad():
        expected = float(host(loss(md.Tensor(device(SCORES)), device(labels))))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = evaluate(nn.Identity(), Dataset(SCORES, labels), batch_size, loss)
    np.testing.assert_allclose(found.loss, expected, rtol=1e-5)


@pytest.mark.parametrize(
    "loss",
    [
        lambda y, t: F.sqrt(F.mse_loss(y, y * 0)),
        lambda y, t: F.exp(F.cross_entropy(y, t)),
        lambda y, t: F.cross_entropy(y, t) * F.mse_loss(y, y * 0),
        lambda y, t: F.cross_entropy(y, t) if len(t) > 4 else F.cross_entropy(y, t) + F.mse_loss(y, y * 0),
    ],
)
def test_a_loss_that_is_no_sum_of_means_is_warned_of(loss):
    data = Dataset(SCORES, CLASSES)
    with pytest.warns(
        UserWarning, match=r"evaluate: the loss is no sum of means.* depends on batch_size\. Take batch_size="
    ):
        found = evaluate(nn.Identity(), data, 5, loss)
    with md.no_grad():
        parts = [
            float(host(loss(md.Tensor(device(SCORES[i : i + 5])), device(CLASSES[i : i + 5])))) for i in (0, 5, 10)
        ]
    np.testing.assert_allclose(found.loss, np.average(parts, weights=[5, 5, 2]), rtol=1e-6)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = evaluate(nn.Identity(), data, 12, loss)
    with md.no_grad():
        np.testing.assert_allclose(found.loss, float(host(loss(md.Tensor(device(SCORES)), device(CLASSES)))), rtol=1e-6)


def test_the_validation_of_fit_takes_the_loss_apart_too():
    model = nn.Linear(3, 3)
    model.to(md.backend.current())
    loss, labels = LOSSES["two means, of other labels"]
    data = Dataset(np.tile(SCORES, (50, 1)), np.tile(labels, 50))  # more than a batch
    history = md.fit(model, md.optim.SGD(model, lr=0.0), Loader(data, 600), loss, epochs=1, validation=data)
    with md.no_grad():
        expected = float(host(loss(model(md.Tensor(device(data.inputs))), device(data.labels))))
    np.testing.assert_allclose(history.validation_loss, [expected], rtol=1e-5)


def test_batches_of_which_nothing_counts_add_nothing():
    whole = WholeLoss(lambda y, t: F.cross_entropy(y, t) + 0.25, "evaluate")
    outputs = md.Tensor(device(SCORES[:2]))
    for labels in ([-100, -100], [0, 1], [-100, -100]):
        whole.add(outputs, device(np.array(labels)))
    np.testing.assert_allclose(
        whole.value(), F.cross_entropy(outputs, device(np.array([0, 1]))).item() + 0.25, rtol=1e-6
    )
    nothing = WholeLoss(F.cross_entropy, "evaluate")
    nothing.add(outputs, device(np.array([-100, -100])))
    assert np.isnan(nothing.value())


def test_an_infinite_loss_stays_infinite():
    scores = np.array([[-np.inf, 0.0], [1.0, 2.0], [3.0, 1.0]], np.float32)
    for size in (1, 2, 3):
        assert evaluate(nn.Identity(), Dataset(scores, np.array([0, 1, 0])), size).loss == np.inf


def test_a_loss_that_takes_batches_of_one_size_is_asked_for_no_others():
    def loss(y, t):
        return F.mean(y * md.tensor(np.ones((4, 3), np.float32)))

    whole = WholeLoss(loss, "evaluate")
    for i in (0, 4, 8):
        whole.add(md.tensor(SCORES[i : i + 4]), CLASSES[i : i + 4])
    np.testing.assert_allclose(whole.value(), SCORES.mean(), rtol=1e-5)


def test_a_loss_that_makes_numbers_of_its_parts_is_a_mean_over_the_examples():
    def metric(y, t):
        return md.tensor(float(np.asarray(F.cross_entropy(y, t).numpy())))

    found = evaluate(nn.Identity(), Dataset(SCORES, CLASSES), 5, metric)
    np.testing.assert_allclose(found.loss, evaluate(nn.Identity(), Dataset(SCORES, CLASSES)).loss, rtol=1e-6)
