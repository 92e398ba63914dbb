"""The claim about saddle points: does a rate per layer leave one sooner?

Runs begin beside a saddle point whose curvature is known (`saddle.py`). What is compared, as accuracy and time are
(`comparisons.py`), is the number of steps until the loss is below a stated part of that at the saddle.

A rate too large for the steepest walls moves a run another way: each step overshoots, and the run is thrown up the
walls, so that its loss rises above that at the saddle, which it does not on a way down along low curvature. Some come
back and leave as the others do; some are still up there when they leave. Both are said.
"""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

from minidl.experiments.reproduce.claims import Finding
from minidl.experiments.reproduce.comparisons import Measure, compare, steps_summary
from minidl.experiments.reproduce.evidence import Arms, Run, arms_of, median
from minidl.experiments.reproduce.grids import grids_of
from minidl.experiments.reproduce.names import arm_named
from minidl.experiments.reproduce.page import Table
from minidl.experiments.reproduce.saddle_point import UP
from minidl.plot.words import listed

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
    found = compare("saddle", arms, where, ESCAPE, grids_of(collected, method))
    return [replace(found, sentence=found.sentence + _about_walls(arms))]


def _about_walls(arms: Arms) -> str:
    """Which arms are thrown up the walls, in the median over the seeds; nothing if none is."""
    up = [arm for arm, runs in arms.items() if median([run["saddle"]["up_until"] for run in runs.values()]) > 0]
    out = [arm for arm in up if median([_part_up(run) for run in arms[arm].values()]) >= 0.5]
    if not up:
        return ""
    first, later = (listed([f'"{arm_named(arm)}"' for arm in some]) for some in (up, out))
    words = f" Thrown up the walls at first, so that the loss rises by more than {UP - 1:.0%}: {first}."
    return words + (f" Still up there half-way: {later}." if out else "")


def _part_up(run: Run) -> float:
    """The part of its way out, or of all the steps it made if it never left, after which it was last up the walls."""
    saddle = run["saddle"]
    return float(saddle["up_until"] / max(saddle["left_at"] or run["diverged_at"] or run["iterations"], 1))


def rise(run: Run) -> float:
    """How far the loss rises above that at the saddle before the run has left, as a part of that; at least 0."""
    return float(run["saddle"]["highest"] / run["saddle"]["loss"] - 1.0)


def about_the_saddle(arms: Arms) -> str:
    """What the saddle is like, and what counts as having left it, in sentences."""
    saddle = next(iter(next(iter(arms.values())).values()))["saddle"]
    flatter = saddle["largest"] / -saddle["smallest"] if saddle["smallest"] < 0 else math.inf
    return (
        f"At the saddle the loss is {saddle['loss']:.3g}. {saddle['negative']} directions lead down; along the "
        f"steepest the curvature is {saddle['smallest']:.2g}, {flatter:,.0f} times flatter than the steepest wall "
        f"({saddle['largest']:.3g}). A run begins {saddle['distance']:g} away from it, in a direction that its seed "
        f"draws, the same for all arms, and has left once the loss is below {saddle['threshold']:.3g}. "
        f"How far the loss rises before, and until which step it is more than {UP - 1:.0%} above that at the saddle, "
        f"tells who is thrown up the walls."
    )


def escape_table(arms: Arms) -> Table:
    """A row an arm: after how many steps it had left, how far its loss rose before, and until when."""
    rows = []
    for arm, runs in arms.items():
        left = [ESCAPE.number(run, run) for run in runs.values()]
        known = [step for step in left if math.isfinite(step)]
        span = f" ({min(known):,.0f}\u2013{max(known):,.0f})" if len(known) > 1 else ""
        factors = [run["mean_multiplier"] for run in runs.values() if run.get("mean_multiplier") is not None]
        factor = f"{median(factors):.3g}" if factors else "unknown"
        rates = ", ".join(f"{rate:g}" for rate in sorted({float(run["base_rate"]) for run in runs.values()}))
        risen = f"{median([rise(run) for run in runs.values()]):.1%}"
        until = f"{median([run['saddle']['up_until'] for run in runs.values()]):,.0f}"
        rows.append((arm_named(arm), rates, factor, steps_summary(left) + span, risen, until, str(len(runs))))
    head = ("arm", "base rate", "mean factor", "steps until it has left", "loss rises by", "up until step", "seeds")
    return Table(head, rows)
