"""Checkpoints: everything that a training needs to go on, bit for bit, in one file.

That is the weights, the optimizer's and the schedule's state, both random streams, the position in the data and the
history. A checkpoint is an npz of plain arrays (`minidl.files.arrays`), the same from both backends.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from os import PathLike, fspath
from typing import Any

import numpy as np

from minidl import backend
from minidl.data import Loader
from minidl.files.arrays import load_arrays, save_arrays
from minidl.files.schema import FLOATS, Entry, Header, check_arrays, check_plain
from minidl.nn import Module
from minidl.optim import Optimizer
from minidl.optim.schedules import Schedule
from minidl.training.history import History
from minidl.version import __version__

KIND = "checkpoint"
FORMAT = 1
_COURSE = dict.fromkeys(("step_loss", "step_rate"), Entry(FLOATS, ("T",)))  # the history's arrays: a number a step
_META = {  # what is saved beside the arrays
    "minidl": str,
    "kinds": {str: str},
    "random": {"host": dict, "dropout": dict},
    "model": dict,
    "optimizer": (dict, None),
    "schedule": (dict, None),
    "loader": (dict, None),
    "history": dict,
}


@dataclass(frozen=True)
class Checkpoint:
    """What a checkpoint file holds.

    Attributes:
        path: where it was read from.
        model: the weights by name, as `Module.state_dict` gives them: `net.load_state_dict(checkpoint.model)`.
        optimizer, schedule, loader: their states; None if they were not saved.
        random: the state of both random streams.
        history: the course of the training so far.
        kinds: what was saved, in words: the class of every module, of the optimizer and so on, and the optimizer's
            settings and the multipliers of single parameters.
    """

    path: str
    model: dict[str, Any]
    optimizer: dict[str, Any] | None
    schedule: dict[str, Any] | None
    loader: dict[str, Any] | None
    random: dict[str, Any]
    history: History
    kinds: dict[str, str]

    def resume(
        self, model: Module, optimizer: Optimizer, loader: Loader | None = None, schedule: Schedule | None = None
    ) -> History:
        """Put everything back as it was and return the history: training then goes on bit for bit.

        The four must be made as those that were saved; fresh ones will do. On an error nothing has changed.

        Raises:
            ValueError: one of them does not fit what was saved. The message names the file.
        """
        expected = _kinds(model, optimizer, loader, schedule)
        for what in {**expected, **self.kinds}:
            found, here = self.kinds.get(what), expected.get(what)
            if found != here:
                raise ValueError(
                    f"{self.path} does not fit: {_label(what)} is {found or 'missing'} in the checkpoint and "
                    f"{here or 'missing'} here; nothing was changed"
                )
        parts: list[tuple[Any, Any]] = [
            (model, self.model),
            (optimizer, self.optimizer),
            (schedule, self.schedule),
            (loader, self.loader),
        ]
        done: list[tuple[Any, dict[str, Any]]] = []
        random_before = backend.random_state()
        try:
            for part, state in parts:
                if part is not None:
                    before = part.state_dict()
                    part.load_state_dict(state)
                    done.append((part, before))
            backend.restore_random_state(self.random)
        except Exception as error:
            for part, before in reversed(done):
                part.load_state_dict(before)
            backend.restore_random_state(random_before)
            if isinstance(error, MemoryError):
                raise
            raise ValueError(f"{self.path} does not fit, nothing was changed: {error}") from error
        return History.from_dict({**self.history.as_dict(), "interrupted": False})


def save_checkpoint(
    path: str | PathLike[str],
    model: Module,
    optimizer: Optimizer | None = None,
    loader: Loader | None = None,
    schedule: Schedule | None = None,
    history: History | None = None,
) -> None:
    """Write a checkpoint, completely or not at all, between two steps.

    Args:
        path: the file, by custom with the suffix .npz.
        model, optimizer, loader, schedule, history: what is saved, besides both random streams.

    Raises:
        OSError: the file cannot be written.
    """
    arrays: dict[str, Any] = {}
    meta: dict[str, Any] = {
        "minidl": __version__,
        "kinds": _kinds(model, optimizer, loader, schedule),
        "random": backend.random_state(),
    }
    parts = {"model": model, "optimizer": optimizer, "schedule": schedule, "loader": loader}
    states: dict[str, Any] = {name: part.state_dict() for name, part in parts.items() if part is not None}
    course = (history or History()).as_dict()
    states["history"] = course | {name: np.array(course[name], dtype=np.float64) for name in _COURSE}
    for part, state in states.items():
        arrays |= {f"{part}/{name}": value for name, value in state.items() if isinstance(value, np.ndarray)}
        meta[part] = {name: _plain(value) for name, value in state.items() if not isinstance(value, np.ndarray)}
    save_arrays(path, arrays, kind=KIND, format=FORMAT, meta=meta)


def load_checkpoint(path: str | PathLike[str]) -> Checkpoint:
    """Read a checkpoint. Whether it fits a model and an optimizer is checked by `Checkpoint.resume`.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: it is damaged, or no checkpoint. The message names it.
    """
    arrays, meta = load_arrays(path, kind=KIND, format=FORMAT)
    unreadable = f"{fspath(path)} is not a checkpoint this version can read"
    check_plain({**dict.fromkeys(_META), **meta}, _META, unreadable)
    states = {part: _state(part, arrays, meta) for part in ("model", "optimizer", "schedule", "loader", "history")}
    stray = [name for name in arrays if states.get(name.partition("/")[0]) is None]
    if stray:
        raise ValueError(f"{unreadable}: its array {stray[0]!r} belongs to no part that was saved")
    course = states["history"] or {}
    try:
        check_arrays({name: Header(a.dtype, a.shape) for name, a in course.items() if name in _COURSE}, _COURSE)
        history = History.from_dict({**course, **{name: course[name].tolist() for name in _COURSE}})
    except (ValueError, AttributeError) as error:
        raise ValueError(f"{unreadable}: {error}") from error
    return Checkpoint(
        fspath(path),
        states["model"] or {},
        states["optimizer"],
        states["schedule"],
        states["loader"],
        meta["random"],
        history,
        meta["kinds"],
    )


def _state(part: str, arrays: Mapping[str, Any], meta: Mapping[str, Any]) -> dict[str, Any] | None:
    """The state of one part, its arrays and its plain numbers together; None if it was not saved."""
    if meta.get(part) is None:
        return None
    front = f"{part}/"
    return {name.removeprefix(front): a for name, a in arrays.items() if name.startswith(front)} | meta[part]


def _plain(value: Any) -> Any:
    return value.item() if isinstance(value, np.generic) else value


def _kinds(
    model: Module, optimizer: Optimizer | None, loader: Loader | None, schedule: Schedule | None
) -> dict[str, str]:
    """What is saved, in words: compared when a run is resumed, so that another model or method is refused."""
    kinds = {f"module {name}".rstrip(): type(module).__name__ for name, module in model.named_modules()}
    for name, part in (("optimizer", optimizer), ("schedule", schedule), ("loader", loader)):
        if part is not None:
            kinds[name] = type(part).__name__
    if optimizer is not None:
        kinds["layer rate"] = type(optimizer.layer_rate).__name__
        kinds |= {f"{s} of the optimizer": repr(getattr(optimizer, s)) for s in optimizer.settings if s != "lr"}
        scaled = {name: scale for name, scale in optimizer.scales.items() if scale != (1.0, 1.0)}
        kinds |= {f"scale of {name}": f"lr={scale.lr}, decay={scale.decay}" for name, scale in scaled.items()}
    return kinds


def _label(what: str) -> str:
    return "the model" if what == "module" else f"the {what}"
