"""Checkpoints: everything that a training needs to go on, bit for bit, in one file.

That is the weights, the optimizer's and the schedule's state, both random streams, the position in the data and the
history. A checkpoint is an npz of plain arrays (`minidl.files.arrays`), the same from both backends.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from os import PathLike, fspath
from typing import Any, NamedTuple

import numpy as np

from minidl import backend
from minidl.data import Loader, Source
from minidl.errors import describe as described
from minidl.files.arrays import load_arrays, save_arrays
from minidl.files.schema import FLOATS, Entry, Header, check_arrays, check_plain
from minidl.nn import Module
from minidl.optim import Optimizer
from minidl.optim.schedule import Schedule
from minidl.training.changes import loader_state, optimizer_state, schedule_state
from minidl.training.description import comparable, describe, differences, kinds, settings
from minidl.training.history import History
from minidl.training.objects import Fact
from minidl.version import __version__

KIND = "checkpoint"
FORMAT = 1
_NAMED = 5  # how many differences an error names
_IF_MEANT = "To go on with what is here all the same, say allow_changes=True"
_RATE = "lr of the optimizer"
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
    "described": ({str: str}, None),
    "settings": (dict, None),  # what older files have in its place, or the oldest have neither
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
        settings: what all that was made with, in words: the options of every module, the numbers of the schedule,
            which parameters are frozen, the data sets, the loss, and the code that these run where it is a user's own.
    """

    path: str
    model: dict[str, Any]
    optimizer: dict[str, Any] | None
    schedule: dict[str, Any] | None
    loader: dict[str, Any] | None
    random: dict[str, Any]
    history: History
    kinds: dict[str, str]
    settings: dict[str, str]

    def __repr__(self) -> str:
        return f"Checkpoint({self.path!r}, {self.history!r})"

    def resume(
        self,
        model: Module,
        optimizer: Optimizer,
        loader: Loader | None = None,
        schedule: Schedule | None = None,
        *,
        loss: Callable[..., Any] | None = None,
        validation: Source | str | None = None,
        allow_changes: bool = False,
    ) -> History:
        """Put everything back as it was and return the history: training then goes on bit for bit.

        The four must be made as those that were saved; fresh ones will do. On an error nothing has changed.

        Args:
            model, optimizer, loader, schedule, loss, validation: what trains from here on, and what it is evaluated on,
                or "none". The last two are compared if they were saved.
            allow_changes: go on although something was made with other settings, such as another schedule, dropout or
                data set: those of here count from now on. What is learned and remembered (weights, velocities, numbers
                of steps and epochs, the rate unless another one is asked for) still comes from the file, and has to
                fit: parameters of the same names and shapes, and a method that remembers the same of them.

                Another schedule goes on from the same step; one where there was none begins. A Loader of other batches
                or another number of examples goes on in the same epoch, behind as many examples, in whole batches.

        Raises:
            ValueError: one of them does not fit what was saved. The message names the file, and what is not the same.
        """
        _check_model(model, "checkpoint.resume(model, optimizer, loader, schedule)")
        here = kinds(model, optimizer, loader, schedule)
        if _RATE not in self.kinds:  # an older file, which does not say
            here.pop(_RATE, None)
        found = differences(self.kinds, here)
        if found and not allow_changes:
            raise ValueError(f"{self.path} does not fit: {listed(found)}; nothing was changed. {_IF_MEANT}")
        done: list[tuple[Any, dict[str, Any]]] = []
        random_before = backend.random_state()
        try:
            for part, state in self._states(model, optimizer, loader, schedule, allow_changes):
                before = part.state_dict()
                part.load_state_dict(state)
                done.append((part, before))
            backend.restore_random_state(self.random)
            if not allow_changes:
                parts = model, optimizer, loader, schedule, loss, validation
                told = {what: entry.text for what, entry in describe(*parts).items()}
                found = differences(self.settings, told, only_shared=True)
                if found:
                    raise ValueError(f"{listed(found)}. {_IF_MEANT}")
        except Exception as error:
            for part, before in reversed(done):
                part.load_state_dict(before)
            backend.restore_random_state(random_before)
            if isinstance(error, MemoryError):
                raise
            raise ValueError(f"{self.path} does not fit, nothing was changed: {error}") from error
        return History.from_dict({**self.history.as_dict(), "interrupted": False})

    def _states(
        self,
        model: Module,
        optimizer: Optimizer,
        loader: Loader | None,
        schedule: Schedule | None,
        allow_changes: bool,
    ) -> Iterator[tuple[Any, Any]]:
        """Each part that is to be loaded, and its state."""
        if not allow_changes:
            saved = self.model, self.optimizer, self.schedule, self.loader
            parts = model, optimizer, schedule, loader
            yield from ((part, state) for part, state in zip(parts, saved, strict=True) if part is not None)
            return
        asked = kinds(model, optimizer, None, None)[_RATE]
        new_rate = self.kinds.get(_RATE, asked) != asked
        yield model, self.model
        if self.optimizer is not None:
            same = self.kinds.get("optimizer") == type(optimizer).__name__
            yield optimizer, optimizer_state(self.optimizer, optimizer, new_rate, same)
        if schedule is not None:
            own = schedule.state_dict()
            yield schedule, own if self.schedule is None else schedule_state(self.schedule, schedule, new_rate)
        if loader is not None and self.loader is not None:
            yield loader, loader_state(self.loader, loader)


