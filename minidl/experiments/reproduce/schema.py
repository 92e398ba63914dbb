"""What a run's result.json has to hold for the report: it is checked before a number of it is believed.

Only what the report needs is asked for; what else is there does not matter to it.
"""

from __future__ import annotations

import json
import math
import re
from pathlib import Path
from typing import Any

from minidl.experiments.reproduce.names import SADDLE
from minidl.experiments.reproduce.pairing import EXACT, KEY, ROUNDED
from minidl.experiments.reproduce.results import FORMAT
from minidl.files.reading import read_text
from minidl.files.schema import check_plain

FLOW = ("norms", "multipliers", "relative_updates")
_NUMBER = (float, None)  # null stands for what was not finite

SETTINGS: dict[str, Any] = {  # of a plan
    "iterations": int,
    "methods": [str],
    "rates": [str],
    "seeds": int,
    "tuning_seeds": [int],
    "base_rates": {str: float},
    "grids": {str: [float]},
}
_SPEC = {"id": str, "recipe": str, "scale": str, "method": str, "rate": str, "base": (str, float), "seed": int,
         "role": str}  # fmt: skip
_ALWAYS = {
    "spec": _SPEC,
    "base_rate": float,
    "versions": dict,
    "iterations": int,
    "seconds": float,
    "checks": dict,
}  # fmt: skip
_TRAINED = {
    "looks": [{"iteration": int, "accuracy": _NUMBER, "loss": _NUMBER, "seconds": _NUMBER}],
    "validation": {"accuracy": _NUMBER, "loss": _NUMBER},
    "diverged_at": (int, None),
    "layers": [str],
    "curve": {"steps": [int], "loss": [_NUMBER]},
    "flow": {"steps": [int], **{name: [[_NUMBER]] for name in FLOW}},
}

_SADDLE = {  # of a run that begins at a saddle point
    "loss": float,
    "smallest": float,
    "largest": float,
    "negative": int,
    "distance": float,
    "threshold": float,
    "left_at": (int, None),
    "highest": float,
    "up_until": int,
    "curvature": {"steps": [int], "loss": [_NUMBER], "distance": [_NUMBER], "smallest": [_NUMBER]},
}

# What may be missing, but is of this kind where it is there: of a result, one of its looks, its versions, its data.
_ENVIRONMENT = {"command": (str, None), "machine": (str, None), "threads": (int, None), "backend": (str, None),
                "versions": (dict, None)}  # fmt: skip
_IF_THERE = {"cpu_seconds": _NUMBER, "mean_multiplier": _NUMBER, "train_loss": _NUMBER, "data": (dict, None)}
_OF_A_LOOK = {"cpu_seconds": _NUMBER, "examples": (int, None)}
_OF_VERSIONS = {"minidl": str, "commit": (str, None), "numpy": str, "python": str}
_OF_DATA = {"name": str, "fingerprint": str, "train": int}
_NAME = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*")  # of a recipe or scale: a part of the names of files

_HEADING = {  # of a file of collected results
    "recipe": str, "scale": str, "settings": dict, "planned": (int, None), "missing": [str], "failed": {str: str},
    "damaged": {str: str}, "data": (dict, None), "layers": [str], "environments": [dict], "runs": [dict],
}  # fmt: skip
_COLLECTED = {  # of a run in a file of collected results
    "id": str, "method": str, "rate": str, "base": (str, float), "seed": int, "role": str, "environment": int,
    "base_rate": float, "iterations": int, "seconds": _NUMBER, "cpu_seconds": _NUMBER, "diverged_at": (int, None),
    "train_loss": _NUMBER, "mean_multiplier": _NUMBER, "validation": {"accuracy": _NUMBER, "loss": _NUMBER},
}  # fmt: skip
_COLLECTED_REPORTED = {  # and of one that is reported, not of one that tuned a rate
    "looks": {"iteration": [int], "accuracy": [_NUMBER], "loss": [_NUMBER], "seconds": [_NUMBER]},
    "curve": {"steps": [int], "loss": [_NUMBER]},
    "layers": {"steps": int, "floored": int},
}
_OF_LAYERS = {name: {"first": [_NUMBER], "middle": [_NUMBER]} for name in FLOW}
_OF_FLOW = {"steps": [int], **{name: [[_NUMBER]] for name in FLOW}}


