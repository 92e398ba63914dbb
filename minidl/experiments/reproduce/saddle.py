"""`minidl reproduce saddle`: runs that begin beside a saddle point, to see how soon they leave it.

The claim is that rates per layer escape saddle points of low curvature quickly. Near a saddle the gradient is small in
every layer, so the rule's factor 1 + ln(1 + 1/||g_l||) is large in every layer: 8 where ||g_l|| is 0.001. Along a
direction of curvature -c a distance grows by 1 + t c a step (with momentum 0.9 about ten times as fast), so a run
leaves after a number of steps that falls as 1/t: **a larger rate for all layers does the same**. Whether it is the
layers that matter is seen from the controls, which replay the factor of the layer-specific run: as one constant, or as
its mean over the layers at each step.

- The saddle is that of `saddle_point.py`: the same in every run, and its Hessian is known exactly.
- A run begins `DISTANCE` away from it, in a direction that its seed draws: the same for all methods and rates.
- Each step sees all examples, so two runs with one seed differ by their method and rate alone.
- It has left once the loss is below `LEFT` of the loss at the saddle; the steps until then are what is compared.
- At some steps the exact Hessian is computed: how many of its eigenvalues are negative, the smallest, the largest.

These numbers were fixed before any two rules were compared. The base rate is Caffe's 0.01 for SGD, which at the saddle
is a tenth of the largest stable one, 2 (1 + 0.9)/27 = 0.14 with momentum 0.9, and a fifth of that with Nesterov's,
2 (1 + 0.9)/(27 (1 + 2 0.9)) = 0.050; with it, and with AdaGrad's, a run with one rate for all layers leaves within its
steps. A rate above the largest stable one throws a run up the walls, so that its loss rises above that at the saddle:
how far, and until when, is recorded.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cache
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np

from minidl import backend
from minidl.backend.starting import with_one_thread
from minidl.data.dataset import checksum
from minidl.experiments.reproduce.course import Course, weights_of
from minidl.experiments.reproduce.methods import build_optimizer, layer_rate_for
from minidl.experiments.reproduce.names import SADDLE
from minidl.experiments.reproduce.recipes import recipe_named
from minidl.experiments.reproduce.replaying import own_result, replayed_by
from minidl.experiments.reproduce.results import (
    FORMAT,
    SPEC,
    Stopwatch,
    is_done,
    machine,
    versions,
    write_replay,
    write_result,
)
from minidl.experiments.reproduce.saddle_point import (
    UP,
    curvature_at,
    examples,
    gradient_at,
    loss_at,
    loss_of,
    network,
    put,
    saddle_point,
    vector_of,
)
from minidl.files.schema import check_plain
from minidl.files.writing import path_of
from minidl.nn import Module
from minidl.optim import Optimizer
from minidl.tensors.tensor import Tensor
from minidl.training.evaluation import evaluate

DISTANCE = 0.01  # of the start from the saddle; the saddle is 9.4 away from 0
LEFT = 0.95  # of the loss at the saddle
CHANCE = 0.1


def perform_saddle(
    spec: Mapping[str, Any],
    folder: str | PathLike[str],
    data: str | PathLike[str] | None = None,
    base_rate: float | None = None,
    twin: str | PathLike[str] | None = None,
    on_iteration: Callable[[int], object] = lambda done: None,
    command: str = "",
) -> dict[str, Any]:
    """Do one run, and return what its result.json holds. A run that is done is only read.

    It takes seconds, so it keeps no checkpoint: begun again it gives the same bits.

    Args:
        spec: the run, as plan.json has it; its seed draws the direction of the start.
        folder: where its files go.
        data: not needed; the digits come with minidl.
        base_rate: the base rate; may be left out where the spec's "base" is a number.
        twin: the folder of the `ln` run with the same method, base rate and seed, for a rate that replays it.
        on_iteration: called after each step with how many were made.
        command: the words by which the whole was started, for the result.

    Returns:
        As other runs, with "accuracy" and "loss" (cross-entropy alone) on the digits with 4x4 pixels, and "saddle":

        - "loss", "gradient_norm", "smallest", "largest", "negative": at the saddle itself: L, the norm of its
          gradient, the extreme eigenvalues of its Hessian, how many are negative (of "parameters");
        - "distance": of the start from it; "threshold": what the loss has to fall below;
        - "left_at": after how many steps it first was; null if it never was;
        - "highest": the highest loss until then; "up_until": the last step until then with a loss above `UP` times that
          at the saddle, 0 if there is none;
        - "curvature": lists with one entry for each of its "steps": "loss", "distance" from the saddle,
          "gradient_norms" of the layers, "multipliers" of the layers in the step before (null at step 0), "smallest",
          "largest" and "negative".

    Raises:
        ValueError: a spec that cannot be; the folder holds another run; or `twin` is another run than that to replay.
        FileNotFoundError: the twin's files are not there.
    """
    check_plain(dict(spec), SPEC, "the spec of a run")
    place = Path(path_of(folder))
    if base_rate is None and isinstance(spec["base"], str):
        raise ValueError(f"{spec['id']}: its base rate is {spec['base']!r}: give the number")
    rate = float(spec["base"] if base_rate is None else base_rate)
    if is_done(place):
        return own_result(spec, rate, place)
    replayed = replayed_by(spec, rate, twin)
    with backend.using("numpy"), np.errstate(all="ignore"), _one_blas_thread():
        run = _Run(spec, rate, replayed, on_iteration)
        result = with_one_thread(run.finish, command)
    if spec["rate"] == "ln":
        write_replay(place, run.course.multipliers[: run.course.step])
    return write_result(place, result)


def _one_blas_thread() -> Any:
    from threadpoolctl import threadpool_limits

    return threadpool_limits(1)


def start_of(seed: int) -> Any:
    """Where the runs of a seed begin: `DISTANCE` away from the saddle, in a random direction."""
    direction = np.random.default_rng(seed).standard_normal(saddle_point().size)
    return saddle_point() + DISTANCE * direction / np.linalg.norm(direction)


class _Run:
    def __init__(
        self, spec: Mapping[str, Any], base_rate: float, replayed: Any, on_iteration: Callable[[int], object]
    ) -> None:
        self.spec, self.base_rate, self.on_iteration = spec, base_rate, on_iteration
        steps = spec["iterations"]
        self.model: Module = network().to(np.float64)
        put(self.model, start_of(spec["seed"]))
        self.factor, layer_rate = layer_rate_for(spec["rate"], replayed, steps)
        lr = base_rate * self.factor
        self.optimizer: Optimizer = build_optimizer(self.model, spec["method"], lr, layer_rate=layer_rate)
        self.course = Course(steps, len(self.optimizer.layers))
        self.clock = Stopwatch()
        self.look_steps = recipe_named(SADDLE).look_steps(steps)
        self.train = examples().train
        self.inputs = Tensor(self.train.inputs)
        self.there = loss_at(Tensor(saddle_point())).item()
        self.threshold = LEFT * self.there
        self.left_at: int | None = None
        self.highest, self.up_until = self.there, 0  # before it has left
        self.curvature: dict[str, list[Any]] = {
            name: []
            for name in (
                "steps", "loss", "distance", "gradient_norms", "multipliers", "smallest", "largest", "negative"
            )
        }  # fmt: skip
        weights = vector_of(self.model)
        # Six decimals: the saddle is found to rounding, and has other last bits on another processor.
        decimals = np.round(weights, 6) + 0.0  # -0.0 + 0.0 is 0.0
        self.begun = {"first_weights": checksum(weights), "begins_with": checksum(decimals)}

    def finish(self, command: str) -> dict[str, Any]:
        """Make all steps, and say what has come of it."""
        course, last = self.course, self.course.iterations
        for k in range(last + 1):
            if k == 0 or k in self.look_steps:
                self._look(k)
            self.clock.start()
            loss = loss_of(self.model, self.inputs, self.train.labels)
            value = loss.item()
            if not np.isfinite(value):
                course.diverged_at = min(k + 1, last)
                break
            if self.left_at is None:
                self._watch(k, value)
            if k == last:
                break
            self._step(loss, value)
            self.clock.stop()
            self.on_iteration(course.step)
        self.clock.stop()
        return self._result(command)

    def _watch(self, step: int, loss: float) -> None:
        """Note whether the run has left the saddle, and how far up the walls it was before."""
        self.highest = max(self.highest, loss)
        if loss > UP * self.there:
            self.up_until = step
        if loss < self.threshold:
            self.left_at = step

    def _step(self, loss: Tensor, value: float) -> None:
        course, optimizer = self.course, self.optimizer
        optimizer.zero_grad()
        loss.backward()
        measured = course.is_measured(course.step + 1)
        before = weights_of(optimizer) if measured else []
        optimizer.step()
        if measured:
            course.measure(optimizer, before, self.factor)
        rates = optimizer.raw_rates().values()
        course.losses[course.step] = value
        course.multipliers[course.step] = self.factor * (sum(float(m) for m, _, _ in rates) / len(rates))
        course.floored += any(bool(floored) for _, _, floored in rates)
        course.step += 1

    def _look(self, step: int) -> None:
        """Look at the test digits, and at the loss around the weights."""
        seconds, cpu_seconds = self.clock.read()
        if step:
            times = {"seconds": seconds, "cpu_seconds": cpu_seconds}
            found = evaluate(self.model, examples().test, progress=False)
            seen = {"accuracy": found.accuracy, "loss": found.loss, "examples": len(examples().test)}
            self.course.looks.append({"iteration": step, **seen, **times})
        w = vector_of(self.model)
        if not np.isfinite(w).all():
            return
        gradient, start, norms = gradient_at(w), 0, []
        for layer in self.optimizer.layers:
            end = start + sum(p.size for _, p in layer.parameters)
            norms.append(float(np.linalg.norm(gradient[start:end])))
            start = end
        report = self.optimizer.layer_report() if step else {}
        multipliers = [self.factor * row.multiplier for row in report.values()] if step else None
        around = curvature_at(w)
        row = {"steps": step, "loss": loss_at(Tensor(w)).item(), "gradient_norms": norms, "multipliers": multipliers}
        row |= {"distance": float(np.linalg.norm(w - saddle_point())), **around._asdict()}
        for name, of in self.curvature.items():
            of.append(row[name])

    def _result(self, command: str) -> dict[str, Any]:
        course, parts = self.course, examples()
        validation: dict[str, Any] = {"accuracy": CHANCE, "loss": None}
        if course.diverged_at is None:
            found = evaluate(self.model, parts.validation, progress=False)
            validation = {"accuracy": found.accuracy, "loss": found.loss}
        seen = {look["iteration"] for look in course.looks}
        unknown = {"loss": None, "examples": 0, "seconds": None, "cpu_seconds": None}
        course.looks += [{"iteration": k, "accuracy": CHANCE, **unknown} for k in self.look_steps if k not in seen]
        seconds, cpu_seconds = self.clock.read()
        return {
            "format": FORMAT,
            "spec": dict(self.spec),
            "base_rate": self.base_rate,
            "command": command or f"minidl reproduce {SADDLE} --scale {self.spec['scale']}",
            "versions": versions(),
            "machine": machine(),
            "threads": 1,
            "backend": "numpy",
            "data": {
                "name": "digits",
                "fingerprint": checksum(self.train.inputs),
                "train": len(parts.train),
                "validation": len(parts.validation),
                "test": len(parts.test),
            },
            "iterations": course.iterations,
            "seconds": seconds,
            "cpu_seconds": cpu_seconds,
            "looks": course.looks,
            "validation": validation,
            "train_loss": course.train_loss(),
            "diverged_at": course.diverged_at,
            "layers": [layer.name for layer in self.optimizer.layers],
            "curve": course.curve(),
            "flow": course.flow_numbers(),
            "mean_multiplier": course.mean_multiplier(),
            "checks": {
                **self.begun,
                "last_weights": checksum(vector_of(self.model)),
                "floored_steps": course.floored,
                "restarted": None,
            },
            "saddle": self._saddle(),
        }

    def _saddle(self) -> dict[str, Any]:
        w = saddle_point()
        return {
            "loss": self.there,
            "gradient_norm": float(np.linalg.norm(gradient_at(w))),
            **_curvature_there(),
            "parameters": w.size,
            "distance": DISTANCE,
            "threshold": self.threshold,
            "left_at": self.left_at,
            "highest": self.highest,
            "up_until": self.up_until,
            "curvature": self.curvature,
        }


@cache
def _curvature_there() -> dict[str, Any]:
    return curvature_at(saddle_point())._asdict()
