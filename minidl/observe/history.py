"""History: the losses, rates and times of a training run, as plain numbers."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from dataclasses import dataclass, field, fields
from os import PathLike
from typing import Any, Self

from minidl import backend
from minidl.checks import is_whole
from minidl.files.reading import read_json
from minidl.files.schema import check_plain
from minidl.files.writing import path_of, write_atomically
from minidl.types import Array

KIND = "history"
FORMAT = 1


@dataclass
class Course:
    """The course of a training, by step and by epoch. `md.fit` returns it as a `History`, which can also draw it.

    Attributes:
        step_loss: the loss of each step's batch, before the step; NaN where all its labels were to be ignored.
        step_rate: the optimizer's base rate in each step.
        steps: how many steps were done at the end of each epoch.
        train_loss: the mean of the step losses of each epoch, without those that are NaN.
        validation_loss: after each epoch; empty without validation data.
        validation_accuracy: likewise; empty also if the labels are no classes.
        rates: the base rate of each epoch's last step.
        seconds: how long each epoch took, with its validation.
        open_seconds: how long the epoch that is not finished has taken.
        interrupted: whether Ctrl-C ended the training.
    """

    step_loss: list[float] = field(default_factory=list)
    step_rate: list[float] = field(default_factory=list)
    steps: list[int] = field(default_factory=list)
    train_loss: list[float] = field(default_factory=list)
    validation_loss: list[float] = field(default_factory=list)
    validation_accuracy: list[float] = field(default_factory=list)
    rates: list[float] = field(default_factory=list)
    seconds: list[float] = field(default_factory=list)
    open_seconds: float = 0.0
    interrupted: bool = False
    _on_device: list[tuple[Array, Any]] = field(default_factory=list, repr=False, compare=False)  # not yet in step_loss

    @property
    def epochs(self) -> int:
        """The number of finished epochs."""
        return len(self.train_loss)

    def add_step(self, loss: Array, rate: float, counted: Any = 1) -> None:
        """Note one step. What is on a device stays there until `settle`: no step waits for it.

        Args:
            loss: a raw 0-d array.
            rate: the optimizer's base rate.
            counted: how many labels the loss is a mean of, or their weights together; a number or a raw 0-d array.
        """
        self._on_device.append((loss.reshape(1), counted))
        self.step_rate.append(float(rate))

    def settle(self, advice: Callable[[int], str] = lambda step: "try a smaller rate") -> None:
        """Bring the losses of the last steps to the host, all at once.

        Args:
            advice: what to say of a loss that is no number, of the number of its step, from 1.

        Raises:
            FloatingPointError: one is NaN or infinite. The mean of no labels is NaN too, and no fault.
        """
        if not self._on_device:
            return
        first, noted = len(self.step_loss), tuple(self._on_device)
        losses = backend.module_of(noted[0][0]).concatenate([loss for loss, _ in noted])
        self.step_loss += [float(value) for value in backend.to_numpy(losses)]
        self._on_device.clear()
        for step, (_, counted) in enumerate(noted, start=first):
            if not math.isfinite(self.step_loss[step]) and counted != 0:
                raise FloatingPointError(
                    f"loss became {self.step_loss[step]} at step {step + 1} with lr={self.step_rate[step]:g}; "
                    f"{advice(step + 1)}. `with md.detect_anomaly():` stops at the operation that made it"
                )

    def end_epoch(self, validation_loss: float | None = None, validation_accuracy: float | None = None) -> None:
        """Close an epoch with the steps since the last one."""
        self.settle()
        own = self.step_loss[self.steps[-1] if self.steps else 0 :]
        self.steps.append(len(self.step_loss))
        own = [loss for loss in own if math.isfinite(loss)]
        self.train_loss.append(math.fsum(own) / len(own) if own else math.nan)
        self.rates.append(self.step_rate[-1])
        self.seconds.append(self.open_seconds)
        self.open_seconds = 0.0
        if validation_loss is not None:
            self.validation_loss.append(validation_loss)
        if validation_accuracy is not None:
            self.validation_accuracy.append(validation_accuracy)

    def __repr__(self) -> str:
        """How long it is, and what it came to; not its numbers, of which there may be thousands."""
        parts = []
        if self.train_loss:
            parts.append(f"loss {self.train_loss[0]:.4g} -> {self.train_loss[-1]:.4g}")
        if self.validation_loss:
            parts.append(f"validation loss {self.validation_loss[-1]:.4g}")
        if self.validation_accuracy:
            parts.append(f"validation accuracy {self.validation_accuracy[-1]:.2%}")
        parts.append(f"{sum(self.seconds) + self.open_seconds:.1f} s")
        parts += ["interrupted"] if self.interrupted else []
        return f"{type(self).__name__}({self.epochs} epochs, {len(self.step_rate)} steps; {', '.join(parts)})"

    # ---- files

    def as_dict(self) -> dict[str, Any]:
        """Everything as plain data."""
        self.settle()
        return {name: getattr(self, name) for name in _entries()}

    @classmethod
    def from_dict(cls, entries: dict[str, Any]) -> Self:
        """What `as_dict` described.

        Raises:
            ValueError: entries are missing, unknown, of another type, or of lengths that do not fit each other.
        """
        empty = cls()
        kinds = {name: type(getattr(empty, name)) for name in _entries()}
        check_plain(entries, {name: [float] if kind is list else kind for name, kind in kinds.items()}, "the history")
        own: dict[str, Any] = {name: list(v) if isinstance(v, list) else v for name, v in entries.items()}
        history = cls(**own)
        epochs, steps = history.epochs, len(history.step_loss)
        lengths = {len(x) for x in (history.steps, history.rates, history.seconds)}
        validated = len(history.validation_loss)  # of the last epochs only, if there were no validation data before
        counts = [0, *history.steps, steps]
        if (
            lengths != {epochs}
            or len(history.step_rate) != steps
            or not all(is_whole(n) for n in counts)
            or counts != sorted(counts)
            or not len(history.validation_accuracy) <= validated <= epochs
        ):
            raise ValueError("the history's entries do not fit each other")
        return history

    def save(self, path: str | PathLike[str]) -> None:
        """Write a JSON file, completely or not at all.

        Raises:
            OSError: it cannot be written.
        """
        entries = {"kind": KIND, "format": FORMAT, **self.as_dict()}
        for name, value in entries.items():
            if isinstance(value, list):  # JSON has no NaN
                entries[name] = [x if math.isfinite(x) else None for x in value]
        write_atomically(path, json.dumps(entries, indent=1, allow_nan=False).encode())

    @classmethod
    def load(cls, path: str | PathLike[str]) -> Self:
        """Read what `save` wrote.

        Raises:
            FileNotFoundError: there is no such file.
            ValueError: it is damaged, or no history; it is named.
        """
        path = path_of(path)
        entries = read_json(path, dict, "is damaged or not a history")
        kind, version = entries.pop("kind", None), entries.pop("format", None)
        if kind is None or version is None:
            raise ValueError(f"{path} is damaged or not a history: it has no entries 'kind' and 'format'")
        if (kind, version) != (KIND, FORMAT):
            raise ValueError(f"{path} is a {kind} of format {version}; expected a {KIND} of format {FORMAT}")
        for name, value in entries.items():
            if isinstance(value, list):
                entries[name] = [math.nan if x is None else x for x in value]
        try:
            return cls.from_dict(entries)
        except ValueError as error:
            raise ValueError(f"{path}: {error}") from error


def _entries() -> list[str]:
    return [f.name for f in fields(Course) if f.name != "_on_device"]