def listed(found: list[str]) -> str:
    """Differences in one sentence, not too long."""
    return "; ".join(found[:_NAMED]) + (f"; and {len(found) - _NAMED} more" if len(found) > _NAMED else "")


def save_checkpoint(
    path: str | PathLike[str],
    model: Module,
    optimizer: Optimizer | None = None,
    loader: Loader | None = None,
    schedule: Schedule | None = None,
    history: History | None = None,
    loss: Callable[..., Any] | None = None,
    validation: Source | str | None = None,
) -> None:
    """Write a checkpoint, completely or not at all, between two steps.

    Args:
        path: the file, by custom with the suffix .npz.
        model, optimizer, loader, schedule, history: what is saved, besides both random streams.
        loss, validation: what is minimised, and the data it is evaluated on (or "none"); they are described, so that
            the run is not resumed with others.

    Raises:
        TypeError: the model is none.
        OSError: the file cannot be written.
    """
    _check_model(model, "save_checkpoint(path, model, optimizer)")
    content_of(model, optimizer, loader, schedule, history, loss, validation).write(path)


def _check_model(model: Any, order: str) -> None:
    if not isinstance(model, Module):
        raise TypeError(f"{order}: expected a model, a Module, in this place; got {described(model)}")


class Content(NamedTuple):
    """What a checkpoint holds: arrays by name, and plain data about them."""

    arrays: dict[str, Any]
    meta: dict[str, Any]

    def write(self, path: str | PathLike[str]) -> None:
        """Write it to a file."""
        save_arrays(path, self.arrays, kind=KIND, format=FORMAT, meta=self.meta)

    def holds_the_same(self, other: Content) -> bool:
        """Whether a run would go on from both alike; their histories are not compared."""
        mine, theirs = (
            {name: a for name, a in x.arrays.items() if not name.startswith("history/")} for x in (self, other)
        )
        return (
            {**self.meta, "history": None} == {**other.meta, "history": None}
            and mine.keys() == theirs.keys()
            and all(a.dtype == theirs[name].dtype and a.tobytes() == theirs[name].tobytes() for name, a in mine.items())
        )


def content_of(
    model: Module,
    optimizer: Optimizer | None,
    loader: Loader | None,
    schedule: Schedule | None,
    history: History | None,
    loss: Callable[..., Any] | None,
    validation: Source | str | None,
    begun: Mapping[str, Fact] | None = None,
) -> Content:
    """What `save_checkpoint` writes.

    Args:
        begun: what `describe` said when the run began, to tell settings from counters; None if that is not known.
    """
    arrays: dict[str, Any] = {}
    meta: dict[str, Any] = {
        "minidl": __version__,
        "kinds": kinds(model, optimizer, loader, schedule),
        "described": settings(model, optimizer, loader, schedule, loss, validation, begun=begun),
        "random": backend.random_state(),
    }
    parts = {"model": model, "optimizer": optimizer, "schedule": schedule, "loader": loader}
    states: dict[str, Any] = {name: part.state_dict() for name, part in parts.items() if part is not None}
    course = (history or History()).as_dict()
    states["history"] = course | {name: np.array(course[name], dtype=np.float64) for name in _COURSE}
    for part, state in states.items():
        arrays |= {f"{part}/{name}": value for name, value in state.items() if isinstance(value, np.ndarray)}
        meta[part] = {name: _plain(value) for name, value in state.items() if not isinstance(value, np.ndarray)}
    return Content(arrays, meta)


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
        _with_first_rate(meta["kinds"], states["optimizer"]),
        meta["described"] if meta.get("described") is not None else comparable(meta.get("settings") or {}),
    )


def _state(part: str, arrays: Mapping[str, Any], meta: Mapping[str, Any]) -> dict[str, Any] | None:
    """The state of one part, its arrays and its plain numbers together; None if it was not saved."""
    if meta.get(part) is None:
        return None
    front = f"{part}/"
    return {name.removeprefix(front): a for name, a in arrays.items() if name.startswith(front)} | meta[part]


def _with_first_rate(kinds: dict[str, str], optimizer: Mapping[str, Any] | None) -> dict[str, str]:
    """The classes and settings, with the rate before the first schedule, which older files have in another place."""
    first = (optimizer or {}).get("initial_lr")
    return kinds if first is None else {_RATE: repr(first), **kinds}


def _plain(value: Any) -> Any:
    return value.item() if isinstance(value, np.generic) else value
