"""What a run's result.json has to hold for the report: it is checked before a number of it is believed.

Only what the report needs is asked for; what else is there does not matter to it.
"""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

from minidl.experiments.reproduce.pairing import EXACT, KEY, ROUNDED
from minidl.files.reading import read_text
from minidl.files.schema import check_plain

FORMAT = 1
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

_COLLECTED = {  # of a run in a file of collected results
    "id": str, "method": str, "rate": str, "base": (str, float), "seed": int, "role": str, "environment": int,
    "base_rate": float, "iterations": int, "seconds": _NUMBER, "cpu_seconds": _NUMBER, "diverged_at": (int, None),
    "train_loss": _NUMBER, "mean_multiplier": _NUMBER, "validation": {"accuracy": _NUMBER, "loss": _NUMBER},
}  # fmt: skip
_COLLECTED_REPORTED = {  # and of one that is reported, not of one that tuned a rate
    "looks": {"iteration": [int], "accuracy": [_NUMBER], "loss": [_NUMBER], "seconds": [_NUMBER]},
    "curve": {"steps": [int], "loss": [_NUMBER]},
    "layers": dict,
}


def check_planned(plan: dict[str, Any]) -> None:
    """Refuse what is no plan that results can be held against; entries may be missing.

    Raises:
        ValueError: says which entry is of the wrong kind.
    """
    check_kinds_of_settings(plan.get("settings", {}), "its settings")
    for key in ("recipe", "scale"):
        check_plain(plan.get(key, ""), str, f"its {key}")
    for spec in plan["runs"]:
        if isinstance(spec, dict):
            known = {key: kind for key, kind in _SPEC.items() if key in spec}
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
        return json.loads(read_text(path), parse_constant=_refuse)
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{path.name} is no strict JSON: {error}") from None


def _refuse(name: str) -> Any:
    raise ValueError(f"{name} stands in it")


def check_result(found: Any) -> None:
    """Refuse what is no result of a run.

    Raises:
        ValueError: says which entry is missing, or is of the wrong kind or length.
    """
    check_plain(found, dict, "result.json")
    if found.get("format") != FORMAT:
        raise ValueError(f"result.json: expected format {FORMAT}; got {found.get('format')!r}")
    _check(found, _ALWAYS)
    base = found["spec"]["base"]
    if isinstance(base, str) and base not in ("recipe", "tuned"):
        raise ValueError(f"result.json, spec, base: expected 'recipe', 'tuned' or a number; got {base!r}")
    _check(found, _TRAINED)
    _check(found["checks"], {key: str for key in (EXACT, ROUNDED) if key in found["checks"]})
    if "saddle" in found:
        _check(found["saddle"], _SADDLE)
        _check_curvature(found["saddle"]["curvature"])
    steps = [look["iteration"] for look in found["looks"]]
    if not steps or steps != sorted(set(steps)):
        raise ValueError("result.json, looks: expected at least one, at iterations that grow")
    if len(found["curve"]["steps"]) != len(found["curve"]["loss"]):
        raise ValueError("result.json, curve: expected as many steps as losses")
    rows, layers = len(found["flow"]["steps"]), len(found["layers"])
    for name in FLOW:
        if [len(row) for row in found["flow"][name]] != [layers] * rows:
            raise ValueError(f"result.json, flow, {name}: expected {rows} rows of {layers} layers")


def check_collected(run: dict[str, Any], where: str) -> None:
    """Refuse what is no run of a file of collected results.

    Raises:
        ValueError: says which entry is missing, or is of the wrong kind. The message begins with `where`.
    """
    wanted = {**_COLLECTED, **(_COLLECTED_REPORTED if run.get("role") == "report" else {})}
    wanted |= {KEY: str} if KEY in run else {}
    if run.get("role") == "report" and "saddle" in run:
        wanted["saddle"] = _SADDLE
    check_plain(_part(run, wanted), wanted, where)


def _check_curvature(found: dict[str, Any]) -> None:
    lengths = {len(found[name]) for name in ("steps", "loss", "distance", "smallest")}
    if len(lengths) != 1:
        raise ValueError("result.json, saddle, curvature: expected as many entries in each list as there are steps")


def _check(found: dict[str, Any], wanted: dict[str, Any]) -> None:
    check_plain(_part(found, wanted), wanted, "result.json")


def _part(found: Any, wanted: Any) -> Any:
    """What of `found` is asked for."""
    if isinstance(wanted, dict) and isinstance(found, dict):
        return {key: _part(found[key], kind) for key, kind in wanted.items() if key in found}
    if isinstance(wanted, list) and isinstance(found, list):
        return [_part(element, wanted[0]) for element in found]
    return found
