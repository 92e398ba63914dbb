"""All results of one reproduction in one small file, from which the report is made.

A folder of runs has a result.json for each, up to 20 KB. `collect` keeps of each what the report says and shows, with
five or six digits, and what its numbers rest on: the run's id, command, versions and machine. The file is small enough
to be committed, and the report is made from such files alone.
"""

from __future__ import annotations

import json
import math
import shlex
from collections import Counter
from collections.abc import Container, Iterable, Sequence
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import Any

import numpy as np

from minidl.experiments.reproduce.evidence import arm_of
from minidl.experiments.reproduce.grids import not_at_their_best
from minidl.experiments.reproduce.pairing import KEY, start_of
from minidl.experiments.reproduce.results import FORMAT, rounded
from minidl.experiments.reproduce.schema import (
    FLOW,
    check_collected,
    check_heading,
    check_planned,
    check_result,
    read_strictly,
)
from minidl.experiments.reproduce.strangers import most, strangers
from minidl.files.writing import write_atomically

UNKNOWN = "unknown"  # the recipe and scale of a folder that has neither a plan nor a result
FLOW_STEPS = 16  # of a run that is drawn layer by layer
CURVE_POINTS, LOOKS = 40, 24
LOOK = ("iteration", "accuracy", "loss", "seconds", "cpu_seconds", "examples")  # the last: on how many test images


def collect(out: Path) -> dict[str, Any]:
    """The results of all runs in `out`/runs, with what is missing, failed or damaged.

    Args:
        out: the folder of a reproduction: plan.json, runs/.

    Returns:
        Plain data: `recipe`, `scale`, `settings`, `planned` (how many runs; None without a plan), `missing`, `failed`
        and `damaged` runs (the last two with a reason), `data`, `layers`, `environments`, and `runs`, one entry each.

    Raises:
        FileNotFoundError: `out` holds neither a plan nor runs.
    """
    folder = Path(out) / "runs"
    if not folder.is_dir() and not (Path(out) / "plan.json").is_file():
        raise FileNotFoundError(f"expected the folder of a reproduction, with plan.json and runs/; got {out}")
    results, damaged = _results(folder)
    plan, trouble = _plan(Path(out) / "plan.json")
    if trouble:
        damaged["plan.json"] = trouble
    made = most([{key: found["spec"][key] for key in ("recipe", "scale")} for found in results.values()]) or {}
    recipe, scale = (str(plan.get(key) or made.get(key) or UNKNOWN) for key in ("recipe", "scale"))
    for name, why in strangers(results, plan, recipe, scale).items():
        damaged[name] = why
        del results[name]
    drawn = _drawn(results)
    runs = {name: compact(found, name in drawn) for name, found in results.items()}
    settings = rounded(plan.get("settings", {}), 6)
    for name, why in not_at_their_best({"settings": settings, "runs": [*runs.values()]}).items():
        damaged[name] = f"{why}: delete its folder"
        del results[name]
    environments, kept = with_environments((runs[name], environment_of(found)) for name, found in results.items())
    errors = {path.parent.name: _first_line(path) for path in sorted(folder.glob("*/error.txt"))}
    failed = {name: why for name, why in errors.items() if name not in {*results, *damaged}}
    planned = _planned(plan, results, {*failed, *damaged})
    layers: list[str] = max((found["layers"] for found in results.values() if "layers" in found), key=len, default=[])
    return {
        "format": FORMAT,
        "recipe": recipe,
        "scale": scale,
        "settings": settings,
        "planned": len({*planned, *results}) if plan else None,  # a run that is done may be gone from the plan
        "missing": [name for name in planned if name not in {*results, *failed, *damaged}],
        "failed": failed,
        "damaged": damaged,
        "data": next((rounded(found["data"], 6) for found in results.values() if found.get("data")), None),
        "layers": layers,
        "environments": environments,
        "runs": kept,
    }


def _results(folder: Path) -> tuple[dict[str, Any], dict[str, str]]:
    """The results by run, in the order of their names, and what is wrong with those that are left out."""
    results: dict[str, Any] = {}
    damaged: dict[str, str] = {}
    for path in sorted(folder.glob("*/result.json")):
        name = path.parent.name
        try:
            found = read_strictly(path)
            check_result(found)
            if found["spec"]["id"] != name:
                raise ValueError(f"it says it is the run {found['spec']['id']!r}")
        except (ValueError, OSError) as error:
            damaged[name] = str(error)
        else:
            results[name] = found
    return results, damaged


