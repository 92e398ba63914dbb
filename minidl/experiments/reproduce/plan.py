"""The plan of a reproduction: which runs there are, in which order, and which of them need others first.

The plan is a file, plan.json, that may be read and edited before the work and in between: runs may be deleted, seeds
added. Runs that tell most come first, so that a reproduction which is stopped early says something about each claim:

    stage 0     the first method at the recipe's rate, seed 0: uniform and layer-specific
    stage 1     the controls that replay the layer-specific run of seed 0
    stage 2     the same on the other seeds
    stage 3, 4  the uniform rate tuned on a validation split, and its runs: is the recipe's rate merely too small?
    stages 5-9  the same five steps for the other methods, method beside method
    stage 10    log10 in place of ln
    stages 11-  the tuning of ln and of the control per step, and their runs
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from minidl.experiments.reproduce.methods import METHODS, RATES, REPLAYED
from minidl.experiments.reproduce.results import SPEC
from minidl.files.writing import write_atomically

FORMAT = 1
FILE = "plan.json"
LAYER_SPECIFIC, PER_STEP = "ln", "per-step"


@dataclass(frozen=True)
class PlannedRun:
    """One run.

    Attributes:
        recipe, scale: of the plan.
        method, rate: what trains, and the rule of its layers' rates.
        base: "recipe", the recipe's own base rate; "tuned", the best of the tuning runs that this one needs; or, in a
            tuning run, the rate itself.
        seed: of the initial weights and of the order of the data.
        role: "report"; "tuning", on a seed that is not reported; or "twin": a layer-specific run at the rate tuned for
            the control per step, which has to be there to be replayed.
        iterations: how many steps.
        needs: the ids of the runs that have to be done before.
        stage: 0 for the ones that tell most.
    """

    recipe: str
    scale: str
    method: str
    rate: str
    base: str | float
    seed: int
    role: str
    iterations: int
    needs: tuple[str, ...] = ()
    stage: int = 0

    @property
    def id(self) -> str:
        """The run's name, and its folder's."""
        tag = "twin" if self.role == "twin" else self.base if isinstance(self.base, str) else f"grid{self.base:g}"
        return f"{self.method}-{self.rate}-{tag}-seed{self.seed}"

    def as_spec(self) -> dict[str, Any]:
        """The run as plain data, as files hold it."""
        return {"id": self.id, **{name: getattr(self, name) for name in SPEC if name != "id"}, "needs": [*self.needs]}


@dataclass(frozen=True)
class Plan:
    """The runs of a reproduction in the order in which they are begun, and the settings that they were made from."""

    recipe: str
    scale: str
    settings: dict[str, Any]
    runs: tuple[PlannedRun, ...]

    def as_dict(self) -> dict[str, Any]:
        """The plan as plain data, as plan.json holds it."""
        runs = [run.as_spec() for run in self.runs]
        return {"format": FORMAT, "recipe": self.recipe, "scale": self.scale, "settings": self.settings, "runs": runs}

    def save(self, path: Path) -> None:
        """Write plan.json: one line a run, so that it can be edited."""
        text = self.as_dict()
        runs = ",\n    ".join(json.dumps(run, allow_nan=False) for run in text.pop("runs"))
        head = json.dumps(text, indent=2, allow_nan=False).removesuffix("\n}")
        write_atomically(path, f'{head},\n  "runs": [\n    {runs}\n  ]\n}}\n'.encode())


def make_plan(
    recipe: str,
    scale: str,
    *,
    iterations: int,
    methods: Sequence[str],
    rates: Sequence[str],
    seeds: int,
    tuning_seeds: Sequence[int],
    base_rates: Mapping[str, float],
    grids: Mapping[str, Sequence[float]],
) -> Plan:
    """The plan of a recipe at a scale.

    Args:
        recipe, scale: their names.
        iterations: steps of every run.
        methods, rates: out of `METHODS` and `RATES`; each control needs "ln" beside it.
        seeds: how many are reported: 0, 1, ...
        tuning_seeds: those that tune the base rates, none of which is reported.
        base_rates: the recipe's own base rate for each method.
        grids: the rates that a method's base rate is tuned over; a method with none has no tuned runs.

    Raises:
        ValueError: a number out of its range, an unknown method or rate, a control without what it replays.
    """
    settings: dict[str, Any] = {
        "iterations": iterations,
        "methods": [method for method in METHODS if method in methods] + [m for m in methods if m not in METHODS],
        "rates": [rate for rate in RATES if rate in rates] + [r for r in rates if r not in RATES],
        "seeds": seeds,
        "tuning_seeds": [*tuning_seeds],
        "base_rates": {method: base_rates[method] for method in METHODS if method in methods},
        "grids": {method: [*grids.get(method, ())] for method in METHODS if method in methods},
    }
    check_settings(settings)
    return Plan(recipe, scale, settings, tuple(_Planner(recipe, scale, settings).runs.values()))


class _Planner:
    """Puts the runs down in their order."""

    def __init__(self, recipe: str, scale: str, settings: dict[str, Any]) -> None:
        self.settings = settings
        self.runs: dict[str, PlannedRun] = {}
        self._recipe, self._scale = recipe, scale
        self._stage = -1
        methods, seeds = settings["methods"], range(settings["seeds"])
        for some in filter(None, (methods[:1], methods[1:])):
            self._next_stage(some, seeds[:1], ("uniform", LAYER_SPECIFIC), "recipe")
            self._next_stage(some, seeds[:1], REPLAYED, "recipe")
            self._next_stage(some, seeds[1:], ("uniform", LAYER_SPECIFIC, *REPLAYED), "recipe")
            self._tune(some, "uniform")
            self._next_stage(some, seeds, ("uniform",), "tuned")
        self._next_stage(methods, seeds, ("log10",), "recipe")
        for rate in (LAYER_SPECIFIC, PER_STEP):  # a constant control that is tuned would be a tuned uniform rate
            self._tune(methods, rate)
            self._next_stage(methods, seeds, (rate,), "tuned")

    def _next_stage(self, methods: Sequence[str], seeds: Sequence[int], rates: Sequence[str], base: str) -> None:
        self._stage += 1
        for seed in seeds:
            for method in methods:
                if base == "tuned" and not self.settings["grids"][method]:
                    continue
                for rate in rates:
                    if rate in self.settings["rates"]:
                        self._add_reported(method, rate, base, seed)

    def _add_reported(self, method: str, rate: str, base: str, seed: int) -> None:
        needs = self._tuning_ids(method, rate) if base == "tuned" else ()
        if rate in REPLAYED and base == "tuned":
            twin = self._add(method, LAYER_SPECIFIC, base, seed, "twin", needs)
        else:
            twin = f"{method}-{LAYER_SPECIFIC}-{base}-seed{seed}"
        self._add(method, rate, base, seed, "report", (*needs, twin) if rate in REPLAYED else needs)

    def _tune(self, methods: Sequence[str], rate: str) -> None:
        """A stage of the runs that tune one rule on each method."""
        self._stage += 1
        for seed in self.settings["tuning_seeds"] if rate in self.settings["rates"] else ():
            for method in methods:
                for base in self.settings["grids"][method]:
                    twin = f"{method}-{LAYER_SPECIFIC}-grid{base:g}-seed{seed}"
                    self._add(method, rate, base, seed, "tuning", (twin,) if rate in REPLAYED else ())

    def _tuning_ids(self, method: str, rate: str) -> tuple[str, ...]:
        runs = self.runs.values()
        return tuple(run.id for run in runs if (run.method, run.rate, run.role) == (method, rate, "tuning"))

    def _add(self, method: str, rate: str, base: str | float, seed: int, role: str, needs: Sequence[str]) -> str:
        name, scale, steps = self._recipe, self._scale, self.settings["iterations"]
        run = PlannedRun(name, scale, method, rate, base, seed, role, steps, tuple(needs), self._stage)
        if run.id in self.runs:
            raise ValueError(f"the plan would have two runs of the name {run.id}: a grid or a list names one twice")
        self.runs[run.id] = run
        return run.id


def check_settings(settings: Mapping[str, Any]) -> None:
    """Refuse settings that make no plan.

    Raises:
        ValueError: a number out of its range, an unknown method or rate, a control without what it replays.
    """
    for name, known in (("methods", METHODS), ("rates", RATES)):
        chosen = settings[name]
        unknown = [one for one in chosen if one not in known]
        if unknown or not chosen:
            came = f"unknown {', '.join(map(repr, unknown))}" if unknown else "none given"
            raise ValueError(f"{name}: {came}; choose from {', '.join(known)}")
        if len(set(chosen)) < len(chosen):
            raise ValueError(f"{name}: {', '.join(chosen)} names one twice")
    controls = [rate for rate in REPLAYED if rate in settings["rates"]]
    if controls and LAYER_SPECIFIC not in settings["rates"]:
        raise ValueError(f"rates: {', '.join(controls)} replay a layer-specific run; add {LAYER_SPECIFIC}")
    for name in ("iterations", "seeds"):
        if settings[name] < 1:
            raise ValueError(f"{name}: expected at least 1; got {settings[name]}")
    reported = [seed for seed in settings["tuning_seeds"] if not seed >= settings["seeds"]]
    if reported:
        raise ValueError(f"tuning_seeds: {reported[0]} is reported too (seeds 0 to {settings['seeds'] - 1})")
    for method in settings["methods"]:
        for name in ("base_rates", "grids"):
            if method not in settings[name]:
                raise ValueError(f"{name}: has nothing for {method}")
        rates = (settings["base_rates"][method], *settings["grids"][method])
        if not all(is_rate(rate) for rate in rates):
            raise ValueError(f"base_rates, grids: expected positive numbers for {method}; got {rates}")
        if settings["grids"][method] and not settings["tuning_seeds"]:
            raise ValueError("tuning_seeds: expected at least one to tune with; or leave the grids empty")


def is_rate(value: Any) -> bool:
    """Whether this can be a base rate: a positive number."""
    return isinstance(value, (int, float)) and not isinstance(value, bool) and 0 < value < math.inf


# ---- what a run needs


def tuning_of(run: PlannedRun, runs: Sequence[PlannedRun]) -> list[PlannedRun]:
    """Out of `runs` those that find a tuned run's base rate: of its method, and of its rule or, for a twin, of that of
    the control which replays it.
    """
    rate = PER_STEP if run.role == "twin" else run.rate
    return [other for other in runs if (other.role, other.method, other.rate) == ("tuning", run.method, rate)]


def twin_of(run: PlannedRun, runs: Sequence[PlannedRun]) -> PlannedRun | None:
    """Out of `runs` the layer-specific one that a control replays: of its method, seed and base rate."""
    role = "twin" if run.base == "tuned" else run.role  # the layer-specific run tuned for itself has another base rate
    for other in runs:
        same = (other.method, other.seed, other.base) == (run.method, run.seed, run.base)
        if same and (other.rate, other.role) == (LAYER_SPECIFIC, role):
            return other
    return None
