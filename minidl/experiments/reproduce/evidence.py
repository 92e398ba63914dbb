"""The reported runs of one experiment, arm by arm and seed by seed, and the numbers that are compared.

An arm is a rule of the rate with its base rate: "ln" at the recipe's, "ln-tuned" at the one that was tuned for it.
Every number here is of one run; those that are compared are paired by seed.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from minidl.experiments.reproduce.names import ARMS, METHODS

LEARNED = 3.0  # times what guessing gives: a run that ends below that has learned nothing

Run = dict[str, Any]
Arms = dict[str, dict[int, Run]]  # {arm: {seed: run}}


def arm_of(run: Run) -> str:
    """The arm of a reported run."""
    return f"{run['rate']}-tuned" if run["base"] == "tuned" else str(run["rate"])


def methods_of(collected: dict[str, Any]) -> list[str]:
    """The methods of which there is a reported run, in the order of the report."""
    found = {run["method"] for run in collected["runs"] if run["role"] == "report"}
    known = [method for method in METHODS if method in found]
    return known + sorted(found - set(known))


def arms_of(collected: dict[str, Any], method: str) -> Arms:
    """The reported runs of a method, in the order of `ARMS`, seeds in order."""
    arms: Arms = {}
    for run in collected["runs"]:
        if run["role"] == "report" and run["method"] == method:
            arms.setdefault(arm_of(run), {})[run["seed"]] = run
    order = [arm for arm in ARMS if arm in arms] + sorted(set(arms) - set(ARMS))
    return {arm: dict(sorted(arms[arm].items())) for arm in order}


def shared_seeds(arms: Arms, names: Sequence[str]) -> list[int]:
    """The seeds that all the named arms have."""
    seeds = [set(arms.get(name, {})) for name in names]
    return sorted(set.intersection(*seeds)) if seeds else []


def ids_of(arms: Arms, names: Sequence[str]) -> list[str]:
    """The runs of the named arms."""
    return [run["id"] for name in names for run in arms.get(name, {}).values()]


# ---- numbers of a run


def diverged(run: Run) -> bool:
    """Whether the loss became NaN or infinite."""
    return run.get("diverged_at") is not None or ("looks" in run and run["looks"]["loss"][-1] is None)


def final_accuracy(run: Run) -> float:
    """On the test set, after the last iteration."""
    accuracy = run["looks"]["accuracy"][-1]
    return math.nan if accuracy is None else float(accuracy)


def have_learned(runs: Sequence[Run], classes: int) -> bool:
    """Whether at least half of the runs end well above guessing; also where it is not known what guessing gives."""
    ends = [0.0 if diverged(run) else final_accuracy(run) for run in runs if "looks" in run]
    enough = [end for end in ends if classes and end >= min(0.5, LEARNED / classes)]
    return not ends or not classes or 2 * len(enough) >= len(ends)


def final_error(run: Run) -> float:
    """The share of wrong answers at the end; infinite for a run that diverged, so that it ranks last."""
    return math.inf if diverged(run) or math.isnan(final_accuracy(run)) else 1.0 - final_accuracy(run)


def final_loss(run: Run) -> float:
    """On the test set, at the end; infinite for a run that diverged."""
    loss = run["looks"]["loss"][-1]
    return math.inf if diverged(run) or loss is None else float(loss)


def iterations_to(run: Run, accuracy: float) -> float:
    """The first iteration that was looked at with at least this accuracy; infinite if there is none."""
    return _until(run, accuracy, "iteration")


def seconds_to(run: Run, accuracy: float) -> float:
    """Seconds of training until then, by the clock."""
    return _until(run, accuracy, "seconds")


def cpu_seconds_to(run: Run, accuracy: float) -> float:
    """Seconds of the processor until then."""
    return _until(run, accuracy, "cpu_seconds")


def _until(run: Run, accuracy: float, key: str) -> float:
    k = _look_of(run, accuracy)
    value = None if k is None or key not in run["looks"] else run["looks"][key][k]
    return math.inf if value is None else float(value)


def _look_of(run: Run, accuracy: float) -> int | None:
    looks = zip(run["looks"]["accuracy"], run["looks"]["loss"], strict=True)  # no loss: it has diverged before
    reached = [a is not None and loss is not None and a >= accuracy for a, loss in looks]
    return reached.index(True) if True in reached else None


def at_look(run: Run, iteration: int, key: str) -> float:
    """What `key` ("accuracy", "loss") was when this iteration was looked at; NaN if it was not, or was not finite."""
    looks = run["looks"]
    if iteration not in looks["iteration"]:
        return math.nan
    value = looks[key][looks["iteration"].index(iteration)]
    return math.nan if value is None else float(value)


def looked_at(arms: Arms) -> tuple[int, int] | None:
    """On how many test images the looks before the end are, and on how many the last; None where that is not known."""
    counts = [run["looks"].get("examples") or [None] for runs in arms.values() for run in runs.values()]
    before = {n for row in counts for n in row[:-1] if n}
    last = {row[-1] for row in counts if row[-1]}
    return (before.pop(), last.pop()) if len(before) == len(last) == 1 else None


def by_layer(run: Run, key: str, when: str = "middle") -> Any:
    """(layers,) "norms", "multipliers" or "relative_updates": the "first" recorded, or the median of all ("middle")."""
    found = run.get("layers", {}).get(key)
    return np.array([] if found is None else found[when], dtype=np.float64)


def vanished(run: Run) -> float:
    """The part of the recorded layers and steps at which a layer's gradient was 0, or too small for its dtype."""
    count = run.get("layers", {}).get("steps", 0) * len(by_layer(run, "norms"))
    return run["layers"].get("floored", 0) / count if count else 0.0


def near_input_and_output(values: Any) -> tuple[float, float]:
    """The geometric means over the half of the layers near the input and over that near the output.

    Of an odd number of layers the middle one counts for neither. A zero makes its half zero.
    """
    half = len(values) // 2
    if half == 0:
        return math.nan, math.nan
    with np.errstate(divide="ignore"):
        logs = np.log(values)
    return float(np.exp(logs[:half].mean())), float(np.exp(logs[-half:].mean()))


def decades_deeper(run: Run, key: str, when: str) -> float:
    """log10 of how many times larger `key` is near the output than near the input; NaN if it was not recorded."""
    shallow, deep = near_input_and_output(by_layer(run, key, when))
    if math.isnan(shallow) or math.isnan(deep) or shallow == deep:
        return math.nan if math.isnan(shallow) or math.isnan(deep) else 0.0
    return math.inf if shallow == 0 else (-math.inf if deep == 0 else math.log10(deep / shallow))


def median(values: Sequence[float]) -> float:
    """The median; what is not finite counts as larger than everything else."""
    numbers = np.asarray(values, dtype=np.float64)
    return float(np.median(np.where(np.isnan(numbers), np.inf, numbers))) if len(numbers) else math.nan
