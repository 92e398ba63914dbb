"""Tutorial 5: what it claims, and its exercises with students' answers."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import minidl as md
import minidl.functional as F
from minidl.check.differences import by_differences
from tests.tutorials.conftest import TUTORIALS, Run

STEM = "05_mlp_spirals"
pytestmark = pytest.mark.skipif(not (TUTORIALS / f"{STEM}.py").exists(), reason="the tutorials are not installed")


@pytest.fixture
def ran(tutorial: Run) -> dict[str, Any]:
    return tutorial(STEM)


# ---- what it claims


def test_the_numbers_to_predict_are_those_of_the_network(ran: dict[str, Any]) -> None:
    model = ran["new_model"]()
    assert sum(p.size for p in model.parameters()) == md.check.t05_parameters.solution
    assert ran["run"]["start"] == pytest.approx(np.log(3), rel=0.02)
    assert np.abs(model(md.Tensor(ran["train"].inputs)).numpy()).max() < 0.5  # all scores are near 0


def test_no_straight_line_separates_the_arms(ran: dict[str, Any]) -> None:
    model = ran["new_model"]((2, 3))
    optimizer = md.optim.SGD(model, lr=0.5)
    for _ in range(50):
        ran["train_epoch"](model, optimizer, ran["batches"])
    assert ran["accuracy"](model, ran["train"].inputs, ran["train"].labels) < 0.6


def test_the_healthy_run_learns_what_holds_for_new_points(ran: dict[str, Any]) -> None:
    run = ran["run"]
    assert run["train"][-1] < 0.15
    assert run["accuracy"][-1] > 0.95
    assert abs(np.mean(run["train"][-20:]) - np.mean(run["validation"][-20:])) < 0.05  # together to the end
    assert 0.05 < ran["early"] < 0.95  # a lower validation loss happens, and is not the rule
    assert len(run["train"]) == 100


def test_a_smaller_rate_is_smoother_and_slower(ran: dict[str, Any]) -> None:
    slower = ran["train_for"](40, 0.1)
    jumps, jumps_slower = (np.diff(losses[:40]).max() for losses in (ran["run"]["train"], slower["train"]))
    assert jumps_slower < jumps / 2
    assert slower["train"][-1] > ran["run"]["train"][39]


def test_the_borders_bend_and_the_middle_is_last(ran: dict[str, Any]) -> None:
    planes = ran["run"]["plane"]
    assert list(planes) == [f"after {n} epochs" for n in (0, 10, 40, 100)]
    accuracies = [plane.accuracy for plane in planes.values()]
    assert accuracies == sorted(accuracies)
    assert accuracies[0] < 0.5 < accuracies[1] < 0.7 < accuracies[2] < 0.95 < accuracies[3]
    sectors = planes["after 10 epochs"].answer
    assert all((sectors == k).mean() > 0.1 for k in range(3))
    last = planes["after 100 epochs"]
    assert np.linalg.norm(last.points[last.point_answer != last.labels], axis=1).max(initial=0) < 0.4


def test_far_from_all_points_the_network_is_sure(ran: dict[str, Any]) -> None:
    plane = ran["run"]["plane"]["after 100 epochs"]
    assert np.median([plane.confidence[i, j] for i in (0, -1) for j in (0, -1)]) > 0.9


def test_the_three_rates_end_as_is_told(ran: dict[str, Any]) -> None:
    small, good, large = (ran["runs"][f"rate {rate}"] for rate in ("0.01", "0.5", "3"))
    assert 0.95 < small["train"][-1] < np.log(3)
    assert large["train"][-1] == pytest.approx(np.log(3), abs=0.1)
    assert abs(large["accuracy"][-1] - 1 / 3) < 0.01
    assert good["train"][-1] < 0.15


def test_the_updates_tell_the_flat_curves_apart(ran: dict[str, Any]) -> None:
    ratio = {name: np.array(seen["flow"].update_ratio) for name, seen in ran["runs"].items()}
    assert ratio["rate 0.01"].shape == (600, 3)
    assert 3e-5 < np.median(ratio["rate 0.01"][:, 0]) < 3e-4  # a ten-thousandth
    medians = np.median(ratio["rate 0.5"], axis=0)
    assert (medians > 2e-3).all()
    assert (medians < 5e-2).all()
    stopped = np.flatnonzero(ratio["rate 3"].max(axis=1) > 0)[-1] + 1
    assert 50 < stopped < 200  # about a hundred
    assert ratio["rate 3"][:10].max() > 0.5  # in part as large as the weights
    assert (ratio["rate 3"][stopped:] == 0).all()


def test_the_network_of_rate_3_is_dead(ran: dict[str, Any]) -> None:
    assert ran["name"] == "rate 3"
    assert ran["alive"][1] == 0  # the loop's last
    plane = ran["runs"]["rate 3"]["plane"]["after 100 epochs"]
    assert len(set(plane.point_answer.tolist())) == 1
    assert len(set(plane.answer.ravel().tolist())) > 1  # far from the points a unit is above 0 still
    scores = ran["runs"]["rate 3"]["model"](md.Tensor(ran["train"].inputs)).numpy()
    assert (scores == scores[0]).all()
    shares = np.exp(scores[0]) / np.exp(scores[0]).sum()
    assert (np.abs(shares - 1 / 3) < 0.15).all()  # about a third for each class


def test_what_the_teacher_gets(ran: dict[str, Any], tmp_path: Path) -> None:
    assert list(ran["slides"]) == ["05_planes", "05_updates"]
    tape = ran["pages"]["05_one_batch"]
    assert {event.phase for event in tape} == {"forward", "loss", "backward", "accumulate", "update"}
    tape.save_html(tmp_path / "page.html")
    assert (tmp_path / "page.html").stat().st_size < 300_000


def test_a_step_of_the_epoch_is_the_gradient_by_differences() -> None:
    rng = np.random.default_rng(3)
    weights = [rng.standard_normal(shape) for shape in ((3, 2), (3,), (3, 3), (3,))]
    x, y = rng.standard_normal((6, 2)), np.arange(6) % 3

    def loss(w1, b1, w2, b2):
        scores = np.tanh(x @ w1.T + b1) @ w2.T + b2
        return -np.mean(scores[np.arange(6), y] - np.log(np.exp(scores).sum(axis=1)))

    model = md.models.mlp((2, 3, 3), "tanh")
    for parameter, values in zip(model.parameters(), weights, strict=True):
        parameter.data = values.copy()
    md.check.t05_train_epoch.solution(model, md.optim.SGD(model, lr=0.5), [(x, y)])
    expected = by_differences(loss, 1.0, tuple(weights))
    for before, after, gradient in zip(weights, model.parameters(), expected, strict=True):
        np.testing.assert_allclose((before - after.numpy()) / 0.5, gradient, rtol=1e-5, atol=1e-8)


# ---- students' answers


@pytest.mark.parametrize(
    ("answer", "hint"),
    [
        (1184, "bias"),
        (67, "biases alone"),
        (69, "counts the units"),
        (195, "layer is missing"),
        (1253, "inputs have no"),
        (1248, "output have a bias"),
        (1219, "one of the two hidden"),
        (1152, "last layer is missing"),
        (1155, "first layer is missing"),
    ],
)
def test_a_wrong_count(answer: float, hint: str) -> None:
    result = md.check.t05_parameters(answer, show=False)
    assert not result
    assert hint in result.hint


@pytest.mark.parametrize(
    ("answer", "hint"),
    [(0.333, "probability"), (-1.0986, "not below 0"), (0, "probability 1"), (0.477, "natural"), (0.69, "two classes")],
)
def test_a_wrong_first_loss(answer: float, hint: str) -> None:
    result = md.check.t05_first_loss(answer, show=False)
    assert not result
    assert hint in result.hint


def test_right_predictions() -> None:
    assert md.check.t05_parameters(1251.0, show=False)
    assert md.check.t05_first_loss(1.1, show=False)
    assert md.check.t05_first_loss(-np.log(np.float32(1 / 3)), show=False)


def test_the_reasons() -> None:
    assert md.check.t05_stuck("b", show=False)
    assert "first updates" in md.check.t05_stuck("a", show=False).hint
    assert "one answer" in md.check.t05_stuck("c", show=False).hint


def count(model, x, labels):
    guesses = F.argmax(model(md.Tensor(x)), axis=1).numpy()
    return np.sum(guesses == labels)


def no_mean(model, x, labels):
    return np.argmax(model(md.Tensor(x)).numpy(), axis=1) == labels


def no_axis(model, x, labels):
    return np.mean(model(md.Tensor(x)).numpy().argmax() == labels)


def percent(model, x, labels):
    return 100 * np.mean(np.argmax(model(md.Tensor(x)).numpy(), axis=1) == labels)


def error_rate(model, x, labels):
    return np.mean(np.argmax(model(md.Tensor(x)).numpy(), axis=1) != labels)


def probability(model, x, labels):
    p = F.softmax(model(md.Tensor(x)), axis=1).numpy()
    return sum(p[i, labels[i]] for i in range(len(x))) / len(x)


def classes(model, x, labels):
    return model(md.Tensor(x)).numpy().argmax(axis=1)


def of_300(model, x, labels):
    return np.sum(classes(model, x, labels) == labels) / 300


def ends_too_early(model, x, labels):
    found, right = classes(model, x, labels), 0
    for i in range(len(x) - 1):
        right += found[i] == labels[i]
    return right / len(x)


@pytest.mark.parametrize(
    ("answer", "hint"),
    [
        (classes, "classes that the network answers"),
        (of_300, "another number of rows"),
        (ends_too_early, "last point"),
        (count, "number of right"),
        (percent, "percent"),
        (error_rate, "wrong answers"),
        (probability, "mean probability"),
    ],
)
def test_a_wrong_accuracy(answer: Callable[..., Any], hint: str) -> None:
    result = md.check.t05_accuracy(answer, show=False)
    assert not result
    assert hint in result.hint


def in_a_loop(model, x, labels):
    right = 0
    for point, label in zip(x, labels, strict=True):
        if model(md.Tensor(point[None])).numpy().argmax() == label:
            right += 1
    return right / len(labels)


def by_probabilities(model, x, labels):
    p = F.softmax(model(md.tensor(x)), axis=1)
    return np.mean(p.numpy().argmax(1) == labels)


@pytest.mark.parametrize("answer", [in_a_loop, by_probabilities])
def test_a_right_accuracy_in_another_style(answer: Callable[..., Any]) -> None:
    assert md.check.t05_accuracy(answer, show=False), md.check.t05_accuracy(answer, show=False)


def no_zero_grad(model, optimizer, batches):
    losses, n = 0, 0
    for x, y in batches:
        loss = F.cross_entropy(model(md.Tensor(x)), y)
        loss.backward()
        optimizer.step()
        losses += loss.item() * len(x)
        n += len(x)
    return losses / n


def step_before_backward(model, optimizer, batches):
    losses, n = 0, 0
    for x, y in batches:
        optimizer.zero_grad()
        loss = F.cross_entropy(model(md.Tensor(x)), y)
        optimizer.step()
        loss.backward()
        losses += loss.item() * len(x)
        n += len(x)
    return losses / n


def emptied_after_the_step_was_forgotten(model, optimizer, batches):
    losses = []
    for x, y in batches:
        loss = F.cross_entropy(model(md.Tensor(x)), y)
        optimizer.step()
        model.zero_grad()
        loss.backward()
        losses += [loss.item()] * len(y)
    return np.mean(losses)


def summed(model, optimizer, batches):
    total, n = 0, 0
    for x, y in batches:
        optimizer.zero_grad()
        loss = F.sum(F.cross_entropy(model(md.Tensor(x)), y, reduction="none"))
        loss.backward()
        optimizer.step()
        total += loss.item()
        n += len(y)
    return total / n


def mean_of_means(model, optimizer, batches):
    losses = []
    for x, y in batches:
        optimizer.zero_grad()
        loss = F.cross_entropy(model(md.Tensor(x)), y)
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    return np.mean(losses)


def added_up(model, optimizer, batches):
    return mean_of_means(model, optimizer, batches) * len(batches)


def returns_in_the_loop(model, optimizer, batches):
    for x, y in batches:
        optimizer.zero_grad()
        loss = F.cross_entropy(model(md.Tensor(x)), y)
        loss.backward()
        optimizer.step()
        break
    return loss.item()


def the_last(model, optimizer, batches):
    for x, y in batches:
        optimizer.zero_grad()
        loss = F.cross_entropy(model(md.Tensor(x)), y)
        loss.backward()
        optimizer.step()
    return loss.item()


def nothing_returned(model, optimizer, batches):
    the_last(model, optimizer, batches)


def reporting(report):
    """An epoch that trains as it should, and returns a number of its own: report(losses, sizes, batches)."""

    def epoch(model, optimizer, batches):
        losses, sizes = [], []
        for x, y in batches:
            optimizer.zero_grad()
            loss = F.cross_entropy(model(md.Tensor(x)), y)
            loss.backward()
            optimizer.step()
            losses.append(loss.item())
            sizes.append(len(y))
        return report(np.array(losses), np.array(sizes), batches)

    return epoch


def measured_late(model, optimizer, batches):
    total, n = 0, 0
    for x, y in batches:
        optimizer.zero_grad()
        F.cross_entropy(model(md.Tensor(x)), y).backward()
        optimizer.step()
        total += F.cross_entropy(model(md.Tensor(x)), y).item() * len(y)
        n += len(y)
    return total / n


def one_batch_too_few(model, optimizer, batches):
    total, n = 0, 0
    for i, (x, y) in enumerate(batches):
        if i == len(batches) - 1:
            break
        optimizer.zero_grad()
        loss = F.cross_entropy(model(md.Tensor(x)), y)
        loss.backward()
        optimizer.step()
        total += loss.item() * len(y)
        n += len(y)
    return total / n


@pytest.mark.parametrize(
    ("answer", "hint"),
    [
        (reporting(lambda losses, sizes, batches: losses[-1] * sizes[-1] / sizes.sum()), "+= and not ="),
        (reporting(lambda losses, sizes, batches: losses @ sizes / len(batches)), "number of batches"),
        (reporting(lambda losses, sizes, batches: losses @ sizes / 300), "divided by 300"),
        (measured_late, "after the step"),
        (one_batch_too_few, "last batch was not used"),
        (no_zero_grad, "zero_grad belongs inside"),
        (step_before_backward, "no weight has moved"),
        (emptied_after_the_step_was_forgotten, "batch before"),
        (summed, "summed over the batch"),
        (mean_of_means, "counts the same"),
        (added_up, "only added up"),
        (returns_in_the_loop, "only the first batch"),
        (the_last, "last batch alone"),
        (nothing_returned, "still to be returned"),
    ],
)
def test_a_wrong_epoch(answer: Callable[..., Any], hint: str) -> None:
    result = md.check.t05_train_epoch(answer, show=False)
    assert not result
    assert hint in result.hint


def with_lists(model, optimizer, batches):
    losses = []
    for batch in batches:
        inputs, targets = batch
        scores = model(md.Tensor(inputs))
        optimizer.zero_grad()
        loss = F.cross_entropy(scores, targets)
        loss.backward()
        optimizer.step()
        losses.extend([loss.item()] * len(targets))
    return np.mean(losses)


def by_parameters(model, optimizer, batches):
    total = n = 0
    for x, y in batches:
        each = F.cross_entropy(model(md.tensor(x)), y, reduction="none")
        F.mean(each).backward()
        optimizer.step()
        for p in model.parameters():
            p.grad = None
        total += each.numpy().sum()
        n += y.size
    return total / n


@pytest.mark.parametrize("answer", [with_lists, by_parameters])
def test_a_right_epoch_in_another_style(answer: Callable[..., Any]) -> None:
    assert md.check.t05_train_epoch(answer, show=False), md.check.t05_train_epoch(answer, show=False)


def test_what_fails_with_the_tutorials_batches_fails_in_the_check() -> None:
    """The tutorial goes on with an answer that passed: so the batches are a Loader's, and the loss is a number."""

    def by_index(model, optimizer, batches):
        return [batches[i] for i in range(len(batches))]

    def with_history(model, optimizer, batches):
        total = 0
        for x, y in batches:
            optimizer.zero_grad()
            loss = F.cross_entropy(model(md.Tensor(x)), y)
            loss.backward()
            optimizer.step()
            total = total + loss * len(y)
        return total / len(batches.dataset)

    result = md.check.t05_train_epoch(by_index, show=False)
    assert "not subscriptable" in result.difference
    assert "hands them out in a loop" in result.hint
    result = md.check.t05_train_epoch(with_history, show=False)
    assert result.difference == "the mean loss is to be a number; a Tensor came: loss.item() is the number in it"


def test_an_error_is_the_students_own_line() -> None:
    def forgot_the_labels(model, optimizer, batches):
        for x, _ in batches:
            F.cross_entropy(model(md.Tensor(x)))

    result = md.check.t05_train_epoch(forgot_the_labels, show=False)
    assert "F.cross_entropy(model(md.Tensor(x)))" in result.difference