def _plan(path: Path) -> tuple[dict[str, Any], str]:
    """The plan, empty if there is none, and what is wrong with it."""
    if not path.is_file():
        return {}, ""
    try:
        plan = read_strictly(path)
    except ValueError as error:
        return {}, str(error)
    if not isinstance(plan, dict) or not isinstance(plan.get("runs"), list):
        return {}, "it is no plan: it has no list of runs"
    try:
        check_planned(plan)
    except ValueError as error:
        return {}, str(error)
    return plan, ""


def _planned(plan: dict[str, Any], results: dict[str, Any], lost: Container[str]) -> list[str]:
    """The plan's runs, without the twins that were not needed: a control is done that replayed another run instead.

    `lost` are the runs that failed or are damaged.
    """
    replayed = {
        (found["spec"]["method"], found["spec"]["seed"])
        for found in results.values()
        if found["spec"]["base"] == "tuned" and found["spec"]["rate"] == "per-step"
    }
    return [
        str(spec.get("id"))
        for spec in plan.get("runs", [])
        if isinstance(spec, dict)
        and not (
            spec.get("role") == "twin"
            and spec.get("id") not in results
            and spec.get("id") not in lost
            and (spec.get("method"), spec.get("seed")) in replayed
        )
    ]


def _first_line(path: Path) -> str:
    text = path.read_text(encoding="utf-8", errors="replace").strip()
    return text.splitlines()[0][:200] if text else "failed without a word"


def _drawn(results: dict[str, Any]) -> set[str]:
    """Of each arm the reported run of the smallest seed: its layers are drawn over time."""
    first: dict[tuple[Any, ...], tuple[int, str]] = {}
    for name, found in results.items():
        spec = found["spec"]
        if spec["role"] == "report":
            arm = (spec["method"], spec["rate"], spec["base"])
            first[arm] = min(first.get(arm, (spec["seed"], name)), (spec["seed"], name))
    return {name for _, name in first.values()}


def environment_of(found: dict[str, Any]) -> dict[str, Any]:
    """With what a result was made: its command, versions and machine."""
    environment = {key: found.get(key) for key in ("command", "versions", "machine", "threads", "backend")}
    return {**environment, "command": without_places(str(found.get("command") or ""))}


def with_environments(
    made: Iterable[tuple[dict[str, Any], dict[str, Any]]],
) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Runs and with what each was made, as the list of all environments and the runs with the number of theirs."""
    environments: list[dict[str, Any]] = []
    runs = []
    for run, environment in made:
        if environment not in environments:
            environments.append(environment)
        runs.append({**run, "environment": environments.index(environment)})
    return environments, runs


def compact(found: dict[str, Any], drawn: bool) -> dict[str, Any]:
    """What the report needs of one result, but for with what it was made (`environment_of`)."""
    spec = found["spec"]
    run: dict[str, Any] = {key: spec[key] for key in ("id", "method", "rate", "base", "seed", "role")}
    for key in ("base_rate", "iterations", "seconds", "cpu_seconds", "diverged_at", "train_loss", "mean_multiplier"):
        run[key] = rounded(found.get(key), 6)
    if start_of(found) is not None:
        run[KEY] = start_of(found)
    if "validation" in found:
        run["validation"] = {key: rounded(found["validation"].get(key), 6) for key in ("accuracy", "loss")}
    if spec["role"] == "report":
        if "looks" in found:
            run["looks"] = _looks(found["looks"])
            run["curve"] = _curve(found["curve"]["steps"], found["curve"]["loss"])
            run["layers"] = _by_layer(found["flow"])
        if drawn and found.get("flow", {}).get("steps"):
            run["flow"] = _thinned_flow(found["flow"])
        if "saddle" in found:
            run["saddle"] = _saddle(found["saddle"])
    elif "saddle" in found:
        run["saddle"] = {"left_at": found["saddle"]["left_at"]}
    return run


def without_places(command: str) -> str:
    """A command with the last names alone of paths from the root or with "..": the rest is their owner's business."""
    try:
        words = shlex.split(command)
    except ValueError:  # an unclosed quote: it was not a shell's
        return command
    return shlex.join([sign.join([*option, _last_name(place)]) for *option, place, sign in map(_option_of, words)])


def _option_of(word: str) -> tuple[str, ...]:
    """`--out=/home/ada` as ("--out", "/home/ada", "="), any other word as (word, "")."""
    option, sign, place = word.partition("=")
    return (option, place, sign) if sign and word.startswith("--") else (word, "")


def _last_name(word: str) -> str:
    """Of a path that begins at the root, or goes up by "..", its last name; any other word as it is."""
    for path in (PurePosixPath(word), PureWindowsPath(word)):
        if path.name not in ("", "..") and (path.is_absolute() or ".." in path.parts):
            return path.name
    return word