def check_planned(plan: dict[str, Any]) -> None:
    """Refuse what is no plan that results can be held against; entries may be missing.

    Raises:
        ValueError: says which entry is of the wrong kind.
    """
    check_kinds_of_settings(plan.get("settings", {}), "its settings")
    for key in ("recipe", "scale"):
        check_plain(plan.get(key, "a"), str, f"its {key}")
        _check_name(plan.get(key, "a"), f"its {key}")
    for spec in plan["runs"]:
        if isinstance(spec, dict):
            known = {key: kind for key, kind in {**_SPEC, "iterations": int}.items() if key in spec}
            check_plain({key: spec[key] for key in known}, known, "one of its runs")


def check_kinds_of_settings(found: Any, where: str) -> None:
    """Refuse what are no settings of a plan; some may be missing.

    Raises:
        ValueError: says which is of the wrong kind. The message begins with `where`.
    """
    check_plain(found, dict, where)
    wanted = {key: kind for key, kind in SETTINGS.items() if key in found}
    check_plain({key: found[key] for key in wanted}, wanted, where)
    rates = [
        *found.get("base_rates", {}).values(),
        *(rate for grid in found.get("grids", {}).values() for rate in grid),
    ]
    for rate in rates:
        if not (math.isfinite(rate) and rate > 0):
            raise ValueError(f"{where}: expected rates that are finite and above 0; got {rate!r}")


def read_strictly(path: Path) -> Any:
    """The content of a JSON file that has no NaN and no infinity, which JSON does not know.

    Raises:
        ValueError: it is none, or cut off.
    """
    try:
        return json.loads(read_text(path), parse_constant=_refuse, parse_float=_finite, parse_int=_whole)
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{path.name} is no strict JSON: {error}") from None


def _refuse(name: str) -> Any:
    raise ValueError(f"{name} stands in it")


def _finite(text: str) -> float:
    return float(text) if math.isfinite(float(text)) else _refuse(text[:20])


def _whole(text: str) -> int:
    """A whole number of at most 64 bits: no step and no count is larger."""
    found = int(text) if len(text) <= 20 else 2**64
    return found if abs(found) < 2**63 else _refuse(f"a number of {len(text)} digits")


def check_result(found: Any) -> None:
    """Refuse what is no result of a run.

    Raises:
        ValueError: says which entry is missing, or is of the wrong kind or length.
    """
    check_plain(found, dict, "result.json")
    if found.get("format") != FORMAT:
        raise ValueError(f"result.json: expected format {FORMAT}; got {found.get('format')!r}")
    _check(found, _ALWAYS)
    _check_base(found["spec"]["base"], "result.json, spec")
    for key in ("recipe", "scale", "method", "rate"):
        _check_name(found["spec"][key], f"result.json, spec, {key}")
    _check(found, _TRAINED)
    check_environment(found, "result.json")
    _check_if_there(found, _IF_THERE, "result.json")
    _check_if_there(found.get("data") or {}, _OF_DATA, "result.json, data")
    _check_if_there(found["flow"], {"floored": [[int]]}, "result.json, flow")
    for look in found["looks"]:
        _check_if_there(look, _OF_A_LOOK, "result.json, looks")
    _check(found["checks"], {key: str for key in (EXACT, ROUNDED) if key in found["checks"]})
    if "saddle" in found or found["spec"]["recipe"] == SADDLE:
        _check(found, {"saddle": dict})
        _check(found["saddle"], _SADDLE)
        _check_saddle(found["saddle"], "result.json, saddle")
    looks = {key: [look[key] for look in found["looks"]] for key in ("iteration", "accuracy")}
    _check_looks(looks, "result.json, looks")
    if len(found["curve"]["steps"]) != len(found["curve"]["loss"]):
        raise ValueError("result.json, curve: expected as many steps as losses")
    rows, layers = len(found["flow"]["steps"]), len(found["layers"])
    for name in FLOW:
        if [len(row) for row in found["flow"][name]] != [layers] * rows:
            raise ValueError(f"result.json, flow, {name}: expected {rows} rows of {layers} layers")


def check_environment(found: Any, where: str) -> None:
    """Refuse what does not say with what a run was made; entries may be missing.

    Raises:
        ValueError: says which entry is of the wrong kind. The message begins with `where`.
    """
    check_plain(found, dict, where)
    _check_if_there(found, _ENVIRONMENT, where)
    _check_if_there(found.get("versions") or {}, _OF_VERSIONS, f"{where}, versions")


def check_heading(found: dict[str, Any], where: str) -> None:
    """Refuse what does not say of which experiment a file of collected results is.

    Raises:
        ValueError: says which entry is missing, or is of the wrong kind. The message begins with `where`.
    """
    check_plain(_part(found, _HEADING), _HEADING, where)
    for key in ("recipe", "scale"):
        _check_name(found[key], f"{where}, {key}")
    check_kinds_of_settings(found["settings"], f"{where}, settings")
    _check_if_there(found["data"] or {}, _OF_DATA, f"{where}, data")
    for environment in found["environments"]:
        check_environment(environment, f"{where}, environments")


