"""Schedule: the base rate t as a function of the step k. What all schedules have in common.

Each schedule computes t(k) from the base rate t0 and k alone, never from what the optimizer's rate happens to be: so a
run that is resumed has exactly the rates of one that was not. (One does not: `ReduceLROnPlateau` looks at losses.) Call
`schedule.step()` once after every `optimizer.step()`. Two schedules that are to act one after the other, or together,
are joined by `SequentialLR` or `ChainedScheduler`.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any, ClassVar

from minidl.checks import nonnegative, whole
from minidl.errors import describe
from minidl.habits.answers import Options, ScheduleNames
from minidl.optim.optimizer import Optimizer
from minidl.optim.state import saved_count
from minidl.settings import Setting


def whole_steps(values: Any, name: str) -> tuple[int, ...]:
    """Numbers of steps, known to be whole and at least 0."""
    if not isinstance(values, (list, tuple)):
        raise ValueError(f"{name}: expected a list of whole numbers of at least 0; got {values!r}")
    return tuple(whole(value, name, 0) for value in values)


class Schedule(Options, ABC, ScheduleNames):
    """Writes `optimizer.lr` as a function of the number of steps: t(0) when it is made, t(k) after k steps.

    A subclass defines `rate`, and calls `super().__init__(optimizer)` when everything `rate` needs is there.

    Attributes:
        base_lr: t0, the optimizer's rate before its first schedule.
        step_count: k, how often `step()` was called.
        writes: the settings of the optimizer that the schedule writes.

    The settings of a schedule are checked whenever they are written, and count from the next step on.
    """

    base_lr = Setting(nonnegative)
    step_count = Setting(whole, 0)
    writes: ClassVar[tuple[str, ...]] = ("lr",)

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
        values = {name: getattr(self, name) for name in names if name not in ("base_lr", "step_count")}
        own = [f"{name}={getattr(value, '__name__', repr(value))}, " for name, value in values.items()]
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
        self.write_beside(self.step_count)

    def write_beside(self, k: int) -> None:
        """Write what else this schedule sets at step k: nothing, for most schedules."""

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