def _saddle(saddle: dict[str, Any]) -> dict[str, Any]:
    """Where the run began and when it left, and the loss around it on the way."""
    around = {name: saddle["curvature"][name] for name in ("steps", "loss", "distance", "smallest")}
    return rounded({**saddle, "curvature": around}, 5)


def _looks(looks: Sequence[dict[str, Any]]) -> dict[str, Any]:
    kept = [looks[i] for i in _spaced(len(looks), LOOKS)]
    return {key: [rounded(look.get(key), 6) for look in kept] for key in LOOK}


def _curve(steps: Sequence[int], loss: Sequence[float | None]) -> dict[str, Any]:
    """Means of neighbouring intervals; null where one was not finite."""
    group = max(1, math.ceil(len(steps) / CURVE_POINTS))
    means: list[float | None] = []
    for start in range(0, len(loss), group):
        values = loss[start : start + group]
        known = [value for value in values if value is not None]
        means.append(rounded(float(np.mean(known)), 5) if len(known) == len(values) else None)
    return {
        "steps": [steps[min(start + group, len(steps)) - 1] for start in range(0, len(steps), group)],
        "loss": means,
    }


def _by_layer(flow: dict[str, Any]) -> dict[str, Any]:
    """Of each layer the first recorded value and the median of all, and how often its norm was floored."""
    found: dict[str, Any] = {}
    for key in FLOW:
        values = np.array(flow[key], dtype=np.float64)  # (steps, layers); null is NaN
        if values.size:
            middle = [float(np.median(column[~np.isnan(column)])) if (~np.isnan(column)).any() else None
                      for column in values.T]  # fmt: skip
            found[key] = {"first": rounded(flow[key][0], 5), "middle": rounded(middle, 5)}
    found["steps"] = len(flow["steps"])
    found["floored"] = int(sum(sum(map(bool, row)) for row in flow.get("floored") or []))
    return found


def _thinned_flow(flow: dict[str, Any]) -> dict[str, Any]:
    kept = _spaced(len(flow["steps"]), FLOW_STEPS)
    return {"steps": [flow["steps"][i] for i in kept]} | {key: [rounded(flow[key][i], 4) for i in kept] for key in FLOW}


def _spaced(count: int, most: int) -> list[int]:
    """At most `most` of the numbers 0 to count-1, evenly spaced, with the first and the last."""
    return sorted({round(x) for x in np.linspace(0, count - 1, min(count, most))}) if count else []


# ---- its file


def as_text(collected: dict[str, Any]) -> str:
    """Strict JSON, a run a line, so that a difference between two versions can be read."""
    lines = []
    for key, value in collected.items():
        if key == "runs":
            runs = ",\n".join(json.dumps(run, allow_nan=False, separators=(",", ":")) for run in value)
            lines.append(f'"runs":[\n{runs}\n]' if value else '"runs":[]')
        else:
            lines.append(f"{json.dumps(key)}:{json.dumps(value, allow_nan=False, separators=(',', ':'))}")
    return "{" + ",\n".join(lines) + "}\n"


def save(collected: dict[str, Any], path: Path) -> None:
    """Write it, completely or not at all."""
    write_atomically(path, as_text(collected).encode())


def file_name(collected: dict[str, Any]) -> str:
    """Under which name it is committed: RECIPE-SCALE.json."""
    return f"{collected['recipe']}-{collected['scale']}.json"


def load(path: Path) -> dict[str, Any]:
    """Read a file that `save` wrote.

    Raises:
        ValueError: it is something else, or damaged.
        FileNotFoundError: it is not there.
    """
    found = read_strictly(Path(path))
    if not isinstance(found, dict) or found.get("format") != FORMAT:
        raise ValueError(f"{path} does not hold the collected results of a reproduction, of format {FORMAT}")
    check_heading(found, str(path))
    names = [run.get("id") for run in found["runs"]]
    for run in found["runs"]:
        if not all(key in run for key in ("id", "method", "rate", "base", "seed", "role")):
            raise ValueError(f"{path} holds a run without an id, method, rate, base, seed and role")
        if run.get("environment") not in range(len(found["environments"])):
            raise ValueError(f"{path} holds the run {run['id']!r} without what it was run with")
        if names.count(run["id"]) > 1:
            raise ValueError(f"{path} holds the run {run['id']!r} more than once")
        check_collected(run, len(found["layers"]), f"{path}, {run['id']}")
    reported = Counter((run["method"], arm_of(run), run["seed"]) for run in found["runs"] if run["role"] == "report")
    for (method, arm, seed), count in reported.items():
        if count > 1:
            raise ValueError(f"{path} holds {count} runs of {method}, {arm}, with seed {seed}")
    return found
