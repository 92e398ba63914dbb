"""Schedules made of schedules: one after the other, or several at once."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from typing import Any

from minidl.optim.optimizer import Optimizer
from minidl.optim.schedules import Schedule, whole_steps


class _Joined(Schedule):
    """What the two kinds share: several schedules of one optimizer, asked for their rates but never stepped."""

    def __init__(self, optimizer: Optimizer | None, schedulers: Sequence[Schedule]) -> None:
        self.schedulers = list(schedulers)
        if not self.schedulers:
            raise ValueError(f"{type(self).__name__}: expected at least one schedule; got none")
        for i, schedule in enumerate(self.schedulers):
            if not isinstance(schedule, Schedule):
                raise TypeError(f"{type(self).__name__}: expected schedules; entry {i} is {schedule!r}")
        owner = self.schedulers[0].optimizer if optimizer is None else optimizer
        for i, schedule in enumerate(self.schedulers):
            if schedule.optimizer is not owner:
                raise ValueError(
                    f"{type(self).__name__}: expected schedules of one optimizer; that of entry {i}, "
                    f"{type(schedule).__name__}, is another one"
                )
        super().__init__(owner)

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

    def __init__(self, optimizer: Optimizer, schedulers: Sequence[Schedule], milestones: Sequence[int]) -> None:
        self.milestones = whole_steps(milestones, "SequentialLR: milestones")
        if self.milestones != sorted(self.milestones):
            raise ValueError(f"SequentialLR: expected milestones in increasing order; got {self.milestones}")
        if len(self.milestones) != len(schedulers) - 1:
            raise ValueError(
                f"SequentialLR: expected one milestone between each two schedules; got {len(self.milestones)} "
                f"for {len(schedulers)} schedules"
            )
        super().__init__(optimizer, schedulers)

    def rate(self, k: int) -> float:
        """The rate of the schedule whose turn it is."""
        i = bisect_right(self.milestones, k)
        return self.schedulers[i].rate(k - self.milestones[i - 1] if i else k)


class ChainedScheduler(_Joined):
    """Several schedules at once: their factors multiply, t(k) = t0 (t_1(k) / t0) (t_2(k) / t0) ...

    As torch.optim.lr_scheduler.ChainedScheduler, but for a SequentialLR among them: PyTorch multiplies what each step
    changes, which there is a jump. Only the joined schedule is stepped.

    Args:
        schedulers: the schedules, all of one optimizer.
        optimizer: that one; it may be left out.

    Raises:
        ValueError: there is no schedule, or one has another optimizer.
    """

    def __init__(self, schedulers: Sequence[Schedule], optimizer: Optimizer | None = None) -> None:
        super().__init__(optimizer, schedulers)

    def rate(self, k: int) -> float:
        """The product at step k."""
        rate = self.base_lr
        for schedule in self.schedulers:
            rate *= schedule.rate(k) / schedule.base_lr if schedule.base_lr else 0.0
        return rate
