"""ReduceLROnPlateau: PyTorch's, and resumed exactly."""

from __future__ import annotations

import json
import math
from typing import Any

import numpy as np
import pytest

from minidl.optim import ChainedScheduler, ReduceLROnPlateau, SequentialLR, StepLR
from tests.arrays import tensor
from tests.optim.test_curves import optimizer_at
from tests.pytorch import torch


def losses(seed: int, number: int = 300) -> list[float]:
    """A loss that falls, stays, and falls again, with noise and sometimes NaN."""
    rng = np.random.default_rng(seed)
    steps = np.where(rng.random(number) < 0.1, rng.exponential(0.05, number), 0)
    values = 3 * np.exp(-np.cumsum(steps)) + rng.choice([0.0, 1e-5, 0.05]) * rng.standard_normal(number)
    values[rng.random(number) < 0.01] = math.nan
    return [float(value) for value in values]


def rates(schedule: Any, metrics: list[float]) -> list[float]:
    """The rate after each of the losses."""
    found = []
    for loss in metrics:
        schedule.step(loss)
        found.append(schedule.optimizer.param_groups[0]["lr"] if not hasattr(schedule, "last_lr") else schedule.last_lr)
    return found


OPTIONS: list[dict[str, Any]] = [
    {},
    {"patience": 2, "factor": 0.5},
    {"patience": 0, "cooldown": 3, "factor": 0.9},
    {"patience": 3, "threshold": 0.05, "threshold_mode": "abs", "factor": 0.7},
    {"patience": 3, "threshold": 0.05, "factor": 0.7, "min_lr": 0.01},
    {"patience": 1, "factor": 0.3, "eps": 1e-3, "cooldown": 1},
    {"patience": 2, "factor": 0.0, "min_lr": 0.02},
]


@pytest.mark.parametrize("mode", ["min", "max"])
@pytest.mark.parametrize("options", OPTIONS, ids=str)
@pytest.mark.parametrize("seed", range(4))
def test_equals_pytorch(options: dict[str, Any], mode: str, seed: int) -> None:
    reference = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=0.2)
    theirs = torch.optim.lr_scheduler.ReduceLROnPlateau(reference, mode, **options)
    ours = ReduceLROnPlateau(optimizer_at(0.2), mode, **options)
    metrics = [5 - loss if mode == "max" else loss for loss in losses(seed)]
    found = rates(ours, metrics)
    assert found == rates(theirs, metrics)
    assert len(set(found)) > 1
    assert (ours.best, ours.num_bad_epochs) == (theirs.best, theirs.num_bad_epochs)


def test_the_rate_falls_when_patience_is_at_its_end() -> None:
    schedule = ReduceLROnPlateau(optimizer_at(1.0), factor=0.5, patience=2)
    assert rates(schedule, [3.0, 2.0, 2.0, 2.0, 2.0, 2.0, 2.0, 2.0, 1.0]) == [1, 1, 1, 1, 0.5, 0.5, 0.5, 0.25, 0.25]
    assert schedule.optimizer.lr == 0.25
    assert schedule.get_last_lr() == [0.25]


def test_it_changes_the_rate_that_it_finds() -> None:
    schedule = ReduceLROnPlateau(optimizer_at(1.0), factor=0.5, patience=0)
    schedule.step(1.0)
    schedule.optimizer.lr = 0.3
    schedule.step(0.5)
    assert schedule.optimizer.lr == 0.3
    schedule.step(0.5)
    assert schedule.optimizer.lr == 0.15


def test_the_loss_may_be_a_tensor() -> None:
    schedule = ReduceLROnPlateau(optimizer_at(1.0), patience=0)
    schedule.step(tensor(np.float32(2.0)))
    schedule.step(np.float64(3.0))
    assert (schedule.best, schedule.last_lr) == (2.0, pytest.approx(0.1))


@pytest.mark.parametrize("stop", [0, 1, 40, 171])
def test_resumes_exactly_through_json(stop: int) -> None:
    metrics = losses(0)

    def make(lr: float) -> ReduceLROnPlateau:
        return ReduceLROnPlateau(optimizer_at(lr), patience=2, factor=0.8, cooldown=2)

    straight, first, resumed = make(0.2), make(0.2), make(5.0)
    expected = rates(straight, metrics)
    rates(first, metrics[:stop])
    resumed.load_state_dict(json.loads(json.dumps(first.state_dict(), allow_nan=False)))
    assert resumed.optimizer.lr == first.optimizer.lr
    assert rates(resumed, metrics[stop:]) == expected[stop:]
    assert resumed.state_dict() == straight.state_dict()


def test_a_state_that_does_not_fit_changes_nothing() -> None:
    schedule = ReduceLROnPlateau(optimizer_at(0.2))
    schedule.step(1.0)
    before = schedule.state_dict()
    for change in ({"best": "1"}, {"num_bad_epochs": -1}, {"rate": math.nan}, {"step_count": 0.5}, {"more": 1}):
        with pytest.raises(ValueError, match=next(iter(change))):
            schedule.load_state_dict({**before, **change})
    with pytest.raises(ValueError, match="expected 'rate', 'best', 'num_bad_epochs', 'cooldown_counter'"):
        schedule.load_state_dict({"base_lr": 0.2, "step_count": 1})
    assert schedule.state_dict() == before


def test_it_is_joined_with_no_other() -> None:
    optimizer = optimizer_at(0.2)
    parts = [StepLR(optimizer, 3), ReduceLROnPlateau(optimizer)]
    for make in (lambda: ChainedScheduler(parts), lambda: SequentialLR(optimizer, parts, [3])):
        with pytest.raises(TypeError, match="entry 1, ReduceLROnPlateau, cannot be joined: it is stepped with a loss"):
            make()


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"mode": "loss"}, "mode: expected 'min' or 'max'; got 'loss'"),
        ({"factor": 1.0}, r"factor: expected a number below 1, by which the rate is to fall; got 1\.0"),
        ({"patience": -1}, "patience: expected a whole number of at least 0"),
        ({"threshold_mode": "part"}, "threshold_mode: expected 'rel' or 'abs'"),
        ({"min_lr": -0.1}, "min_lr: expected a finite number of at least 0"),
    ],
)
def test_refuses_what_makes_no_sense(options: dict[str, Any], words: str) -> None:
    with pytest.raises(ValueError, match=f"ReduceLROnPlateau: {words}"):
        ReduceLROnPlateau(optimizer_at(0.1), **options)


def test_refuses_what_is_no_loss() -> None:
    schedule = ReduceLROnPlateau(optimizer_at(0.1))
    with pytest.raises(ValueError, match="ReduceLROnPlateau: the loss: expected a number; got None"):
        schedule.step(None)
    with pytest.raises(TypeError, match="metrics"):
        schedule.step()  # type: ignore[call-arg]
    assert schedule.step_count == 0
