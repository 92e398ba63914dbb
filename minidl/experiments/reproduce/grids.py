"""What the tuning found: for each rule of the rates the score of every base rate of its grid, and the best of them.

A rule that was not tried at all rates and seeds of the grid has no best rate yet.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from minidl.experiments.reproduce.names import RATES
from minidl.experiments.reproduce.results import tuning_score


@dataclass(frozen=True)
class Grid:
    """The tuning of one rule with one method.

    Attributes:
        scores: for each base rate, in ascending order, those of its runs (`results.tuning_score`); small is good.
        seeds: how many runs a rate has when the grid is done.
        known: whether a plan says which rates make the grid; otherwise it is what happens to lie there, and never done.
    """

    scores: Mapping[float, Sequence[float]]
    seeds: int
    known: bool = True

    @property
    def done(self) -> bool:
        """Whether every rate was tried with every seed."""
        return self.known and all(len(found) == self.seeds for found in self.scores.values())

    @property
    def best(self) -> float | None:
        """The best base rate; None if the grid is not done, or every rate led nowhere."""
        return best_rate(self.scores) if self.done else None

    @property
    def lack(self) -> str:
        """Why there is no best rate, in words that follow "the grid of a rule"; nothing ("") if there is one."""
        if not self.known:
            return "is in no plan"
        if not self.done:
            there = sum(map(len, self.scores.values()))
            return f"has {there} of its {self.seeds * len(self.scores)} runs"
        return "led nowhere at any rate" if self.best is None else ""

    @property
    def at_edge(self) -> bool:
        """Whether the best rate is the first or the last: a better one may lie beyond."""
        return self.best is not None and self.best in (min(self.scores), max(self.scores))


def mean_score(scores: Sequence[float]) -> float:
    """The mean over the seeds; infinite if one is, NaN if there is none."""
    return sum(scores) / len(scores) if scores else math.nan


def best_rate(scores: Mapping[float, Sequence[float]]) -> float | None:
    """The base rate with the lowest mean score; of equal ones the smaller. One with an infinite score is out.

    Returns:
        The rate; None if all are out.
    """
    means = {rate: mean_score(found) for rate, found in scores.items()}
    known = [rate for rate in means if math.isfinite(means[rate])]
    return min(known, key=lambda rate: (means[rate], rate)) if known else None


def grids_of(collected: Mapping[str, Any], method: str) -> dict[str, Grid]:
    """The grid of each rule that was tuned with a method, of collected results (`collected.py`)."""
    runs = [run for run in collected["runs"] if run["role"] == "tuning" and run["method"] == method]
    planned = collected.get("settings") or {}
    of_plan = [*map(float, (planned.get("grids") or {}).get(method, ()))]
    known = bool(of_plan and planned.get("tuning_seeds"))
    rates = sorted({*of_plan, *(float(run["base_rate"]) for run in runs)})
    seeds = {*planned.get("tuning_seeds", ()), *(run["seed"] for run in runs)}
    found: dict[str, Grid] = {}
    for rule in (rule for rule in RATES if any(run["rate"] == rule for run in runs)):
        own = [run for run in runs if run["rate"] == rule]
        scores = {rate: [tuning_score(run) for run in own if float(run["base_rate"]) == rate] for rate in rates}
        found[rule] = Grid(scores, len(seeds), known)
    return found


def not_at_their_best(collected: Mapping[str, Any]) -> dict[str, str]:
    """Tuned runs at another base rate than the best of their grid, as it is now, and why they do not count: by name.

    So it is where a grid was run again, by another version of minidl, after its best rate had been used.
    """
    best = {
        (method, rule): grid.best
        for method in {run["method"] for run in collected["runs"]}
        for rule, grid in grids_of(collected, method).items()
    }
    found = {}
    for run in _tuned(collected["runs"]):
        rate = best.get((run["method"], "per-step" if run["role"] == "twin" else run["rate"]))
        if rate is not None and float(f"{rate:.6g}") != float(run["base_rate"]):
            found[str(run["id"])] = f"was run at {run['base_rate']:g}, but the best rate of its grid is {rate:g}"
    return found


def _tuned(runs: Iterable[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """The runs at a rate that was tuned, and the twins: layer-specific runs that a tuned control replays."""
    return [run for run in runs if run["base"] == "tuned" or run["role"] == "twin"]
