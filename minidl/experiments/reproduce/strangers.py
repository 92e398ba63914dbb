"""Results in a folder that cannot be compared with the others there, and why: they are left out, and named.

They are of another experiment, or of this one but with other steps, base rates, data, layers or first weights: as after
an edit of the plan in between, a run that went on with other data, or files that were copied from elsewhere.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping
from typing import Any

from minidl.experiments.reproduce.pairing import unpaired

Results = Mapping[str, dict[str, Any]]

RUN = ("method", "rate", "base", "seed", "role")  # what makes a run what it is


def strangers(results: Results, plan: Mapping[str, Any], recipe: str, scale: str) -> dict[str, str]:
    """The results to leave out, by name, and why.

    Args:
        results: by run, as result.json has them.
        plan: of the folder, or {} where there is none: then what most of the results have is right.
        recipe, scale: what this reproduction is.
    """
    planned = {str(spec.get("id")): spec for spec in plan.get("runs", []) if isinstance(spec, dict)}
    found: dict[str, str] = {}
    for name, result in results.items():
        spec, wanted = result["spec"], planned.get(name, {})
        other = [key for key in RUN if key in wanted and wanted[key] != spec[key]]
        if (spec["recipe"], spec["scale"]) != (recipe, scale):
            found[name] = f"is of {spec['recipe']}, {spec['scale']}: not of this reproduction"
        elif other:
            found[name] = f"has another {' and '.join(other)} than the plan says: not of this reproduction"
    steps = [spec["iterations"] for spec in planned.values() if "iterations" in spec]
    odd: list[Callable[[Results], dict[str, str]]] = [
        lambda rest: _of_other_steps(rest, planned, steps),
        lambda rest: _at_other_rates(rest, plan.get("settings", {}).get("base_rates", {})),
        lambda rest: _unlike_most(rest, _data_of, "was made on data with the fingerprint {own}, others on {usual}"),
        lambda rest: _unlike_most(rest, _layers_of, "has the layers {own}, others have {usual}"),
        lambda rest: _second(rest, planned),
        unpaired,
    ]
    for look in odd:
        found |= look({name: result for name, result in results.items() if name not in found})
    return found


def _second(results: Results, planned: Mapping[str, Any]) -> dict[str, str]:
    """Runs of which there is another one under another name: that of the plan, or the first."""
    first: dict[tuple[Any, ...], str] = {}
    for name, result in sorted(results.items(), key=lambda pair: pair[0] not in planned):
        first.setdefault(tuple(result["spec"][key] for key in RUN), name)
    names = {name: first[tuple(result["spec"][key] for key in RUN)] for name, result in results.items()}
    return {name: f"is the run {other} once more" for name, other in names.items() if other != name}


def _of_other_steps(results: Results, planned: Mapping[str, Any], steps: list[int]) -> dict[str, str]:
    made = {name: result["iterations"] for name, result in results.items()}
    usual = most(steps or [*made.values()])
    return {
        name: f"has {count} steps, others have {usual}: not of this reproduction"
        for name, count in made.items()
        if count != usual or count != planned.get(name, {}).get("iterations", usual)
    }


def _at_other_rates(results: Results, planned: Mapping[str, float]) -> dict[str, str]:
    """Those that are not at the base rate that their name says: the recipe's is the plan's, a grid's is a number."""
    found = {}
    recipes: dict[str, list[float]] = {}
    for result in results.values():
        if result["spec"]["base"] == "recipe":
            recipes.setdefault(result["spec"]["method"], []).append(_digits(result["base_rate"]))
    for name, result in results.items():
        method, base = result["spec"]["method"], result["spec"]["base"]
        if base == "tuned":  # `grids.not_at_their_best` knows
            continue
        right = _digits(planned.get(method, most(recipes[method])) if base == "recipe" else base)
        if _digits(result["base_rate"]) != right:
            whose = "the recipe's is" if base == "recipe" else "its name says"
            found[name] = (
                f"was run at the base rate {result['base_rate']:g}, {whose} {right:g}: delete its folder, and it is "
                "done again"
            )
    return found


def _unlike_most(results: Results, key_of: Callable[[dict[str, Any]], Hashable], why: str) -> dict[str, str]:
    """Those that have another `key_of` than most; one that does not say (None) is as good as any."""
    keys = {name: key for name, result in results.items() if (key := key_of(result)) is not None}
    usual = most([*keys.values()])
    return {name: why.format(own=_words(key), usual=_words(usual)) for name, key in keys.items() if key != usual}


def _data_of(result: dict[str, Any]) -> Hashable:
    return (result.get("data") or {}).get("fingerprint")


def _layers_of(result: dict[str, Any]) -> Hashable:
    return tuple(result["layers"]) if "layers" in result else None


def _words(key: Any) -> str:
    return ", ".join(key) or "none" if isinstance(key, tuple) else str(key)


def most(values: list[Any]) -> Any:
    """What most of them are, of equally many the one that comes first; None of none."""
    return max(values, key=values.count, default=None)


def _digits(rate: float) -> float:
    return float(f"{float(rate):.6g}")
