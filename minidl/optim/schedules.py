"""Schedules: the base rate t as a function of the step k.

Each schedule computes t(k) anew from the base rate t0, never from the rate before: so a run that is resumed has exactly
the rates of one that was not. Call `schedule.step()` once after every `optimizer.step()`.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from typing import Any

from minidl.optim.optimizer import Optimizer, nonnegative


class Schedule(ABC):
    """Writes `optimizer.lr` as a function of the number of steps.

    Attributes:
        base_lr: t0, the optimizer's rate when the schedule was made.
        step_count: k, how often `step()` was called.
    """

    def __init__(self, optimizer: Optimizer) -> None:
        self.optimizer = optimizer
        self.base_lr = optimizer.lr
        self.step_count = 0

    @abstractmethod
    def rate(self, k: int) -> float:
        """t(k): the rate for the step after k steps."""

    @property
    def last_lr(self) -> float:
        """The rate this schedule set last."""
        return self.rate(self.step_count)

    def step(self) -> None:
        """Set the rate for the next step; a rate that was written to the optimizer meanwhile is replaced."""
        self.step_count += 1
        self.optimizer.lr = self.rate(self.step_count)

    def state_dict(self) -> dict[str, Any]:
        """Plain numbers, from which `load_state_dict` goes on."""
        return {"base_lr": self.base_lr, "step_count": self.step_count}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from what `state_dict()` saved, and set the optimizer's rate accordingly.

        Raises:
            ValueError: other names than those two.
        """
        if set(state) != {"base_lr", "step_count"}:
            raise ValueError(f"expected 'base_lr' and 'step_count' in a schedule's state; got {sorted(state)}")
        self.base_lr, self.step_count = nonnegative("base_lr", state["base_lr"]), int(state["step_count"])
        self.optimizer.lr = self.rate(self.step_count)


class StepLR(Schedule):
    """t(k) = t0 gamma^floor(k / step_size): a staircase. As torch.optim.lr_scheduler.StepLR and Caffe's "step".

    Args:
        optimizer: whose rate is written.
        step_size: how many steps the rate stays.
        gamma: by what it is multiplied then.
    """

    def __init__(self, optimizer: Optimizer, step_size: int, gamma: float = 0.1) -> None:
        super().__init__(optimizer)
        self.step_size = _positive("step_size", step_size)
        self.gamma = nonnegative("gamma", gamma)

    def rate(self, k: int) -> float:
        """The stair of step k."""
        return float(self.base_lr * self.gamma ** (k // self.step_size))


class InvLR(Schedule):
    """t(k) = t0 (1 + gamma k)^-power: Caffe's "inv". LeNet's recipe has gamma 1e-4 and power 0.75.

    Args:
        optimizer: whose rate is written.
        gamma, power: how fast the rate falls, and how.
    """

    def __init__(self, optimizer: Optimizer, gamma: float, power: float) -> None:
        super().__init__(optimizer)
        self.gamma = nonnegative("gamma", gamma)
        self.power = nonnegative("power", power)

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

    def __init__(self, optimizer: Optimizer, total_steps: int, min_lr: float = 0.0) -> None:
        super().__init__(optimizer)
        self.total_steps = _positive("total_steps", total_steps)
        self.min_lr = nonnegative("min_lr", min_lr)

    def rate(self, k: int) -> float:
        """The half wave at step k."""
        if k >= self.total_steps:
            return self.min_lr
        return self.min_lr + (self.base_lr - self.min_lr) * (1 + math.cos(math.pi * k / self.total_steps)) / 2


def _positive(what: str, value: Any) -> int:
    if isinstance(value, bool) or int(value) != value or value < 1:
        raise ValueError(f"expected {what} to be a whole number of at least 1; got {value!r}")
    return int(value)
