"""What all schedules have in common."""

from __future__ import annotations

import pytest

from minidl.nn import Linear
from minidl.optim import SGD, CosineLR, ExponentialLR, Schedule, StepLR
from tests.optim.test_curves import optimizer_at, rates
from tests.optim.trajectories import give, scalar


def test_a_schedule_is_made_for_an_optimizer() -> None:
    with pytest.raises(TypeError, match="CosineLR: expected an optimizer; got Linear"):
        CosineLR(Linear(2, 2), 5)  # type: ignore[arg-type]


def test_the_rate_is_a_plain_float_and_is_used() -> None:
    w = scalar(1.0)
    optimizer = SGD([w], lr=1.0)
    schedule = StepLR(optimizer, step_size=1, gamma=0.5)
    give(w, [1])
    for _ in range(3):
        optimizer.step()
        schedule.step()
    assert w.item() == 1 - 1 - 0.5 - 0.25
    assert type(optimizer.lr) is float


def test_a_schedule_made_after_another_starts_from_the_rate_before_both() -> None:
    optimizer = optimizer_at(0.3)
    rates(ExponentialLR(optimizer, 0.5), 5)
    assert StepLR(optimizer, 10).base_lr == optimizer.lr == 0.3


class Doubling(Schedule):
    """A schedule of a user: t(k) = t0 2^k, and a momentum of 1 - 1/(k + 2)."""

    writes = ("lr", "momentum")

    def rate(self, k: int) -> float:
        return float(self.base_lr * 2**k)

    def write_beside(self, k: int) -> None:
        self.optimizer.momentum = 1 - 1 / (k + 2)  # type: ignore[attr-defined]


def test_a_schedule_of_yours_is_a_formula() -> None:
    schedule = Doubling(optimizer_at(0.25))
    assert rates(schedule, 4) == [0.25, 0.5, 1, 2]
    assert schedule.optimizer.momentum == 1 - 1 / 6  # type: ignore[attr-defined]
    again = Doubling(optimizer_at(7.0))
    again.load_state_dict(schedule.state_dict())
    assert again.optimizer.lr == 4
    assert again.optimizer.momentum == 1 - 1 / 6  # type: ignore[attr-defined]
