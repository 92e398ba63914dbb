"""minidl/functional/counting.py: what the means of losses were divided by."""

from __future__ import annotations

import threading

import numpy as np
import pytest

import minidl as md
import minidl.functional as F
from minidl import nn
from minidl.functional.counting import Division, noting_divisions
from tests.arrays import device, host

SCORES = np.random.default_rng(0).normal(size=(4, 3)).astype(np.float32)
WEIGHT = [1.0, 2.0, 4.0]


def divisions_of(loss, *arguments):
    with noting_divisions() as found:
        loss(*[md.Tensor(device(x)) if x.dtype.kind == "f" else device(x) for x in arguments])
    return [(None if d.divisor is None else float(host(d.divisor)), d.ignored) for d in found]


@pytest.mark.parametrize(
    ("loss", "labels", "divisor", "ignored"),
    [
        (F.cross_entropy, [0, 1, 2, 0], 4, -100),
        (F.cross_entropy, [0, 1, -100, -100], 2, -100),
        (F.cross_entropy, [-100] * 4, 0, -100),
        (nn.CrossEntropyLoss(ignore_index=0), [0, 1, 2, 0], 2, 0),
        (nn.CrossEntropyLoss(ignore_index=7, label_smoothing=0.1), [0, 7, 2, 0], 3, 7),
        (nn.CrossEntropyLoss(reduction="sum"), [0, 1, 2, 0], None, -100),
        (lambda x, y: F.cross_entropy(x, y, device(np.float32(WEIGHT))), [0, 1, 2, -100], 7, -100),
        (lambda x, y: F.nll_loss(x, y, device(np.float32(WEIGHT)), ignore_index=1), [0, 1, 2, 2], 9, 1),
        (nn.NLLLoss(reduction="sum"), [0, 1, 2, 2], None, -100),
        (lambda x, y: F.cross_entropy(x.reshape(1, 3, 4), y.reshape(1, 4)), [0, 1, 2, -100], 3, -100),
    ],
)
def test_losses_against_labels_say_how_many_counted(loss, labels, divisor, ignored):
    assert divisions_of(loss, SCORES, np.array(labels)) == [(divisor, ignored)]


def test_weighted_distances_say_what_the_weights_are_together():
    weight = np.abs(SCORES)
    for loss in (F.mse_loss, F.l1_loss):
        (found,) = divisions_of(lambda x, y, w: loss(x, y, weight=w), SCORES, SCORES, weight)  # noqa: B023
        assert found == (pytest.approx(weight.sum()), None)


@pytest.mark.parametrize("loss", [F.mse_loss, F.l1_loss, F.huber_loss, F.kl_div])
def test_other_losses_say_only_that_they_are_a_sum(loss):
    assert divisions_of(lambda x, y: loss(x, y, "sum"), SCORES, abs(SCORES)) == [(None, None)]
    for reduction in ("mean", "none"):
        assert divisions_of(lambda x, y: loss(x, y, reduction), SCORES, abs(SCORES)) == []  # noqa: B023


def test_one_loss_for_each_sample_is_not_noted():
    assert divisions_of(nn.CrossEntropyLoss(reduction="none"), SCORES, np.array([0, 1, 2, -100])) == []


def test_who_asks_is_told_of_this_thread_only_and_once():
    labels = device(np.array([0, 1, 2, 0]))
    with noting_divisions() as outer:
        with noting_divisions() as inner:
            thread = threading.Thread(target=F.cross_entropy, args=(device(SCORES), labels))
            thread.start()
            thread.join()
        F.cross_entropy(device(SCORES[:1]), labels[:1])
    F.cross_entropy(device(SCORES), labels)
    assert inner == []
    assert [Division(int(host(d.divisor)), d.ignored) for d in outer] == [Division(1, -100)]


@pytest.mark.parametrize("reduction", ["mean", "sum"])
def test_a_part_says_how_much_a_loss_changes_with_it(reduction):
    x, y = md.Tensor(device(SCORES)), device(np.array([0, 1, 2, -100]))
    with noting_divisions(parts=True) as found:
        loss = 3 * F.cross_entropy(x, y, reduction=reduction) + F.mse_loss(x, x * 0)
    first, second = found
    assert (first.divisor is None) == (reduction == "sum")
    assert second.divisor == 12
    np.testing.assert_array_equal(host(first.part), host(F.cross_entropy(x, y, reduction=reduction)))
    slopes = md.grad(loss, [first.part, second.part])
    assert [slope.item() for slope in slopes] == [3, 1]


def test_the_part_of_what_counts_nothing_is_0():
    with noting_divisions(parts=True) as found:
        loss = F.cross_entropy(md.Tensor(device(SCORES)), device(np.full(4, -100))) + 0.5
    assert found[0].part.item() == 0
    assert loss.item() == 0.5
