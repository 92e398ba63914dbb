"""Schedules made of schedules: one after the other, or several at once."""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Sequence
from typing import Any

from minidl.optim.optimizer import Optimizer
from minidl.optim.plateau import ReduceLROnPlateau
from minidl.optim.schedule import Schedule, whole_steps
from minidl.optim.settings import Setting


def some_schedules(values: Any, name: str) -> tuple[Schedule, ...]:
    """Schedules, all of which are functions of the step."""
    schedules = tuple(values)
    for i, schedule in enumerate(schedules):
        if not isinstance(schedule, Schedule):
            raise TypeError(f"{name}: expected schedules; entry {i} is {schedule!r}")
        if isinstance(schedule, ReduceLROnPlateau):
            raise TypeError(f"{name}: entry {i}, ReduceLROnPlateau, cannot be joined: it is stepped with a loss")
    return schedules


def increasing_steps(values: Any, name: str) -> tuple[int, ...]:
    """Numbers of steps, none of them smaller than the one before."""
    steps = whole_steps(values, name)
    if steps != tuple(sorted(steps)):
        raise ValueError(f"{name}: expected milestones in increasing order; got {steps}")
    return steps


class _Joined(Schedule):
    """What the two kinds share: several schedules of one optimizer, asked for their rates but never stepped."""

    schedulers = Setting(some_schedules)

    def __init__(self, optimizer: Optimizer | None, schedulers: Sequence[Schedule]) -> None:
        self.schedulers = schedulers
        owner: Any = optimizer or next((schedule.optimizer for schedule in self.schedulers), None)
        self.optimizer = owner
        self.check_settings()
        super().__init__(owner)

    @property
    def writes(self) -> tuple[str, ...]:  # type: ignore[override]
        """What one of the schedules writes."""
        return tuple({name: None for schedule in self.schedulers for name in schedule.writes})

    def check_settings(self) -> None:
        """Refuse no schedules, and schedules of several optimizers."""
        if not self.schedulers:
            raise ValueError(f"{type(self).__name__}: expected at least one schedule; got none")
        for i, schedule in enumerate(self.schedulers):
            if schedule.optimizer is not self.optimizer:
                raise ValueError(
                    f"{type(self).__name__}: expected schedules of one optimizer; that of entry {i}, "
                    f"{type(schedule).__name__}, is another one"
                )

    def state_dict(self) -> dict[str, Any]:
        """Plain numbers, with the states of the schedules in a list."""
        return {**super().state_dict(), "schedulers": [schedule.state_dict() for schedule in self.schedulers]}

    def _check(self, state: dict[str, Any]) -> None:
        own = dict(state)
        states = own.pop("schedulers", [])
        if len(states) != len(self.schedulers):
            raise ValueError(
                f"expected the states of {len(self.schedulers)} schedules as 'schedulers' in the state of a "
                f"{type(self).__name__}; got {len(states)}"
            )
        for schedule, inner in zip(self.schedulers, states, strict=True):
            schedule._check(inner)
        super()._check(own)

    def _restore(self, state: dict[str, Any]) -> None:
        for schedule, inner in zip(self.schedulers, state["schedulers"], strict=True):
            schedule._restore(inner)
        super()._restore(state)


class SequentialLR(_Joined):
    """One schedule after the other: from milestone i on schedule i + 1, which counts from there, t(k) = t_i+1(k - m_i).

        warmup = md.optim.LinearLR(optimizer, total_iters=100)
        decay = md.optim.CosineLR(optimizer, total_steps=900)
        schedule = md.optim.SequentialLR(optimizer, [warmup, decay], milestones=[100])

    As torch.optim.lr_scheduler.SequentialLR. Only the joined schedule is stepped.

    Args:
        optimizer: whose rate is written.
        schedulers: the schedules, all of this optimizer.
        milestones: the steps at which the next one takes over, in increasing order: one less than schedules.

    Raises:
        ValueError: milestones and schedules do not fit together, or a schedule has another optimizer.
    """

    milestones = Setting(increasing_steps)

    def __init__(self, optimizer: Optimizer, schedulers: Sequence[Schedule], milestones: Sequence[int]) -> None:
        self.milestones = milestones
        super().__init__(optimizer, schedulers)

    def check_settings(self) -> None:
        """Refuse milestones that do not fit the schedules, too."""
        if len(self.milestones) != len(self.schedulers) - 1:
            raise ValueError(
                f"SequentialLR: expected one milestone between each two schedules; got {len(self.milestones)} "
                f"for {len(self.schedulers)} schedules"
            )
        super().check_settings()

    def rate(self, k: int) -> float:
        """The rate of the schedule whose turn it is."""
        schedule, own_k = self._turn(k)
        return schedule.rate(own_k)

    def write_beside(self, k: int) -> None:
        """Write what the schedule whose turn it is sets beside the rate."""
        schedule, own_k = self._turn(k)
        schedule.write_beside(own_k)

    def _turn(self, k: int) -> tuple[Schedule, int]:
        """The schedule whose turn it is at step k, and how many steps it has had."""
        i = bisect_right(self.milestones, k)
        return self.schedulers[i], k - self.milestones[i - 1] if i else k


class ChainedScheduler(_Joined):
    """Several schedules at once: each step, one after the other changes the rate that the step before left.

    A schedule that multiplies t0 by a factor multiplies the rate by what its factor changes in the step, so that
    factors multiply: t(k) = t0 (t_1(k) / t0) (t_2(k) / t0) ... CosineLR changes only what is above its min_lr:

        t  <-  min_lr + (t - min_lr) (1 + cos(pi k / total_steps)) / (1 + cos(pi (k - 1) / total_steps))

    so that with a min_lr above 0 the order of the schedules counts. As torch.optim.lr_scheduler.ChainedScheduler, but
    for a SequentialLR, LambdaLR or OneCycleLR among them: what such a schedule changes is a factor, too, where PyTorch
    forgets what the others have done. Only the joined schedule is stepped.

    Args:
        schedulers: the schedules, all of one optimizer.
        optimizer: that one; it may be left out.

    Raises:
        ValueError: there is no schedule, or one has another optimizer.
    """

    _made: tuple[float, int, float] = math.nan, 0, math.nan  # t0, k and the rate that was made last

    def __init__(self, schedulers: Sequence[Schedule], optimizer: Optimizer | None = None) -> None:
        super().__init__(optimizer, schedulers)

    def rate(self, k: int) -> float:
        """The rate at step k. It is made step by step, so what was made last is kept to go on from."""
        t0, done, rate = self._made
        if t0 != self.base_lr or done > k:
            done, rate = 0, self.base_lr
            for schedule in self.schedulers:
                rate *= schedule.rate(0) / schedule.base_lr if schedule.base_lr else 0.0
        for step in range(done + 1, k + 1):
            rate = self.rate_after(rate, step)
        self._made = self.base_lr, k, rate
        return rate

    def rate_after(self, rate: float, k: int) -> float:
        """What the schedules make of the rate of step k - 1, one after the other."""
        for schedule in self.schedulers:
            rate = schedule.rate_after(rate, k)
        return rate

    def write_beside(self, k: int) -> None:
        """Write what the schedules set beside the rate, one after the other."""
        for schedule in self.schedulers:
            schedule.write_beside(k)

    def _restore(self, state: dict[str, Any]) -> None:
        super()._restore(state)
        self._made = math.nan, 0, math.nan
