"""Two collections of results as one: what was run on two machines, or on one whose folders are gone since."""

from __future__ import annotations

from collections.abc import Container, Iterable, Iterator
from typing import Any

from minidl.experiments.reproduce.collected import with_environments
from minidl.experiments.reproduce.grids import not_at_their_best
from minidl.experiments.reproduce.methods import METHODS, RATES
from minidl.experiments.reproduce.pairing import apart
from minidl.experiments.reproduce.plan import make_plan


def merge(earlier: dict[str, Any], later: dict[str, Any]) -> dict[str, Any]:
    """The results of two folders of one experiment (`collected.collect`) as one.

    A run that is in both is taken from `later`. Tuned runs at another rate than the best of the grid that so comes
    about are left out, and that is said. The settings are those of a plan with all methods, rates and seeds of the two,
    and what such a plan has and neither folder is missing.

    Raises:
        ValueError: they are not of the same experiment, so that their runs cannot be compared.
    """
    settings = _joint_settings(earlier["settings"], later["settings"])
    tuning = {run["id"]: run for part in (earlier, later) for run in part["runs"] if run["role"] == "tuning"}
    earlier, later = (_at_best(part, tuning.values(), settings) for part in (earlier, later))
    differences = [*_different(earlier, later)]
    if differences:
        raise ValueError(
            f"expected two parts of one reproduction, {earlier['recipe']} at the scale {earlier['scale']}; got "
            f"{'; '.join(differences)}"
        )
    runs = {run["id"]: (part, run) for part in (earlier, later) for run in part["runs"]}
    environments, moved = with_environments(
        (run, part["environments"][run["environment"]]) for _, (part, run) in sorted(runs.items())
    )
    failed = {**_without(earlier["failed"], later["damaged"]), **later["failed"]}
    damaged = {**_without(earlier["damaged"], {"plan.json", *later["failed"]}), **later["damaged"]}
    spared = {name for name in damaged if _is_spared(name, runs)}
    failed, damaged = _without(failed, runs), _without(damaged, {*runs, *spared})
    known = later["planned"] is not None or earlier["planned"] is not None
    of_settings = _planned(later, settings)
    planned = dict.fromkeys([*of_settings, *earlier["missing"], *later["missing"]])
    missing = [name for name in planned if name not in {*runs, *failed, *damaged} and not _is_spared(name, runs)]
    lost = {*failed, *damaged} - {"plan.json"}
    if of_settings:  # what is not in the plan is no run of it that was lost, but a result of something else
        lost &= planned.keys()
    return {
        **later,
        "settings": settings,
        "planned": len(runs) + len(missing) + len(lost) if known else None,
        "missing": missing,
        "failed": failed,
        "damaged": damaged,
        "data": later["data"] or earlier["data"],
        "layers": later["layers"] or earlier["layers"],
        "environments": environments,
        "runs": moved,
    }


def _at_best(part: dict[str, Any], tuning: Iterable[dict[str, Any]], settings: dict[str, Any]) -> dict[str, Any]:
    """A part without the tuned runs that are not at the best rate of these tuning runs: they are called damaged."""
    reported = [run for run in part["runs"] if run["role"] != "tuning"]
    misplaced = not_at_their_best({"settings": settings, "runs": [*tuning, *reported]})
    why = "was not run at the best rate of its grid, as it was when the results were joined"
    return {
        **part,
        "runs": [run for run in part["runs"] if run["id"] not in misplaced],
        "damaged": {**part["damaged"], **dict.fromkeys(misplaced, why)},
    }


def _without(told: dict[str, str], names: Container[str]) -> dict[str, str]:
    return {name: why for name, why in told.items() if name not in names}


