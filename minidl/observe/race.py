"""RaceRecording: several methods on the same task, over seeds, with the sweep that chose their rates."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from os import PathLike
from typing import Any

import numpy as np

from minidl.files.arrays import load_arrays, save_arrays
from minidl.files.reading import fitting
from minidl.files.schema import NUMBERS, TEXT, Entry

KIND = "race"
FORMAT = 1
_TEXTS = ("arms", "sweep_arms", "notes")
_ARRAYS = {
    "arms": Entry(TEXT, ("A",)),
    "seeds": Entry(NUMBERS, ("S",)),
    "steps": Entry(NUMBERS, ("T",)),
    "loss": Entry(NUMBERS, ("A", "S", "T")),
    "seconds": Entry(NUMBERS, ("A", "S", "T")),
    "eval_steps": Entry(NUMBERS, ("E",)),
    "accuracy": Entry(NUMBERS, ("A", "S", "E")),
    "sweep_arms": Entry(TEXT, ("W",)),
    "sweep_rates": Entry(NUMBERS, ("R",)),
    "sweep_loss": Entry(NUMBERS),  # (W, R, V), or anything if nothing was tuned
    "rates": Entry(NUMBERS, ("A",)),
    "notes": Entry(TEXT, ("N",)),
}


@dataclass(frozen=True, eq=False)
class RaceRecording:
    """Losses and accuracies of A arms (methods) over S seeds, against steps and wall time.

    Attributes:
        arms: the names of the arms.
        seeds: (S,) the seeds that are reported.
        steps: (T,) updates done when a loss was taken.
        loss: (A, S, T) the training loss there.
        seconds: (A, S, T) the time training had taken until then (evaluation not counted).
        eval_steps: (E,) updates done when the accuracy was taken.
        accuracy: (A, S, E) the accuracy there, 0 to 1, on data not trained on.
        sweep_arms: what was tuned, W names; none if nothing was.
        sweep_rates: (R,) the base rates tried.
        sweep_loss: (W, R, V) the final validation loss of each, over V tuning seeds; not finite if it diverged.
        rates: (A,) the base rate each arm ran with; NaN where it is not told.
        notes: what a reader must know, in words.

    Raises:
        ValueError: shapes that do not fit together; all that are wrong are named.
    """

    arms: Sequence[str]
    seeds: Any
    steps: Any
    loss: Any
    seconds: Any
    eval_steps: Any
    accuracy: Any
    sweep_arms: Sequence[str] = ()
    sweep_rates: Any = ()
    sweep_loss: Any = ()
    rates: Any = None
    notes: Sequence[str] = ()

    def __post_init__(self) -> None:
        for f in fields(self):
            value = getattr(self, f.name)
            if f.name in _TEXTS:
                value = tuple(str(text) for text in value)
            elif f.name == "rates" and value is None:
                value = np.full(len(self.arms), np.nan)
            object.__setattr__(self, f.name, value if f.name in _TEXTS else np.asarray(value))
        self._check_shapes()

    def _check_shapes(self) -> None:
        arms, seeds = len(self.arms), len(self.seeds)
        expected = {
            "loss": (arms, seeds, len(self.steps)),
            "seconds": (arms, seeds, len(self.steps)),
            "accuracy": (arms, seeds, len(self.eval_steps)),
            "rates": (arms,),
        }
        if self.sweep_arms:
            expected["sweep_loss"] = (len(self.sweep_arms), len(self.sweep_rates), *self.sweep_loss.shape[2:3])
        wrong = [
            f"{name} must have shape {shape}, got {getattr(self, name).shape}"
            for name, shape in expected.items()
            if getattr(self, name).shape != shape
        ]
        if not arms or not seeds or not len(self.steps) or not len(self.eval_steps):
            wrong.append("it needs at least one arm, seed, step and evaluation")
        if wrong:
            raise ValueError(f"a race of {arms} arms and {seeds} seeds: " + "; ".join(wrong))

    def __repr__(self) -> str:
        return f"RaceRecording({', '.join(self.arms)}; {len(self.seeds)} seeds, {len(self.steps)} points)"

    @property
    def eval_seconds(self) -> Any:
        """(A, S, E) the time at the evaluations, between the points of `seconds` by straight lines."""
        result = np.empty(np.shape(self.accuracy))
        for a, s in np.ndindex(result.shape[:2]):
            result[a, s] = np.interp(self.eval_steps, self.steps, self.seconds[a, s])
        return result

    def save(self, path: str | PathLike[str]) -> None:
        """Write an npz file of plain arrays."""
        arrays = {f.name: getattr(self, f.name) for f in fields(self)}
        for name in _TEXTS:
            arrays[name] = np.array(arrays[name], dtype=np.str_)
        save_arrays(path, arrays, kind=KIND, format=FORMAT)

    @classmethod
    def load(cls, path: str | PathLike[str]) -> RaceRecording:
        """Read what `save` wrote.

        Raises:
            ValueError: the file is no recording of this kind, or it is damaged; it is named.
        """
        arrays, _ = load_arrays(path, kind=KIND, format=FORMAT, schema=_ARRAYS)
        values: dict[str, Any] = dict(arrays)
        with fitting(path, KIND):
            return cls(**values)
