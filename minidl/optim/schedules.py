"""Schedules: the base rate t as a function of the step k.

Each schedule computes t(k) from the base rate t0 and k alone, never from what the optimizer's rate happens to be: so a
run that is resumed has exactly the rates of one that was not. Call `schedule.step()` once after every
`optimizer.step()`. Two schedules that are to act one after the other, or together, are joined by `SequentialLR` or
`ChainedScheduler`.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from bisect import bisect_right
from collections.abc import Sequence
from typing import Any

from minidl.checks import nonnegative, whole
from minidl.errors import describe
from minidl.habits.answers import Options, ScheduleNames
from minidl.optim.optimizer import Optimizer
from minidl.optim.settings import Setting
from minidl.optim.state import saved_count


def whole_steps(values: Any, name: str) -> tuple[int, ...]:
    """Numbers of steps, known to be whole and at least 0."""
    if not isinstance(values, (list, tuple)):
        raise ValueError(f"{name}: expected a list of whole numbers of at least 0; got {values!r}")
    return tuple(whole(value, name, 0) for value in values)


def sorted_steps(values: Any, name: str) -> tuple[int, ...]:
    """Numbers of steps in increasing order, whatever order they came in."""
    return tuple(sorted(whole_steps(values, name)))


class Schedule(Options, ABC, ScheduleNames):
    """Writes `optimizer.lr` as a function of the number of steps: t(0) when it is made, t(k) after k steps.

    A subclass defines `rate`, and calls `super().__init__(optimizer)` when everything `rate` needs is there.

    Attributes:
        base_lr: t0, the optimizer's rate before its first schedule.
        step_count: k, how often `step()` was called.

    The settings of a schedule are checked whenever they are written, and count from the next step on.
    """

    base_lr = Setting(nonnegative)
    step_count = Setting(whole, 0)

    def __init__(self, optimizer: Optimizer) -> None:
        if not isinstance(optimizer, Optimizer):
            raise TypeError(f"{type(self).__name__}: expected an optimizer; got {describe(optimizer)}")
        if optimizer.initial_lr is None:
            optimizer.initial_lr = optimizer.lr
        self.optimizer = optimizer
        self.base_lr = optimizer.initial_lr
        self.step_count = 0
        self._write_rate()

    @abstractmethod
    def rate(self, k: int) -> float:
        """t(k): the rate for the step after k steps."""

    def rate_after(self, rate: float, k: int) -> float:
        """What this schedule makes of the rate of step k - 1 where others change it as well: for `ChainedScheduler`.

        A schedule that multiplies t0 by a factor multiplies the rate by what the factor has changed. Where it has come
        to 0 it changes nothing more.
        """
        before, now = self.rate(k - 1), self.rate(k)
        return rate * (now / before) if before else now or rate

    def __repr__(self) -> str:
        """The class with its settings, then where it is."""
        names = [
            name for kind in type(self).__mro__ for name, entry in vars(kind).items() if isinstance(entry, Setting)
        ]
        own = [f"{name}={getattr(self, name)!r}, " for name in names if name not in ("base_lr", "step_count")]
        return f"{type(self).__name__}({''.join(own)}at step {self.step_count}: lr={self.last_lr:g})"

    @property
    def last_lr(self) -> float:
        """The rate this schedule set last."""
        return self.rate(self.step_count)

    def get_last_lr(self) -> list[float]:
        """`last_lr` in a list, as PyTorch's, where an optimizer may have several rates."""
        return [self.last_lr]

    def _write_rate(self) -> None:
        self.optimizer.lr = self.last_lr

    def step(self) -> None:
        """Set the rate for the next step; a rate that was written to the optimizer meanwhile is replaced."""
        self.step_count += 1
        self._write_rate()

    def state_dict(self) -> dict[str, Any]:
        """Plain numbers, from which `load_state_dict` goes on."""
        return {"base_lr": self.base_lr, "step_count": self.step_count}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from what `state_dict()` saved, and set the optimizer's rate accordingly.

        Raises:
            ValueError: other names than those `state_dict()` gives, or numbers that cannot be; nothing was changed.
        """
        self._check(state)
        self._restore(state)
        self._write_rate()

    def _check(self, state: dict[str, Any]) -> None:
        if set(state) != {"base_lr", "step_count"}:
            raise ValueError(f"expected 'base_lr' and 'step_count' in a schedule's state; got {sorted(state)}")
        nonnegative(state["base_lr"], f"{type(self).__name__}: base_lr")
        saved_count(state, "step_count")

    def _restore(self, state: dict[str, Any]) -> None:
        self.base_lr, self.step_count = state["base_lr"], saved_count(state, "step_count")


class StepLR(Schedule):
    """t(k) = t0 gamma^floor(k / step_size): a staircase. As torch.optim.lr_scheduler.StepLR and Caffe's "step".

    Args:
        optimizer: whose rate is written.
        step_size: how many steps the rate stays.
        gamma: by what it is multiplied then.
    """

    step_size = Setting(whole)
    gamma = Setting(nonnegative)

    def __init__(self, optimizer: Optimizer, step_size: int, gamma: float = 0.1) -> None:
        self.step_size = step_size
        self.gamma = gamma
        super().__init__(optimizer)

    def rate(self, k: int) -> float:
        """The stair of step k."""
        return float(self.base_lr * self.gamma ** (k // self.step_size))

    def rate_after(self, rate: float, k: int) -> float:
        """The rate, or at a stair gamma times that."""
        return rate if k % self.step_size else rate * self.gamma


class MultiStepLR(Schedule):
    """t(k) = t0 gamma^(how many of the milestones are at most k): a staircase with stairs of any length.

    As torch.optim.lr_scheduler.MultiStepLR and Caffe's "multistep".

    Args:
        optimizer: whose rate is written.
        milestones: the steps at which the rate falls; one that is there twice counts twice.
        gamma: by what it is multiplied then.
    """

    milestones = Setting(sorted_steps)
    gamma = Setting(nonnegative)

    def __init__(self, optimizer: Optimizer, milestones: Sequence[int], gamma: float = 0.1) -> None:
        self.milestones = milestones
        self.gamma = gamma
        super().__init__(optimizer)

    def rate(self, k: int) -> float:
        """The stair of step k."""
        return float(self.base_lr * self.gamma ** bisect_right(self.milestones, k))

    def rate_after(self, rate: float, k: int) -> float:
        """The rate, times gamma for every milestone that is k."""
        return rate * self.gamma ** self.milestones.count(k)


class ExponentialLR(Schedule):
    """t(k) = t0 gamma^k. As torch.optim.lr_scheduler.ExponentialLR and Caffe's "exp".

    Args:
        optimizer: whose rate is written.
        gamma: by what the rate is multiplied in every step.
    """

    gamma = Setting(nonnegative)

    def __init__(self, optimizer: Optimizer, gamma: float) -> None:
        self.gamma = gamma
        super().__init__(optimizer)

    def rate(self, k: int) -> float:
        """The curve at step k."""
        return float(self.base_lr * self.gamma**k)

    def rate_after(self, rate: float, k: int) -> float:
        """gamma times the rate."""
        return rate * self.gamma


class LinearLR(Schedule):
    """t(k) = t0 (a + (b - a) min(k, n) / n), from a = start_factor to b = end_factor: a warm-up, with the defaults.

    As torch.optim.lr_scheduler.LinearLR.

    Args:
        optimizer: whose rate is written.
        start_factor: what t0 is multiplied by in the first step, above 0 and at most 1.
        end_factor: and from step n on; 0 to 1.
        total_iters: n, how many steps the way takes.
    """

    start_factor = Setting(nonnegative)
    end_factor = Setting(nonnegative)
    total_iters = Setting(whole)

    def __init__(
        self, optimizer: Optimizer, start_factor: float = 1 / 3, end_factor: float = 1.0, total_iters: int = 5
    ) -> None:
        self.start_factor = start_factor
        self.end_factor = end_factor
        self.total_iters = total_iters
        self.check_settings()
        super().__init__(optimizer)

    def check_settings(self) -> None:
        """Refuse factors above 1, and a beginning at 0, from which no factor leads away."""
        if not (0 < self.start_factor <= 1 and self.end_factor <= 1):
            raise ValueError(
                f"LinearLR: expected 0 < start_factor <= 1 and 0 <= end_factor <= 1; got {self.start_factor} and "
                f"{self.end_factor}"
            )

    def rate(self, k: int) -> float:
        """The line at step k."""
        way = min(k, self.total_iters) / self.total_iters
        return self.base_lr * (self.start_factor + (self.end_factor - self.start_factor) * way)


class PolynomialLR(Schedule):
    """t(k) = t0 (1 - min(k, n) / n)^power, which is 0 from step n on.

    As torch.optim.lr_scheduler.PolynomialLR and Caffe's "poly".

    Args:
        optimizer: whose rate is written.
        total_iters: n, after how many steps the rate is 0.
        power: the curve: 1 is a line, below 1 it stays high for longer.
    """

    total_iters = Setting(whole)
    power = Setting(nonnegative)

    def __init__(self, optimizer: Optimizer, total_iters: int = 5, power: float = 1.0) -> None:
        self.total_iters = total_iters
        self.power = power
        super().__init__(optimizer)

    def rate(self, k: int) -> float:
        """The curve at step k."""
        return float(self.base_lr * (1 - min(k, self.total_iters) / self.total_iters) ** self.power)


class InvLR(Schedule):
    """t(k) = t0 (1 + gamma k)^-power: Caffe's "inv". LeNet's recipe has gamma 1e-4 and power 0.75.

    Args:
        optimizer: whose rate is written.
        gamma, power: how fast the rate falls, and how.
    """

    gamma = Setting(nonnegative)
    power = Setting(nonnegative)

    def __init__(self, optimizer: Optimizer, gamma: float, power: float) -> None:
        self.gamma = gamma
        self.power = power
        super().__init__(optimizer)

    def rate(self, k: int) -> float:
        """The curve at step k."""
        return float(self.base_lr * (1 + self.gamma * k) ** -self.power)


class CosineLR(Schedule):
    """t(k) = min_lr + (t0 - min_lr) (1 + cos(pi k / total_steps)) / 2, and min_lr from total_steps on.

    Up to there it is torch.optim.lr_scheduler.CosineAnnealingLR, which would rise again.

    Args:
        optimizer: whose rate is written.
        total_steps: after how many steps min_lr is reached.
        min_lr: the rate at the end.
    """

    total_steps = Setting(whole)
    min_lr = Setting(nonnegative)

    def __init__(self, optimizer: Optimizer, total_steps: int, min_lr: float = 0.0) -> None:
        self.total_steps = total_steps
        self.min_lr = min_lr
        super().__init__(optimizer)

    def wave(self, k: int) -> float:
        """(1 + cos(pi k / total_steps)) / 2: from 1 down to 0."""
        return (1 + math.cos(math.pi * k / self.total_steps)) / 2 if k < self.total_steps else 0.0

    def rate(self, k: int) -> float:
        """The half wave at step k."""
        return self.min_lr + (self.base_lr - self.min_lr) * self.wave(k)

    def rate_after(self, rate: float, k: int) -> float:
        """What of the rate is above min_lr, or below, gets smaller; it stays as it is when the wave has ended."""
        if k > self.total_steps:
            return rate
        return self.min_lr + (rate - self.min_lr) * self.wave(k) / self.wave(k - 1)
