"""The report's picture of runs that begin at a saddle point: the loss, the curvature, and when each run left."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import LogLocator, NullLocator

from minidl.experiments.reproduce.comparisons import steps_summary
from minidl.experiments.reproduce.drawing import RECIPE_ARMS, TUNED_ARMS, band, colour_of
from minidl.experiments.reproduce.evidence import Run, arms_of
from minidl.experiments.reproduce.names import arm_named, method_named
from minidl.experiments.reproduce.picture import Picture
from minidl.experiments.reproduce.saddle_claim import escapes
from minidl.plot.style import BROKEN, INK, QUIET, SMALL, drawable, label_ends, plain_log_ticks, tidy, title

_DRAWN = ("uniform", "constant", "per-step", "ln")


def escape_picture(collected: dict[str, Any], method: str) -> Picture | None:
    """Loss and most negative curvature over the steps, and a dot for each run at the step when it left."""
    found = escapes(arms_of(collected, method))
    arms = {arm: found[arm] for arm in (*RECIPE_ARMS, *TUNED_ARMS) if arm in found}
    drawn = {arm: list(arms[arm].values()) for arm in _DRAWN if arm in arms}
    if not drawn:
        return None
    saddle = next(iter(drawn.values()))[0]["saddle"]
    losses = {arm: _losses(runs) for arm, runs in drawn.items()}
    smallest = {arm: _around(runs, "smallest") for arm, runs in drawn.items()}
    distance = {arm: _around(runs, "distance") for arm, runs in drawn.items()}
    left = {arm: {seed: run["saddle"]["left_at"] for seed, run in runs.items()} for arm, runs in arms.items()}
    words = [
        f"{arm_named(arm)} {steps_summary([math.inf if x is None else float(x) for x in left[arm].values()])}"
        for arm in drawn
    ]
    caption = (
        f"From a saddle point, {method_named(method)}. Steps until the loss is below {saddle['threshold']:.3g}, the "
        f"dotted line (at the saddle it is {saddle['loss']:.3g}): {', '.join(words)}. The most negative curvature is "
        f"the smallest eigenvalue of the Hessian. Lines are medians over the seeds, bands their range, of the arms at "
        f"the recipe's rate; a point of the training loss is a mean over {_steps_of_a_point(drawn)} steps, so that a "
        f"short rise hardly shows: the table has it. A dot is a run, a thin line joins those of one seed, a bar is the "
        f"median."
    )
    panels = (
        partial(
            _lines, losses, "training loss", {f"left: below {saddle['threshold']:.3g}": saddle["threshold"]}, False
        ),
        partial(_lines, smallest, "most negative curvature", {"at the saddle": saddle["smallest"]}, False),
        partial(_lines, distance, "distance from the saddle", {}, True),
        partial(_dots, left, "steps until it has left"),
    )
    numbers = {"loss": losses, "smallest": smallest, "distance": distance, "left_at": left}
    return Picture(f"{collected['recipe']}-{collected['scale']}-escape-{method}", caption, panels, numbers)


def _steps_of_a_point(drawn: dict[str, list[Run]]) -> int:
    """Over how many steps the points of the training loss are means."""
    steps = next(iter(drawn.values()))[0]["curve"]["steps"]
    return int(np.median(np.diff([0, *steps])))


def _losses(runs: list[Run]) -> dict[str, Any]:
    steps = runs[0]["curve"]["steps"]
    rows = [[math.nan if y is None else y for y in run["curve"]["loss"]] for run in runs]
    rows = [(row + [math.nan] * len(steps))[: len(steps)] for row in rows]
    return {"x": np.array(steps, dtype=np.float64), **band(rows)}


def _around(runs: list[Run], key: str) -> dict[str, Any]:
    longest = max((run["saddle"]["curvature"]["steps"] for run in runs), key=len)
    rows = []
    for run in runs:
        values = [math.nan if y is None else y for y in run["saddle"]["curvature"][key]]
        rows.append((values + [math.nan] * len(longest))[: len(longest)])  # a run that diverged ends sooner
    return {"x": np.array(longest, dtype=np.float64), **band(rows)}


def _lines(lines: dict[str, Any], heading: str, marks: dict[str, float], log: bool, ax: Axes) -> Callable[[], None]:
    tidy(ax)
    title(ax, heading)
    ax.set_xscale("log")
    if log:
        ax.set_yscale("log")
        plain_log_ticks(ax.yaxis)
    for arm, line in lines.items():
        shown = line["x"] > 0  # what is before the first step has no place on a log axis
        x = line["x"][shown]
        ax.fill_between(x, drawable(line["min"])[shown], drawable(line["max"])[shown], color=colour_of(arm), alpha=0.13,
                        linewidth=0)  # fmt: skip
        ax.plot(x, drawable(line["median"])[shown], "-", color=colour_of(arm), linewidth=1.5)
    for value in marks.values():
        ax.axhline(value, color=INK, linewidth=0.8, linestyle=(0, (1, 2)))
    _ticks(ax.xaxis)
    ax.margins(x=0)
    ax.set_xlabel("step", fontsize=SMALL, color=INK)
    ends = [(line, arm, np.flatnonzero(np.isfinite(line["median"]))) for arm, line in lines.items()]
    named = [
        (line["x"][k[-1]], line["median"][k[-1]], arm_named(arm), colour_of(arm)) for line, arm, k in ends if k.size
    ]
    last = max((x for x, *_ in named), default=1.0)
    named += [(last, value, name, QUIET) for name, value in marks.items()]
    x, y, names, colours = map(list, zip(*named, strict=True)) if named else ([], [], [], [])
    return lambda: label_ends(ax, x, y, names, colours)


def _ticks(axis: Any) -> None:
    """100, 300, 1,000, ... steps on a log axis."""
    axis.set_major_locator(LogLocator(subs=(1.0, 3.0)))
    axis.set_major_formatter("{x:,.0f}")
    axis.set_minor_locator(NullLocator())


def _dots(left: dict[str, dict[int, int | None]], heading: str, ax: Axes) -> None:
    tidy(ax, grid="x")
    title(ax, heading)
    ax.set_xscale("log")
    rows = {arm: k + 0.6 * arm.endswith("-tuned") for k, arm in enumerate(left)}
    for tuned in (False, True):
        group = [arm for arm in left if arm.endswith("-tuned") == tuned]
        for seed in sorted({seed for arm in group for seed in left[arm]}):
            xs = [math.nan if left[arm].get(seed) is None else float(left[arm][seed] or 0) for arm in group]
            ax.plot(xs, [rows[arm] for arm in group], "-", color="#c9c9c9", linewidth=0.8, zorder=1)
    for arm, steps in left.items():
        known = [float(x) for x in steps.values() if x is not None]
        ax.plot(known, [rows[arm]] * len(known), "o", color=colour_of(arm), markersize=4.5, alpha=0.75, mew=0, zorder=3)
        middle = float(np.median([math.inf if x is None else x for x in steps.values()]))
        if math.isfinite(middle):
            ax.plot([middle] * 2, [rows[arm] - 0.27, rows[arm] + 0.27], color=INK, linewidth=1.4, zorder=4)
        if len(known) < len(steps):
            ax.annotate(f"{len(steps) - len(known)} never", (0.99, rows[arm]), xycoords=("axes fraction", "data"),
                        fontsize=SMALL - 1, color=BROKEN, va="center", ha="right")  # fmt: skip
    _ticks(ax.xaxis)
    ax.margins(x=0.06)
    ax.set_ylim(max(rows.values()) + 0.5, -0.5)
    ax.set_yticks(list(rows.values()), [arm_named(arm) for arm in rows], fontsize=SMALL)
    ax.tick_params(axis="y", length=0)
    for label, arm in zip(ax.get_yticklabels(), rows, strict=True):
        label.set_color(colour_of(arm))
    ax.spines["left"].set_visible(False)
    ax.set_xlabel("step", fontsize=SMALL, color=INK)
