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
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from minidl.experiments.reproduce.methods import METHODS, RATES, REPLAYED
from minidl.experiments.reproduce.results import SPEC
from minidl.files.reading import read_json
from minidl.files.writing import write_atomically

FORMAT = 1
FILE = "plan.json"
LAYER_SPECIFIC = "ln"
ROLES = ("report", "tuning", "twin")

_SETTINGS: dict[str, Any] = {
    "iterations": int,
    "methods": [str],
    "rates": [str],
    "seeds": int,
    "tuning_seeds": [int],
    "base_rates": {str: float},
    "grids": {str: [float]},
}
_PLAN: dict[str, Any] = {"format": int, "recipe": str, "scale": str, "settings": _SETTINGS, "runs": [SPEC]}


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
    _check_settings(settings)
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
        for rate in (LAYER_SPECIFIC, "per-step"):  # a constant control that is tuned would be a tuned uniform rate
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


def read_plan(path: Path) -> Plan:
    """The plan in a file, which may have been edited.

    Raises:
        FileNotFoundError: there is none.
        ValueError: it is no plan, or does not hold together. The message names the file, the run, and what to do.
    """
    found = read_json(path, dict, "is damaged or not a plan")
    if found.get("format") != FORMAT:
        raise ValueError(f"{path}: expected format {FORMAT}; got {found.get('format')!r}: another version wrote it")
    found = read_json(path, _PLAN, "is damaged or not a plan")
    try:
        _check_settings(found["settings"])
        runs = [_read_run(i, spec, found) for i, spec in enumerate(found["runs"])]
        _check_together(runs)
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from error
    return Plan(found["recipe"], found["scale"], found["settings"], tuple(runs))


def open_plan(wanted: Plan, folder: Path) -> Plan:
    """The plan to follow in `folder`: the one that is there, made from the same settings, or else `wanted`, written.

    If only more seeds are wanted, their runs are added to the plan that is there.

    Raises:
        ValueError: the folder holds something else, or the plan of other settings.
    """
    path = folder / FILE
    if not path.exists():
        if folder.exists() and not (folder.is_dir() and all(_is_unsettled(entry) for entry in folder.iterdir())):
            raise ValueError(f"{folder} exists and is not a reproduction's folder; choose another --out")
        wanted.save(path)
        return wanted
    found = read_plan(path)
    differences = _differences(found, wanted)
    what = [one for one in differences if one[0] in ("recipe", "scale")]  # then all else differs too
    other = [
        f"its {name} is {before}, asked for is {now}"
        for name, before, now in what or differences
        if name != "seeds" or now < before
    ]
    if other:
        raise ValueError(
            f"{folder} holds a reproduction with other settings ({'; '.join(other)}). Choose another --out, or ask for "
            f"the same"
        )
    if wanted.settings["seeds"] == found.settings["seeds"]:
        return found
    larger = _with_more_seeds(found, wanted)
    larger.save(path)
    return larger


def _differences(found: Plan, wanted: Plan) -> list[tuple[str, Any, Any]]:
    before = {"recipe": found.recipe, "scale": found.scale, **found.settings}
    now = {"recipe": wanted.recipe, "scale": wanted.scale, **wanted.settings}
    return [(name, before[name], now[name]) for name in before if before[name] != now[name]]


def _with_more_seeds(found: Plan, wanted: Plan) -> Plan:
    """`found`, which may be edited, and the runs of the further seeds, as far as what they need is there."""
    runs = list(found.runs)
    have = {run.id for run in runs}
    for run in wanted.runs:
        new = run.role != "tuning" and run.seed >= found.settings["seeds"] and run.id not in have
        if new and have.issuperset(run.needs):
            runs.append(run)
            have.add(run.id)
    return replace(found, settings=wanted.settings, runs=tuple(sorted(runs, key=lambda run: run.stage)))


def _is_unsettled(path: Path) -> bool:
    """Whether this is what is left of a reproduction that was killed before its plan was written."""
    return path.name in ("running.json", ".running.json.clearing") or (
        path.name.startswith(f".{FILE}.") and path.name.endswith(".part")
    )


def _check_settings(settings: Mapping[str, Any]) -> None:
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
        if not all(_is_rate(rate) for rate in rates):
            raise ValueError(f"base_rates, grids: expected positive numbers for {method}; got {rates}")
        if settings["grids"][method] and not settings["tuning_seeds"]:
            raise ValueError("tuning_seeds: expected at least one to tune with; or leave the grids empty")


def _is_rate(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and 0 < value < math.inf


def _read_run(number: int, spec: dict[str, Any], plan: dict[str, Any]) -> PlannedRun:
    where = f"runs, {number} ({spec['id']!r})"
    expected = {
        "recipe": (plan["recipe"],),
        "scale": (plan["scale"],),
        "method": tuple(plan["settings"]["methods"]),
        "rate": RATES,
        "role": ROLES,
    }
    for name, choices in expected.items():
        if spec[name] not in choices:
            raise ValueError(f"{where}: expected {name} to be {' or '.join(choices)}; got {spec[name]!r}")
    for name, least in (("iterations", 1), ("seed", 0), ("stage", 0)):
        if spec[name] < least:
            raise ValueError(f"{where}: expected {name} of at least {least}; got {spec[name]}")
    base, role = spec["base"], spec["role"]
    bases = {"report": "'recipe' or 'tuned'", "tuning": "a positive number", "twin": "'tuned'"}
    if not {"report": base in ("recipe", "tuned"), "tuning": _is_rate(base), "twin": base == "tuned"}[role]:
        raise ValueError(f"{where}: expected base to be {bases[role]} in a run of role {role}; got {base!r}")
    run = PlannedRun(**{name: value for name, value in spec.items() if name not in ("id", "needs")}, needs=())
    if run.id != spec["id"]:
        raise ValueError(f"{where}: expected the id {run.id!r}, which says what the run is")
    return replace(run, needs=tuple(spec["needs"]))


def _check_together(runs: Sequence[PlannedRun]) -> None:
    """Each run once, and what a run needs is there, fits, and does not need it in turn."""
    named: dict[str, PlannedRun] = {}
    for run in runs:
        if run.id in named:
            raise ValueError(f"the run {run.id} comes twice; delete one")
        named[run.id] = run
    for run in runs:
        for need in run.needs:
            if need not in named:
                raise ValueError(f"the run {run.id} needs {need}, which is not there: delete {run.id} too")
        needed = [named[need] for need in run.needs]
        if run.base == "tuned" and not tuning_of(run, needed):
            raise ValueError(f"the run {run.id} has to be tuned and needs no tuning run: delete it too")
        if run.rate in REPLAYED and twin_of(run, needed) is None:
            raise ValueError(f"the run {run.id} replays a run of {LAYER_SPECIFIC} and needs none: delete it too")
    undone = dict(named)
    while undone:
        free = [name for name, run in undone.items() if not any(need in undone for need in run.needs)]
        if not free:
            raise ValueError(f"these runs need each other in a circle: {', '.join(undone)}")
        for name in free:
            del undone[name]


def tuning_of(run: PlannedRun, needed: Sequence[PlannedRun]) -> list[PlannedRun]:
    """Out of the runs that a tuned run needs those that find its base rate."""
    return [other for other in needed if other.role == "tuning" and other.method == run.method]


def twin_of(run: PlannedRun, needed: Sequence[PlannedRun]) -> PlannedRun | None:
    """Out of the runs that a control needs the layer-specific one that it replays."""
    for other in needed:
        if (other.rate, other.method, other.seed) == (LAYER_SPECIFIC, run.method, run.seed):
            return other
    return None
