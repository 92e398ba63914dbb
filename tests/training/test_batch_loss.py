"""minidl/training/batch_loss.py: a loss is one number, and says how much it counts."""

import numpy as np
import pytest

import minidl as md
import minidl.functional as F
from minidl import nn
from minidl.training.batch_loss import BatchLoss
from tests.arrays import device, host

SCORES = md.Tensor(device(np.random.default_rng(0).normal(size=(4, 3)).astype(np.float32)))
LABELS = device(np.array([0, 1, -100, -100]))


def test_a_mean_counts_by_what_it_was_divided_by():
    loss = BatchLoss(F.cross_entropy, "fit")
    assert float(host(loss(SCORES, LABELS))) == float(host(F.cross_entropy(SCORES, LABELS)))
    assert float(host(loss.counted(4))) == 2
    assert not loss.is_sum()


def test_a_loss_that_does_not_say_counts_by_its_examples():
    loss = BatchLoss(lambda x, y: F.mean(x * x), "fit")
    loss(SCORES, LABELS)
    assert loss.counted(4) == 4


def test_what_a_loss_is_made_of_counts_whatever_is_added_to_it():
    loss = BatchLoss(lambda x, y: 2 * F.cross_entropy(x, y) + 0.1 * F.mean(x * x), "fit")
    loss(SCORES, LABELS)
    assert float(host(loss.counted(4))) == 2


def test_a_sum_is_known_as_one():
    loss = BatchLoss(nn.CrossEntropyLoss(reduction="sum"), "fit")
    loss(SCORES, LABELS)
    assert loss.is_sum()


@pytest.mark.parametrize(
    ("loss", "words"),
    [
        (lambda x, y: x, r"fit: expected loss\(outputs, labels\) to be a Tensor with one number; got Tensor of shape "
                         r"\(4, 3\).*take its mean"),
        (nn.CrossEntropyLoss(reduction="none"), r"got Tensor of shape \(4,\).*take its mean"),
        (lambda x, y: 0.5, r"got 0\.5: compute it of the outputs"),
        (lambda x, y: (F.mean(x), F.mean(x)), "got tuple"),
        (lambda x, y: None, "got None"),
    ],
)  # fmt: skip
def test_what_is_no_number_is_refused(loss, words):
    with pytest.raises(TypeError, match=words):
        BatchLoss(loss, "fit")(SCORES, LABELS)


@pytest.mark.parametrize(
    ("loss", "words"),
    [
        (nn.MSELoss, r"evaluate: expected a loss, .*; got a class: make one, MSELoss\(\.\.\.\)"),
        ("mse", r"such as F\.cross_entropy or nn\.MSELoss\(\); got 'mse'"),
        (3, "got 3"),
    ],
)
def test_what_cannot_be_called_is_refused(loss, words):
    with pytest.raises(TypeError, match=words):
        BatchLoss(loss, "evaluate")
