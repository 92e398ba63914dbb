"""The claim about saddle points: does a rate per layer leave one sooner?

Runs begin beside a saddle point whose curvature is known (`saddle.py`). What is compared, as accuracy and time are
(`comparisons.py`), is the number of steps until the loss is below a stated part of that at the saddle.
"""

from __future__ import annotations

import math
from typing import Any

from minidl.experiments.reproduce.claims import Finding
from minidl.experiments.reproduce.comparisons import Measure, compare, steps_summary
from minidl.experiments.reproduce.evidence import Arms, arms_of
from minidl.experiments.reproduce.names import arm_named
from minidl.experiments.reproduce.page import Table

SADDLE = "saddle"
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
    return [compare("saddle", arms, where, ESCAPE)]


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
    """A row an arm: after how many steps it had left, median and range."""
    rows = []
    for arm, runs in arms.items():
        left = [ESCAPE.number(run, run) for run in runs.values()]
        known = [step for step in left if math.isfinite(step)]
        span = f" ({min(known):,.0f}\u2013{max(known):,.0f})" if len(known) > 1 else ""
        factors = [run["mean_multiplier"] for run in runs.values() if run.get("mean_multiplier") is not None]
        factor = f"{sorted(factors)[len(factors) // 2]:.3g}" if factors else "unknown"
        rates = ", ".join(f"{rate:g}" for rate in sorted({float(run["base_rate"]) for run in runs.values()}))
        rows.append((arm_named(arm), rates, factor, steps_summary(left) + span, str(len(runs))))
    return Table(("arm", "base rate", "mean factor", "steps until it has left", "seeds"), rows)
