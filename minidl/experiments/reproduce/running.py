"""perform: one run of the reproduction, from its spec to its result.json.

A run keeps a checkpoint about every 20 seconds. Killed at any moment it goes on from there, to the same bits: in every
number but the times the result is that of a run that was left in peace. One thread does everything, so that the bits
do not depend on how many cores there are.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Generator, Mapping
from contextlib import closing
from dataclasses import dataclass
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np

from minidl import backend
from minidl import functional as F
from minidl.backend.starting import with_one_thread
from minidl.checks import choice
from minidl.data import Loader
from minidl.data.dataset import checksum
from minidl.errors import warn
from minidl.experiments.reproduce.course import Course, weights_of
from minidl.experiments.reproduce.methods import METHODS, RATES, build_optimizer, layer_rate_for
from minidl.experiments.reproduce.recipes import SCALES, Recipe, recipe_named
from minidl.experiments.reproduce.replaying import key_of, own_result, replayed_by
from minidl.experiments.reproduce.results import (
    CHECKPOINT,
    FORMAT,
    SPEC,
    Stopwatch,
    commit,
    is_done,
    machine,
    versions,
    write_replay,
    write_result,
)
from minidl.experiments.reproduce.sets import Sets, read
from minidl.files.arrays import load_arrays, save_arrays
from minidl.files.schema import check_plain
from minidl.files.writing import path_of
from minidl.nn import Module
from minidl.optim import Optimizer
from minidl.optim.schedule import Schedule
from minidl.tensors.tensor import Tensor
from minidl.training.evaluation import evaluate
from minidl.training.interrupt import StopOnInterrupt

CHECKPOINT_SECONDS = 20.0  # of computing between two checkpoints
CHECKPOINT_SHARE = 0.05  # of the time, that writing them may take: a large network's are written less often
CACHE = "cache"  # beside the folder of the runs
KIND = "reproduce_checkpoint"
CHECKPOINT_FORMAT = 2

_one_at_a_time = threading.Lock()


def perform(
    spec: Mapping[str, Any],
    folder: str | PathLike[str],
    data: str | PathLike[str] | None = None,
    base_rate: float | None = None,
    twin: str | PathLike[str] | None = None,
    on_iteration: Callable[[int], object] = lambda done: None,
    command: str = "",
) -> dict[str, Any]:
    """Do one run, or go on with it, and return what its result.json holds. A run that is done is only read.

    Args:
        spec: the run, as plan.json has it.
        folder: where its files go.
        data: where the data lie; None for $MINIDL_DATA and the user's cache.
        base_rate: the base rate; may be left out where the spec's "base" is a number, or "recipe".
        twin: the folder of the `ln` run with the same method, base rate and seed, for a rate that replays it.
        on_iteration: called after each step with how many were made. If it raises KeyboardInterrupt, the checkpoint is
            written first, as for Ctrl-C.
        command: the words by which the whole was started, for the result.

    Raises:
        ValueError: a spec that cannot be; the folder holds another run; or `twin` is another run than that to replay.
        FileNotFoundError: the data, or the twin's replay.npz, are not there.
        RuntimeError: this process does another run already: both would draw from one stream of random numbers.
        KeyboardInterrupt: Ctrl-C; the checkpoint is written first.
    """
    check_plain(dict(spec), SPEC, "the spec of a run")
    place = Path(path_of(folder))
    recipe = recipe_named(spec["recipe"])
    for name, known in (("method", METHODS), ("rate", RATES), ("scale", SCALES)):
        choice(spec[name], f"the spec of a run: {name}", known)
    rate = _base_rate(spec, recipe, base_rate)
    if is_done(place):
        _tidy(place)
        return own_result(spec, rate, place)
    if not _one_at_a_time.acquire(blocking=False):
        raise RuntimeError("this process does a run already, and two would draw from one stream of random numbers")
    try:
        replayed = replayed_by(spec, rate, twin)
        sets = read(recipe.data, data, place.parent.parent / CACHE)
        with np.errstate(all="ignore"), _one_blas_thread():
            return with_one_thread(_Run(spec, place, recipe, sets, rate, replayed, on_iteration, command).finish)
    finally:
        _one_at_a_time.release()


def _tidy(folder: Path) -> None:
    """Remove what only a run that is not done needs, and what one that was killed left half written."""
    for path in (folder / CHECKPOINT, *folder.glob(f".{CHECKPOINT}.*.part")):
        path.unlink(missing_ok=True)


def _base_rate(spec: Mapping[str, Any], recipe: Recipe, given: float | None) -> float:
    if given is not None:
        return float(given)
    if spec["base"] == "recipe":
        return float(recipe.base_rates[spec["method"]])
    if isinstance(spec["base"], str):
        raise ValueError(f"{spec['id']}: its base rate is {spec['base']!r}: give the number that the tuning found")
    return float(spec["base"])


def _one_blas_thread() -> Any:
    from threadpoolctl import threadpool_limits

    return threadpool_limits(1)


@dataclass
class _Run:
    """A run while it is done."""

    spec: Mapping[str, Any]
    folder: Path
    recipe: Recipe
    sets: Sets
    base_rate: float
    replayed: Any
    on_iteration: Callable[[int], object]
    command: str

    def finish(self) -> dict[str, Any]:
        """Do what is left to do."""
        self._begin()
        self._go_on()
        self._train()
        validation = self._evaluate(self.sets.shown(self.sets.validation))
        result = self._result(validation)
        if self.spec["rate"] == "ln":
            write_replay(self.folder, self.course.multipliers[: self.course.step])
        written = write_result(self.folder, result)
        _tidy(self.folder)
        return written

    # ---- the beginning

    def _begin(self) -> None:
        """Model, optimizer, schedule, loader: for one seed the same weights and the same order, whatever the rate."""
        seed, iterations = self.spec["seed"], self.spec["iterations"]
        backend.seed(seed)
        self.model: Module = self.recipe.network()
        self.factor, layer_rate = layer_rate_for(self.spec["rate"], self.replayed, iterations)
        lr = self.base_rate * self.factor
        self.optimizer: Optimizer = build_optimizer(self.model, self.spec["method"], lr, self.recipe.decay, layer_rate)
        self.recipe.scale(self.optimizer)
        self.schedule: Schedule | None = self.recipe.scheduled(self.optimizer, iterations)
        options: Any = {"transform": self.sets.transform, "workers": self.sets.workers}
        self.loader = Loader(self.sets.train, self.recipe.batch, seed=seed, drop_last=True, **options)
        self.course = Course(iterations, len(self.optimizer.layers))
        self.clock = Stopwatch()
        self.commits = [commit()]
        self.look_steps = self.recipe.look_steps(iterations)
        self.about = {
            "spec": key_of(self.spec),
            "base_rate": self.base_rate,
            "factor": self.factor,
            "replayed": None if self.replayed is None else checksum(self.replayed),
            "data": self.sets.fingerprint(),
            "backend": backend.current(),
        }
        self.checks: dict[str, Any] = {"first_weights": self._checksum(), "restarted": None}

    def _checksum(self) -> str:
        """16 letters that are others for other weights."""
        return checksum(np.concatenate([p.numpy().ravel() for p in self.model.parameters()]), 2**40)

    # ---- checkpoints

    def _parts(self) -> dict[str, Any]:
        parts = {"model": self.model, "optimizer": self.optimizer, "loader": self.loader}
        return parts if self.schedule is None else {**parts, "schedule": self.schedule}

    def _save(self) -> None:
        """Write the checkpoint, between two steps."""
        states: dict[str, Mapping[str, Any]] = {name: part.state_dict() for name, part in self._parts().items()}
        arrays, course = self.course.state()
        arrays = {f"course/{name}": value for name, value in arrays.items()}
        meta: dict[str, Any] = {"about": self.about, "course": course, "random": backend.random_state()}
        meta |= {"clock": list(self.clock.read()), "checks": self.checks, "commits": self.commits}
        for part, state in states.items():
            arrays |= {f"{part}/{name}": value for name, value in state.items() if isinstance(value, np.ndarray)}
            meta[part] = {name: value for name, value in state.items() if not isinstance(value, np.ndarray)}
        save_arrays(self.folder / CHECKPOINT, arrays, kind=KIND, format=CHECKPOINT_FORMAT, meta=meta)

    def _go_on(self) -> None:
        """Be where the checkpoint is, if there is one. One that cannot be read is not used, and that is said."""
        path = self.folder / CHECKPOINT
        try:
            arrays, meta = load_arrays(path, kind=KIND, format=CHECKPOINT_FORMAT)
        except FileNotFoundError:
            return
        except ValueError as error:
            warn(f"{error}. The run is done again from its first step")
            self.checks["restarted"] = "its checkpoint could not be read"
            return
        if meta["about"] != self.about:
            differs = [name for name, value in self.about.items() if meta["about"].get(name) != value]
            raise ValueError(f"{path} is of another run: its {' and '.join(differs)} differ. Name another folder")
        for part, object_ in self._parts().items():
            own = {name.partition("/")[2]: a for name, a in arrays.items() if name.partition("/")[0] == part}
            object_.load_state_dict({**own, **meta[part]})
        course = {name.partition("/")[2]: a for name, a in arrays.items() if name.startswith("course/")}
        self.course.restore(course, meta["course"])
        backend.restore_random_state(meta["random"])
        self.clock, self.checks = Stopwatch(*meta["clock"]), meta["checks"]
        before = meta.get("commits", [None])  # an older minidl did not say
        self.commits = [*before, *(name for name in self.commits if name != before[-1])]

    # ---- the steps

    def _train(self) -> None:
        """Make the steps that are left, look at the test set after those that are due, and keep checkpoints."""
        course = self.course
        saved, pause = time.perf_counter(), CHECKPOINT_SECONDS
        with StopOnInterrupt() as interrupt, closing(self._batches()) as batches:
            while course.step < course.iterations and course.diverged_at is None:
                self.clock.start()
                self._step(*next(batches))
                self.clock.stop()
                stopped = self._tell(interrupt)
                self._look_if_due()
                if stopped is not None or time.perf_counter() - saved > pause:
                    begun = time.perf_counter()
                    self._save()
                    saved = time.perf_counter()
                    pause = max(CHECKPOINT_SECONDS, (saved - begun) / CHECKPOINT_SHARE)
                if stopped is not None:
                    raise stopped
        if course.diverged_at is not None:
            self._fill_looks()

    def _batches(self) -> Generator[tuple[Any, Any]]:
        """Epoch after epoch without end."""
        while True:
            with closing(iter(self.loader)) as epoch:
                yield from epoch

    def _tell(self, interrupt: StopOnInterrupt) -> KeyboardInterrupt | None:
        """Say how many steps were made; an interrupt if the run is to stop here."""
        try:
            self.on_iteration(self.course.step)
        except KeyboardInterrupt as error:
            return error
        return KeyboardInterrupt() if interrupt.requested else None

    def _step(self, inputs: Any, labels: Any) -> None:
        """One step of training; none if the loss is not finite."""
        course = self.course
        loss = F.cross_entropy(self.model(Tensor(inputs)), labels)
        value = loss.item()
        if not np.isfinite(value):
            course.diverged_at = course.step + 1
            return
        self.optimizer.zero_grad()
        loss.backward()
        measured = course.is_measured(course.step + 1)
        before = weights_of(self.optimizer) if measured else []
        self.optimizer.step()
        if measured:
            course.measure(self.optimizer, before, self.factor)
        if self.schedule is not None:
            self.schedule.step()
        rates = self.optimizer.raw_rates().values()
        course.losses[course.step] = value
        course.multipliers[course.step] = self.factor * (sum(float(m) for m, _, _ in rates) / len(rates))
        course.floored += any(bool(floored) for _, _, floored in rates)
        course.step += 1

    def _look_if_due(self) -> None:
        """Look at the test set, if that is due after so many steps and was not done."""
        step, looks = self.course.step, self.course.looks
        if step not in self.look_steps or (looks and looks[-1]["iteration"] >= step):
            return
        some = 0 if step == self.look_steps[-1] else self.recipe.looked_at[self.spec["scale"]]
        part = self.sets.shown(self.sets.test, some)
        seconds, cpu_seconds = self.clock.read()
        times = {"seconds": seconds, "cpu_seconds": cpu_seconds}
        looks.append({"iteration": step, **self._evaluate(part), "examples": len(part), **times})

    def _fill_looks(self) -> None:
        """After a run has diverged it knows no more than chance."""
        seen = {look["iteration"] for look in self.course.looks}
        nothing = {"accuracy": 1 / self.sets.classes, "loss": None, "examples": 0, "seconds": None, "cpu_seconds": None}
        self.course.looks += [{"iteration": step, **nothing} for step in self.look_steps if step not in seen]

    def _evaluate(self, part: Any) -> dict[str, Any]:
        if self.course.diverged_at is not None:
            return {"accuracy": 1 / self.sets.classes, "loss": None}
        found = evaluate(self.model, part, progress=False)
        return {"accuracy": found.accuracy, "loss": found.loss}

    # ---- the end

    def _all_commits(self) -> str | None:
        """Of minidl's source, in the order in which a run that was stopped went on with them; None if none is known."""
        return ", then ".join(name or "unknown" for name in self.commits) if any(self.commits) else None

    def _result(self, validation: Mapping[str, Any]) -> dict[str, Any]:
        course = self.course
        seconds, cpu_seconds = self.clock.read()
        sets = self.sets
        sizes = {name: len(getattr(sets, name)) for name in ("train", "validation", "test")}
        return {
            "format": FORMAT,
            "spec": dict(self.spec),
            "base_rate": self.base_rate,
            "command": self.command or f"minidl reproduce {self.recipe.name} --scale {self.spec['scale']}",
            "versions": {**versions(), "commit": self._all_commits()},
            "machine": machine(),
            "threads": 1,
            "backend": backend.current(),
            "data": {"name": sets.name, "fingerprint": self.about["data"], **sizes},
            "iterations": course.iterations,
            "seconds": seconds,
            "cpu_seconds": cpu_seconds,
            "looks": course.looks,
            "validation": dict(validation),
            "train_loss": course.train_loss(),
            "diverged_at": course.diverged_at,
            "layers": [layer.name for layer in self.optimizer.layers],
            "curve": course.curve(),
            "flow": course.flow_numbers(),
            "mean_multiplier": course.mean_multiplier(),
            "checks": {**self.checks, "last_weights": self._checksum(), "floored_steps": course.floored},
        }
