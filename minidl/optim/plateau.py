"""ReduceLROnPlateau: the rate falls when a loss has stopped falling."""

from __future__ import annotations

import math
from typing import Any

from minidl.checks import choice, nonnegative, real, whole
from minidl.optim.optimizer import Optimizer
from minidl.optim.schedule import Schedule
from minidl.optim.settings import Setting
from minidl.optim.state import saved_count

COUNTS = ("num_bad_epochs", "cooldown_counter")


def below_1(value: Any, name: str) -> float:
    """A number of at least 0 and below 1; the message says what a factor is for."""
    found = nonnegative(value, name)
    if found >= 1:
        raise ValueError(f"{name}: expected a number below 1, by which the rate is to fall; got {value!r}")
    return found


class ReduceLROnPlateau(Schedule):
    """t <- max(t factor, min_lr) when the loss of more than `patience` epochs in a row was no better than the best.

        schedule = md.optim.ReduceLROnPlateau(optimizer, patience=3)
        for epoch in range(20):
            ...                                             # train for an epoch
            schedule.step(md.evaluate(model, validation).loss)

    `md.fit(..., schedule=schedule, validation=...)` does the same. As torch.optim.lr_scheduler.ReduceLROnPlateau: it
    changes the rate that it finds in the optimizer, not t0, and cannot be joined with other schedules.

    A loss is better if it is below best (1 - threshold), or with threshold_mode='abs' below best - threshold. With
    mode='max', for an accuracy, if it is above best (1 + threshold), or best + threshold.

    Attributes:
        best: the best loss so far; infinity at first (with mode='max' -infinity).
        num_bad_epochs: how many in a row were not better.
        cooldown_counter: for how many more epochs none counts as bad.

    Args:
        optimizer: whose rate is written.
        mode: 'min' for what should fall, 'max' for what should rise.
        factor: what the rate is multiplied by, below 1.
        patience: how many bad epochs in a row are let pass.
        threshold: by how much an epoch must be better to count as better.
        threshold_mode: 'rel' for a threshold as a part of the best, 'abs' for one to subtract.
        cooldown: for how many epochs after a fall none counts as bad.
        min_lr: the rate never falls below.
        eps: a fall by no more than this is left out.
    """

    mode = Setting(choice, ("min", "max"))
    factor = Setting(below_1)
    patience = Setting(whole, 0)
    threshold = Setting(nonnegative)
    threshold_mode = Setting(choice, ("rel", "abs"))
    cooldown = Setting(whole, 0)
    min_lr = Setting(nonnegative)
    eps = Setting(nonnegative)

    def __init__(
        self,
        optimizer: Optimizer,
        mode: str = "min",
        factor: float = 0.1,
        patience: int = 10,
        threshold: float = 1e-4,
        threshold_mode: str = "rel",
        cooldown: int = 0,
        min_lr: float = 0.0,
        eps: float = 1e-8,
    ) -> None:
        self.mode = mode
        self.factor = factor
        self.patience = patience
        self.threshold = threshold
        self.threshold_mode = threshold_mode
        self.cooldown = cooldown
        self.min_lr = min_lr
        self.eps = eps
        self._worst = math.inf if self.mode == "min" else -math.inf
        self.best = self._worst
        self.num_bad_epochs = 0
        self.cooldown_counter = 0
        self._rate = getattr(optimizer, "lr", 0.0)
        super().__init__(optimizer)

    def rate(self, k: int) -> float:
        """The rate now, whatever k is: that of other steps depends on losses."""
        return self._rate

    def step(self, metrics: Any) -> None:  # type: ignore[override]
        """Look at the loss of an epoch, a number or a Tensor of one, and set the rate for the next.

        Raises:
            ValueError: it is no number.
        """
        current = real(metrics.item() if hasattr(metrics, "item") else metrics, "ReduceLROnPlateau: the loss")
        self.step_count += 1
        if self.is_better(current):
            self.best, self.num_bad_epochs = current, 0
        else:
            self.num_bad_epochs += 1
        if self.cooldown_counter > 0:
            self.cooldown_counter -= 1
            self.num_bad_epochs = 0
        self._rate = self.optimizer.lr
        if self.num_bad_epochs > self.patience:
            lower = max(self._rate * self.factor, self.min_lr)
            if self._rate - lower > self.eps:
                self._rate = lower
            self.num_bad_epochs, self.cooldown_counter = 0, self.cooldown
        self._write_rate()

    def is_better(self, current: float) -> bool:
        """Whether a loss is better than the best by more than the threshold. NaN never is."""
        if self.threshold_mode == "abs":
            return current < self.best - self.threshold if self.mode == "min" else current > self.best + self.threshold
        if self.mode == "min":
            return current < self.best * (1 - self.threshold)
        return current > self.best * (1 + self.threshold)

    def state_dict(self) -> dict[str, Any]:
        """Plain numbers, from which `load_state_dict` goes on; `best` is None while there is none."""
        counts = {name: getattr(self, name) for name in COUNTS}
        best = None if math.isinf(self.best) else self.best
        return {**super().state_dict(), "rate": self._rate, "best": best, **counts}

    def _check(self, state: dict[str, Any]) -> None:
        own = dict(state)
        if not {"rate", "best", *COUNTS} <= set(state):
            raise ValueError(
                f"expected 'rate', 'best', {', '.join(map(repr, COUNTS))} in the state; got {sorted(state)}"
            )
        nonnegative(own.pop("rate"), "ReduceLROnPlateau: rate")
        best = own.pop("best")
        if best is not None:
            real(best, "ReduceLROnPlateau: best")
        for name in COUNTS:
            saved_count(state, name)
            del own[name]
        super()._check(own)

    def _restore(self, state: dict[str, Any]) -> None:
        super()._restore(state)
        self._rate = state["rate"]
        self.best = self._worst if state["best"] is None else state["best"]
        for name in COUNTS:
            setattr(self, name, saved_count(state, name))