def check_collected(run: dict[str, Any], layers: int, where: str) -> None:
    """Refuse what is no run of a file of collected results.

    Args:
        run: a run.
        layers: how many its network has.
        where: how the message begins.

    Raises:
        ValueError: says which entry is missing, or is of the wrong kind or length. The message begins with `where`.
    """
    wanted = {**_COLLECTED, **(_COLLECTED_REPORTED if run.get("role") == "report" else {})}
    wanted |= {KEY: str} if KEY in run else {}
    if "saddle" in run:
        wanted["saddle"] = _SADDLE if run.get("role") == "report" else {"left_at": (int, None)}
    check_plain(_part(run, wanted), wanted, where)
    _check_base(run["base"], where)
    for key in ("method", "rate"):
        _check_name(run[key], f"{where}, {key}")
    if run.get("role") == "report" and "saddle" in run:
        _check_saddle(run["saddle"], f"{where}, saddle")
    if run.get("role") == "report":
        _check_reported(run, layers, where)


def _check_reported(run: dict[str, Any], layers: int, where: str) -> None:
    """Lists that go together have to be of one length, and there has to be a look."""
    looks, curve = run["looks"], run["curve"]
    _check_if_there(looks, {name: [kind] for name, kind in _OF_A_LOOK.items()}, f"{where}, looks")
    _check_lengths(looks, f"{where}, looks")
    _check_looks(looks, f"{where}, looks")
    _check_lengths(curve, f"{where}, curve")
    _check_if_there(run["layers"], _OF_LAYERS, f"{where}, layers")
    columns = [run["layers"][name][when] for name in FLOW if name in run["layers"] for when in ("first", "middle")]
    if "flow" in run:
        flow = run["flow"]
        check_plain(_part(flow, _OF_FLOW), _OF_FLOW, f"{where}, flow")
        _check_lengths(flow, f"{where}, flow")
        if not flow["steps"]:
            raise ValueError(f"{where}, flow: expected at least one step")
        columns += [row for name in FLOW for row in flow[name]]
    if any(len(column) != layers for column in columns):
        raise ValueError(f"{where}: expected a number for each of {layers} layers")


def _check_looks(looks: dict[str, Any], where: str) -> None:
    steps = looks["iteration"]
    if not steps or steps != sorted(set(steps)):
        raise ValueError(f"{where}: expected at least one, at iterations that grow")
    for accuracy in looks["accuracy"]:
        if accuracy is not None and not 0 <= accuracy <= 1:
            raise ValueError(f"{where}, accuracy: expected parts of the images, from 0 to 1; got {accuracy}")


def _check_lengths(lists: dict[str, Any], where: str) -> None:
    if len({len(one) for one in lists.values() if isinstance(one, list)}) > 1:
        raise ValueError(f"{where}: expected lists of one length")


def _check_base(base: str | float, where: str) -> None:
    if isinstance(base, str) and base not in ("recipe", "tuned"):
        raise ValueError(f"{where}, base: expected 'recipe', 'tuned' or a number; got {base!r}")


def _check_name(name: str, where: str) -> None:
    if not _NAME.fullmatch(name):
        raise ValueError(f"{where}: expected small letters and figures with hyphens between them; got {name!r}")


def _check_if_there(found: dict[str, Any], wanted: dict[str, Any], where: str) -> None:
    for name, kind in wanted.items():
        if name in found:
            check_plain(_part(found[name], kind), kind, f"{where}, {name}")


def _check_saddle(found: dict[str, Any], where: str) -> None:
    if not found["loss"] > 0:
        raise ValueError(f"{where}, loss: expected a number above 0; got {found['loss']}")
    lengths = {len(found["curvature"][name]) for name in ("steps", "loss", "distance", "smallest")}
    if len(lengths) != 1:
        raise ValueError(f"{where}, curvature: expected as many entries in each list as there are steps")


def _check(found: dict[str, Any], wanted: dict[str, Any]) -> None:
    check_plain(_part(found, wanted), wanted, "result.json")


def _part(found: Any, wanted: Any) -> Any:
    """What of `found` is asked for."""
    if isinstance(wanted, dict) and isinstance(found, dict) and str not in wanted:
        return {key: _part(found[key], kind) for key, kind in wanted.items() if key in found}
    if isinstance(wanted, list) and isinstance(found, list):
        return [_part(element, wanted[0]) for element in found]
    return found
