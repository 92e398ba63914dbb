"""The claim about saddle points: does a rate per layer leave one sooner?

Runs begin beside a saddle point whose curvature is known (`saddle.py`). What is compared, as accuracy and time are
(`comparisons.py`), is the number of steps until the loss is below a stated part of that at the saddle.

A rate too large for the steepest walls leaves as well, but another way: each step overshoots, the run is thrown up the
walls, and comes down elsewhere. Its loss has risen above that at the saddle first, which no run does that follows a
direction of low curvature down; where it has, that is said.
"""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

from minidl.experiments.reproduce.claims import Finding
from minidl.experiments.reproduce.comparisons import Measure, compare, steps_summary
from minidl.experiments.reproduce.evidence import Arms, Run, arms_of, median
from minidl.experiments.reproduce.names import arm_named
from minidl.experiments.reproduce.page import Table
from minidl.plot.words import listed

SADDLE = "saddle"
THROWN = 0.01  # part of the loss at the saddle by which it rises in a run that is thrown up the walls
ESCAPE = Measure(
    lambda run, base: math.inf if run["saddle"]["left_at"] is None else float(run["saddle"]["left_at"]),
    "never left",
    "steps until it has left",
    steps_summary,
)


def escapes(arms: Arms) -> Arms:
    """The runs that began at a saddle point."""
    found = {arm: {seed: run for seed, run in runs.items() if "saddle" in run} for arm, runs in arms.items()}
    return {arm: runs for arm, runs in found.items() if runs}


def judge_escape(collected: dict[str, Any], method: str) -> list[Finding]:
    """The finding of a method; none where no run began at a saddle point."""
    arms = escapes(arms_of(collected, method))
    if not arms:
        return []
    where = {"recipe": collected["recipe"], "scale": collected["scale"], "method": method}
    found = compare("saddle", arms, where, ESCAPE)
    thrown = [arm for arm, runs in arms.items() if median([rise(run) for run in runs.values()]) > THROWN]
    if not thrown:
        return [found]
    words = (
        f" Thrown up the walls, so that the loss rises first, before it has left: "
        f"{listed([arm_named(arm) for arm in thrown])}."
    )
    return [replace(found, sentence=found.sentence + words, numbers={**found.numbers, "thrown": thrown})]


def rise(run: Run) -> float:
    """How far the loss rises above that at the saddle before the run has left, as a part of that; at least 0.

    From what was recorded of it: means of a few steps, and the loss at some.
    """
    saddle = run["saddle"]
    end = math.inf if saddle["left_at"] is None else saddle["left_at"]
    highest = saddle["loss"]
    for found in (run["curve"], saddle["curvature"]):
        on_the_way = [y for x, y in zip(found["steps"], found["loss"], strict=False) if x <= end and y is not None]
        highest = max([highest, *on_the_way])
    return float(highest / saddle["loss"] - 1.0)


def about_the_saddle(arms: Arms) -> str:
    """What the saddle is like, and what counts as having left it, in sentences."""
    saddle = next(iter(next(iter(arms.values())).values()))["saddle"]
    flatter = saddle["largest"] / -saddle["smallest"] if saddle["smallest"] < 0 else math.inf
    return (
        f"At the saddle the loss is {saddle['loss']:.3g}. {saddle['negative']} directions lead down; along the "
        f"steepest the curvature is {saddle['smallest']:.2g}, {flatter:,.0f} times flatter than the steepest wall "
        f"({saddle['largest']:.3g}). A run begins {saddle['distance']:g} away from it, in a direction that its seed "
        f"draws, the same for all arms, and has left once the loss is below {saddle['threshold']:.3g}."
    )


def escape_table(arms: Arms) -> Table:
    """A row an arm: after how many steps it had left, median and range, and how far its loss rose before."""
    rows = []
    for arm, runs in arms.items():
        left = [ESCAPE.number(run, run) for run in runs.values()]
        known = [step for step in left if math.isfinite(step)]
        span = f" ({min(known):,.0f}\u2013{max(known):,.0f})" if len(known) > 1 else ""
        factors = [run["mean_multiplier"] for run in runs.values() if run.get("mean_multiplier") is not None]
        factor = f"{sorted(factors)[len(factors) // 2]:.3g}" if factors else "unknown"
        rates = ", ".join(f"{rate:g}" for rate in sorted({float(run["base_rate"]) for run in runs.values()}))
        risen = f"{median([rise(run) for run in runs.values()]):.1%}"
        rows.append((arm_named(arm), rates, factor, steps_summary(left) + span, risen, str(len(runs))))
    head = ("arm", "base rate", "mean factor", "steps until it has left", "the loss rises before by", "seeds")
    return Table(head, rows)
