"""plan.json: read and checked, since it may have been edited, and written into the folder of a reproduction.

Of what may be edited, nothing is taken that would spoil a comparison: all runs have one number of steps, a tuned run is
tuned on the runs of its own rule, and a control replays the layer-specific run of its own method, seed and base rate.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from minidl.experiments.reproduce.holding import is_left_of_a_hold, writing_to
from minidl.experiments.reproduce.methods import RATES, REPLAYED, TUNED
from minidl.experiments.reproduce.plan import (
    FILE,
    FORMAT,
    LAYER_SPECIFIC,
    PER_STEP,
    Plan,
    PlannedRun,
    check_settings,
    is_rate,
    tuning_of,
    twin_of,
)
from minidl.experiments.reproduce.results import SPEC
from minidl.experiments.reproduce.schema import SETTINGS
from minidl.files.reading import read_json

ROLES = ("report", "tuning", "twin")
REMEDY = "Mend it, or delete it and ask for the same again: runs that are done are kept"

_PLAN: dict[str, Any] = {"format": int, "recipe": str, "scale": str, "settings": SETTINGS, "runs": [SPEC]}
_LEFT = {"runs", "report", "cache", "results.json"}  # what a reproduction whose plan was deleted may still hold


def read_plan(path: Path) -> Plan:
    """The plan in a file, which may have been edited.

    Raises:
        FileNotFoundError: there is none.
        ValueError: it is no plan, or does not hold together. The message names the file, the run, and what to do.
    """
    try:
        found = read_json(path, dict, "is damaged or not a plan")
        if found.get("format") != FORMAT:
            raise ValueError(
                f"{path}: expected format {FORMAT}; got {found.get('format')!r}: another version of minidl wrote it"
            )
        found = read_json(path, _PLAN, "is damaged or not a plan")
    except ValueError as error:
        raise ValueError(f"{error}. {REMEDY}") from error
    try:
        check_settings(found["settings"])
        runs = [_read_run(i, spec, found) for i, spec in enumerate(found["runs"])]
        _check_together(runs)
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from error
    return Plan(found["recipe"], found["scale"], found["settings"], tuple(runs))


def check_folder(folder: Path) -> None:
    """Refuse a folder that holds something else than a reproduction; a new one is none of that.

    Raises:
        ValueError: it holds something else.
    """
    with writing_to(folder):
        if (folder / FILE).exists() or not folder.exists():
            return
        entries = list(folder.iterdir()) if folder.is_dir() else None
    if entries is None or not all(_is_unsettled(entry) for entry in entries):
        raise ValueError(f"{folder} exists and is not a reproduction's folder; choose another --out")


def open_plan(wanted: Plan, folder: Path) -> Plan:
    """The plan to follow in `folder`: the one that is there, made from the same settings, or else `wanted`, written.

    If only more seeds are wanted, their runs are added to the plan that is there. Whoever calls this holds the folder:
    otherwise the plan could be changed under a process that follows it.

    Raises:
        ValueError: the folder holds something else, or the plan of other settings.
        OSError: the plan cannot be written.
    """
    check_folder(folder)
    path = folder / FILE
    if not path.exists():
        with writing_to(folder):
            wanted.save(path)
        return wanted
    found = read_plan(path)
    differences = _differences(found, wanted)
    what = [one for one in differences if one[0] in ("recipe", "scale")]  # then all else differs too
    other = [
        f"{name} {before} there, {now} asked for"
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
    with writing_to(folder):
        larger.save(path)
    return larger


def _differences(found: Plan, wanted: Plan) -> list[tuple[str, Any, Any]]:
    before = {"recipe": found.recipe, "scale": found.scale, **found.settings}
    now = {"recipe": wanted.recipe, "scale": wanted.scale, **wanted.settings}
    return [(name, before[name], now[name]) for name in before if before[name] != now[name]]


def _with_more_seeds(found: Plan, wanted: Plan) -> Plan:
    """`found`, which may be edited, and the runs of the further seeds, as far as what they need is there.

    They are as long as the runs that are there, and tuned on those that are there.
    """
    runs = list(found.runs)
    have = {run.id for run in runs}
    steps = runs[0].iterations if runs else wanted.settings["iterations"]
    for run in wanted.runs:
        if run.role == "tuning" or run.seed < found.settings["seeds"] or run.id in have:
            continue
        needs = run.needs
        if run.base == "tuned":
            planned = {other.id for other in tuning_of(run, wanted.runs)}
            tuning = tuple(other.id for other in tuning_of(run, found.runs))
            needs = (*tuning, *(need for need in needs if need not in planned)) if tuning else needs
        if have.issuperset(needs):
            runs.append(replace(run, iterations=steps, needs=needs))
            have.add(run.id)
    return replace(found, settings=wanted.settings, runs=tuple(sorted(runs, key=lambda run: run.stage)))


def _is_unsettled(path: Path) -> bool:
    """Whether this is of a reproduction that was killed before its plan was written, or whose plan was deleted."""
    if path.name == "runs" and path.is_dir():
        return all("-seed" in run.name for run in path.iterdir())  # the folder of all runs lies elsewhere
    part = path.name.startswith(f".{FILE}.") and path.name.endswith(".part")
    return part or path.name in _LEFT or is_left_of_a_hold(path.name)


# ---- the runs


def _read_run(number: int, spec: dict[str, Any], plan: dict[str, Any]) -> PlannedRun:
    where = f"runs, {number} ({spec['id']!r})"
    base, role = spec["base"], spec["role"]
    rates = {"twin": (LAYER_SPECIFIC,), "report": TUNED if base == "tuned" else RATES}.get(role, RATES)
    expected = {
        "recipe": (plan["recipe"],),
        "scale": (plan["scale"],),
        "method": tuple(plan["settings"]["methods"]),
        "role": ROLES,
        "rate": rates,
    }
    for name, choices in expected.items():
        if spec[name] not in choices:
            raise ValueError(f"{where}: expected {name} to be {' or '.join(choices)}; got {spec[name]!r}")
    for name, least in (("iterations", 1), ("seed", 0), ("stage", 0)):
        if spec[name] < least:
            raise ValueError(f"{where}: expected {name} of at least {least}; got {spec[name]}")
    bases = {"report": "'recipe' or 'tuned'", "tuning": "a positive number", "twin": "'tuned'"}
    if not {"report": base in ("recipe", "tuned"), "tuning": is_rate(base), "twin": base == "tuned"}[role]:
        raise ValueError(f"{where}: expected base to be {bases[role]} in a run of role {role}; got {base!r}")
    run = PlannedRun(**{name: value for name, value in spec.items() if name not in ("id", "needs")}, needs=())
    if run.id != spec["id"]:
        raise ValueError(f"{where}: expected the id {run.id!r}, which says what the run is")
    return replace(run, needs=tuple(spec["needs"]))


def _check_together(runs: Sequence[PlannedRun]) -> None:
    """Each run once, all of one length; and what a run needs is there, is the right one, and does not need it too."""
    named: dict[str, PlannedRun] = {}
    for run in runs:
        if run.id in named:
            raise ValueError(f"the run {run.id} comes twice; delete one")
        named[run.id] = run
        if run.iterations != runs[0].iterations:
            raise ValueError(
                f"the run {runs[0].id} has {runs[0].iterations} iterations and {run.id} has {run.iterations}, and runs "
                f"of different lengths cannot be compared: give all runs of the plan one number"
            )
    for run in runs:
        for need in run.needs:
            if need not in named:
                raise ValueError(f"the run {run.id} needs {need}, which is not there: delete {run.id} too")
        needed = [named[need] for need in run.needs]
        if run.base == "tuned":
            _check_tuning(run, needed, runs)
        if run.rate in REPLAYED and twin_of(run, needed) is None:
            twin = twin_of(run, runs)
            wanted = "none in the plan: delete it too" if twin is None else f"{twin.id}: put that into its needs"
            raise ValueError(
                f"the run {run.id} replays the run of {LAYER_SPECIFIC} with its method, seed and base rate, and its "
                f"needs do not name it. It is {wanted}"
            )
    _check_no_circle(named)


def _check_tuning(run: PlannedRun, needed: Sequence[PlannedRun], runs: Sequence[PlannedRun]) -> None:
    """A base rate is tuned on all tuning runs of its rule and on no others: else one arm had several base rates."""
    wanted = {other.id for other in tuning_of(run, runs)}
    found = {other.id for other in needed if other.role == "tuning"}
    if not wanted:
        raise ValueError(f"the run {run.id} has to be tuned, and the plan has no tuning run of its rule: delete it too")
    if found == wanted:
        return
    rule = PER_STEP if run.role == "twin" else run.rate
    steps = [f"put {', '.join(sorted(wanted - found))} into its needs"] if wanted - found else []
    steps += [f"take {', '.join(sorted(found - wanted))} out of its needs"] if found - wanted else []
    raise ValueError(
        f"the run {run.id} is tuned on all tuning runs of {run.method} and {rule} that the plan has, and on no others: "
        f"{', and '.join(steps)}"
    )


def _check_no_circle(named: dict[str, PlannedRun]) -> None:
    undone = dict(named)
    while undone:
        free = [name for name, run in undone.items() if not any(need in undone for need in run.needs)]
        if not free:
            raise ValueError(f"these runs need each other in a circle: {', '.join(undone)}")
        for name in free:
            del undone[name]
