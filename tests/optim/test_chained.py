"""Schedules joined to one: PyTorch's, and resumed exactly."""

from __future__ import annotations

import json
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest

from minidl import optim
from minidl.optim import ChainedScheduler, CosineLR, ExponentialLR, LinearLR, Schedule, SequentialLR, StepLR
from tests.optim.test_schedules import optimizer_at, rates
from tests.pytorch import torch


def cosine(optimizer: Any, steps: int, end: float = 0.0) -> Any:
    return torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps, end)


THEIRS = SimpleNamespace(**{**vars(torch.optim.lr_scheduler), "CosineLR": cosine})
JOINED: dict[str, Callable[[Any, Any], Any]] = {
    "warm-up and cosine": lambda s, o: s.SequentialLR(o, [s.LinearLR(o), s.CosineLR(o, 35)], milestones=[5]),
    "cosine to a floor": lambda s, o: s.SequentialLR(o, [s.LinearLR(o, 0.1, 1.0, 9), s.CosineLR(o, 31, 0.01)], [9]),
    "three": lambda s, o: s.SequentialLR(
        o, [s.StepLR(o, 4), s.ExponentialLR(o, 0.8), s.MultiStepLR(o, [3, 7], 0.5)], [10, 22]
    ),
    "the first is left out": lambda s, o: s.SequentialLR(o, [s.LinearLR(o), s.StepLR(o, 3)], [0]),
    "one alone": lambda s, o: s.SequentialLR(o, [s.LinearLR(o)], []),
    "at once": lambda s, o: s.ChainedScheduler([s.LinearLR(o, 0.5, 1.0, 10), s.ExponentialLR(o, 0.9)]),
    "at once, named": lambda s, o: s.ChainedScheduler([s.StepLR(o, 7), s.PolynomialLR(o, 40, 2.0)], optimizer=o),
}
every_kind = pytest.mark.parametrize("make", JOINED.values(), ids=JOINED.keys())


@every_kind
@pytest.mark.filterwarnings("ignore:Detected call of `lr_scheduler.step", "ignore:The epoch parameter")
def test_equals_pytorch(make: Callable[[Any, Any], Any]) -> None:
    reference = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=0.2)
    schedule = make(THEIRS, reference)
    expected = []
    for _ in range(40):
        expected.append(reference.param_groups[0]["lr"])
        reference.step()
        schedule.step()
    assert rates(make(optim, optimizer_at(0.2)), 40) == pytest.approx(expected, rel=1e-12, abs=1e-15)


def test_a_sequence_within_a_sequence() -> None:
    optimizer = optimizer_at(1.0)
    inner = SequentialLR(optimizer, [StepLR(optimizer, 2, 0.5), LinearLR(optimizer, 0.5, 1.0, 2)], [4])
    outer = SequentialLR(optimizer, [ExponentialLR(optimizer, 0.1), inner], [2])
    assert rates(outer, 9) == pytest.approx([1, 0.1, 1, 1, 0.5, 0.5, 0.5, 0.75, 1])


def nested(optimizer: Any) -> Schedule:
    warm = LinearLR(optimizer, total_iters=6)
    both = ChainedScheduler([CosineLR(optimizer, 30, 0.01), ExponentialLR(optimizer, 0.9)])
    return SequentialLR(optimizer, [warm, both], [6])


@pytest.mark.parametrize("stop", [3, 14])
def test_resumes_exactly_through_json_on_an_optimizer_that_was_made_with_another_rate(stop: int) -> None:
    expected = rates(nested(optimizer_at(0.2)), 25)
    first = nested(optimizer_at(0.2))
    rates(first, stop)
    resumed = nested(optimizer_at(7.0))
    resumed.load_state_dict(json.loads(json.dumps(first.state_dict())))
    assert rates(resumed, 25 - stop) == expected[stop:]
    assert resumed.state_dict() != first.state_dict()
    rates(first, 25 - stop)
    assert resumed.state_dict() == first.state_dict()


def test_a_state_that_does_not_fit_changes_nothing() -> None:
    schedule = nested(optimizer_at(0.2))
    before, rate = schedule.state_dict(), schedule.optimizer.lr
    state = nested(optimizer_at(0.7)).state_dict()
    state["schedulers"][1]["schedulers"][1] = {"base_lr": 0.7}
    with pytest.raises(ValueError, match="expected 'base_lr' and 'step_count'"):
        schedule.load_state_dict(state)
    assert schedule.state_dict() == before
    assert schedule.optimizer.lr == rate


def test_a_rate_of_0_stays_0() -> None:
    optimizer = optimizer_at(0.0)
    assert rates(ChainedScheduler([LinearLR(optimizer), StepLR(optimizer, 2)]), 5) == [0] * 5


@pytest.mark.parametrize(
    ("make", "error", "words"),
    [
        (lambda o: SequentialLR(o, [], []), ValueError, "one milestone between each two schedules; got 0 for 0"),
        (lambda o: SequentialLR(o, [StepLR(o, 2)], [3]), ValueError, "got 1 for 1 schedules"),
        (lambda o: SequentialLR(o, [StepLR(o, 2)] * 3, [5, 3]), ValueError, "expected milestones in increasing order"),
        (lambda o: ChainedScheduler([]), ValueError, "ChainedScheduler: expected at least one schedule; got none"),
        (lambda o: ChainedScheduler([0.5, StepLR(o, 2)]), TypeError, "entry 0 is 0.5"),
        (
            lambda o: ChainedScheduler([StepLR(o, 2), StepLR(optimizer_at(1.0), 2)]),
            ValueError,
            "that of entry 1, StepLR, is another",
        ),
        (lambda o: SequentialLR(optimizer_at(1.0), [StepLR(o, 2)], []), ValueError, "that of entry 0"),
        (
            lambda o: SequentialLR(o, [StepLR(o, 2)], []).load_state_dict({"base_lr": 1.0, "step_count": 2}),
            ValueError,
            "expected the states of 1 schedules as 'schedulers' in the state of a SequentialLR; got 0",
        ),
    ],
)
def test_refuses_what_makes_no_sense(make: Callable[[Any], Any], error: type[Exception], words: str) -> None:
    with pytest.raises(error, match=words):
        make(optimizer_at(0.1))
