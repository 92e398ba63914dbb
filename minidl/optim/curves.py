"""Schedules that are a formula of the step k: stairs and curves, PyTorch's, Caffe's, and your own (`LambdaLR`)."""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Callable, Sequence
from typing import Any

from minidl.checks import nonnegative, whole
from minidl.optim.optimizer import Optimizer
from minidl.optim.schedule import Schedule, whole_steps
from minidl.optim.settings import Setting


def sorted_steps(values: Any, name: str) -> tuple[int, ...]:
    """Numbers of steps in increasing order, whatever order they came in."""
    return tuple(sorted(whole_steps(values, name)))


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


def function_of_a_step(value: Any, name: str) -> Callable[[int], float]:
    """A function, which the schedule calls with the number of steps."""
    if not callable(value):
        raise TypeError(
            f"{name}: expected a function of the number of steps k, such as lambda k: 0.95**k; got {value!r}"
        )
    return value


class LambdaLR(Schedule):
    """t(k) = t0 f(k), with a function f of yours. As torch.optim.lr_scheduler.LambdaLR.

        schedule = md.optim.LambdaLR(optimizer, lambda k: 0.95**k)

    A run that is resumed must be given the same function: it is not saved, but `fit` compares its code.

    Args:
        optimizer: whose rate is written.
        lr_lambda: f, called with the number of steps k; what it returns, at least 0, multiplies t0.
    """

    lr_lambda = Setting(function_of_a_step)

    def __init__(self, optimizer: Optimizer, lr_lambda: Callable[[int], float]) -> None:
        self.lr_lambda = lr_lambda
        super().__init__(optimizer)

    def rate(self, k: int) -> float:
        """t0 times what the function makes of step k."""
        return self.base_lr * nonnegative(self.lr_lambda(k), f"LambdaLR: lr_lambda({k})")