def _different(earlier: dict[str, Any], later: dict[str, Any]) -> Iterator[str]:
    """What makes them parts of two experiments."""
    for name in ("recipe", "scale"):
        if earlier[name] != later[name]:
            yield f"{name} {earlier[name]!r} and {later[name]!r}"
    first, second = earlier["settings"], later["settings"]
    for name in ("iterations", "tuning_seeds"):
        if name in first and name in second and first[name] != second[name]:
            yield f"{name} {first[name]} and {second[name]}"
    for name in ("base_rates", "grids"):
        one, two = first.get(name, {}), second.get(name, {})
        for method in (method for method in one if method in two and not _agree(one[method], two[method])):
            yield f"{name} of {method} {one[method]} and {two[method]}"
    prints = [(part["data"] or {}).get("fingerprint") for part in (earlier, later)]
    if None not in prints and prints[0] != prints[1]:
        yield f"data with the fingerprints {prints[0]} and {prints[1]}"
    if earlier["layers"] and later["layers"] and earlier["layers"] != later["layers"]:
        yield "networks of other layers"
    lengths = [sorted({run["iterations"] for run in part["runs"]}) for part in (earlier, later)]
    if all(lengths) and lengths[0] != lengths[1]:
        yield f"runs of {lengths[0]} and {lengths[1]} steps"
    for seed in apart(earlier["runs"], later["runs"]):
        yield f"runs of seed {seed} that begin with other weights"
    ids = {(*_arm(run), run["seed"]): run["id"] for run in earlier["runs"]}
    runs = {name: run for run, name in ids.items()}
    for run in later["runs"]:
        own = (*_arm(run), run["seed"])
        if ids.get(own, run["id"]) != run["id"]:
            yield f"{ids[own]} and {run['id']}, which are one run"
        elif runs.get(run["id"], own) != own:
            yield f"two runs that are called {run['id']}"
    rates = {_arm(run): run["base_rate"] for run in earlier["runs"]}
    for run in later["runs"]:
        if rates.get(_arm(run), run["base_rate"]) != run["base_rate"]:
            yield f"{run['id']} at the base rates {rates[_arm(run)]} and {run['base_rate']}"


def _agree(first: Any, second: Any) -> bool:
    """Whether settings are equal, or grids that overlap with the same rates there; an empty one goes with any."""
    if not isinstance(first, list) or not isinstance(second, list) or not first or not second:
        return bool(first == second) or first == [] or second == []
    low, high = max(min(first), min(second)), min(max(first), max(second))
    own, theirs = ({rate for rate in grid if low <= rate <= high} for grid in (first, second))
    return own == theirs != set()


def _arm(run: dict[str, Any]) -> tuple[Any, ...]:
    """What is run at one base rate on all seeds."""
    return run["method"], run["rate"], run["base"], run["role"]


def _joint_settings(first: dict[str, Any], second: dict[str, Any]) -> dict[str, Any]:
    joint = {**first, **second}
    for name, order in (("methods", METHODS), ("rates", RATES)):
        if name in joint:
            both = [*first.get(name, ()), *second.get(name, ())]
            joint[name] = [*(one for one in order if one in both), *dict.fromkeys(o for o in both if o not in order)]
    if "base_rates" in joint:
        joint["base_rates"] = {**first.get("base_rates", {}), **second.get("base_rates", {})}
    if "grids" in joint:
        grids = [part.get("grids", {}) for part in (first, second)]
        joint["grids"] = {
            method: sorted({*grids[0].get(method, ()), *grids[1].get(method, ())}) for method in grids[0] | grids[1]
        }
    if "seeds" in joint:
        joint["seeds"] = max(part["seeds"] for part in (first, second) if "seeds" in part)
    return joint


def _planned(part: dict[str, Any], settings: dict[str, Any]) -> list[str]:
    """All runs of a plan with these settings; none where they are not known whole."""
    try:
        return [run.id for run in make_plan(part["recipe"], part["scale"], **settings).runs]
    except (TypeError, KeyError, ValueError):  # one is not there, or does not go with the others
        return []


def _is_spared(name: str, runs: Container[str]) -> bool:
    """Whether this is a twin that is not needed: the control is done that would replay it (`_planned`)."""
    method, twin, seed = name.partition("-ln-twin-")
    return bool(twin) and f"{method}-per-step-tuned-{seed}" in runs
