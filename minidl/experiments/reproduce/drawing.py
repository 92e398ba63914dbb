"""The report's pictures of a training: errors and losses over the iterations, where each seed ends, layer by layer."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator

from minidl.experiments.reproduce.evidence import (
    Arms,
    Run,
    arms_of,
    at_look,
    diverged,
    final_accuracy,
    final_error,
    have_learned,
    looked_at,
    median,
)
from minidl.experiments.reproduce.names import arm_named, method_named, note_of, words_of
from minidl.experiments.reproduce.picture import Picture
from minidl.plot.style import BROKEN, INK, QUIET, SMALL, drawable, label_ends, plain_log_ticks, tidy, title

# The house's palette, the pale ones darker: they are letters too.
COLOURS = {"uniform": "#0072B2", "ln": "#C95500", "constant": "#007F5C", "per-step": "#AD4A85", "log10": "#8A6A00"}
RECIPE_ARMS = ("uniform", "constant", "per-step", "ln", "log10")  # as rows from top to bottom
TUNED_ARMS = ("uniform-tuned", "per-step-tuned", "ln-tuned")


def colour_of(arm: str) -> str:
    """One colour a rule, whatever its base rate."""
    return COLOURS.get(arm.removesuffix("-tuned"), INK)


def looked(arms: Arms, names: Sequence[str]) -> Arms:
    """Those of the named arms that have runs with looks at the test set."""
    found = {arm: {seed: run for seed, run in arms.get(arm, {}).items() if "looks" in run} for arm in names}
    return {arm: runs for arm, runs in found.items() if runs}


def band(rows: Any) -> dict[str, Any]:
    """Median, smallest and largest over the seeds (rows), where at least half of them are finite."""
    rows = np.asarray(rows, dtype=np.float64)
    known = np.isfinite(rows).sum(axis=0)
    filled = np.where(np.isfinite(rows), rows, np.inf)
    middle = np.where(2 * known > len(rows), np.median(filled, axis=0), np.nan)
    lowest = np.where(known > 0, filled.min(axis=0), np.nan)
    highest = np.where(known > 0, np.where(np.isfinite(rows), rows, -np.inf).max(axis=0), np.nan)
    return {"median": np.where(np.isfinite(middle), middle, np.nan), "min": lowest, "max": highest}


# ---- over the iterations


def curves(collected: dict[str, Any], method: str) -> Picture | None:
    """Training loss and wrong answers over the iterations; None if nothing was looked at."""
    arms = arms_of(collected, method)
    recipe, tuned = looked(arms, RECIPE_ARMS), looked(arms, TUNED_ARMS)
    if not recipe and not tuned:
        return None
    losses = {arm: _losses(list(runs.values())) for arm, runs in recipe.items()}
    errors = [{arm: _errors(list(runs.values())) for arm, runs in group.items()} for group in (recipe, tuned)]
    limits = _limits([line for group in errors for line in group.values()])
    panels = []
    if any(len(line["x"]) for line in losses.values()):
        panels.append(partial(_lines, losses, "training loss", _limits(list(losses.values()))))
    if recipe:
        panels.append(partial(_lines, errors[0], "wrong answers, %, at the recipe's rate", limits))
    if tuned:
        panels.append(partial(_lines, errors[1], "wrong answers, %, each at its best rate", limits))
    named = words_of(collected["recipe"])
    ends = [
        f"{arm_named(arm)} {_percent([final_error(run) for run in runs.values()])}"
        for arm, runs in {**recipe, **tuned}.items()
        if arm.removesuffix("-tuned") in ("uniform", "ln", "constant")
    ]
    both = {**recipe, **tuned}
    seeds = sorted({len(runs) for runs in both.values()})
    caption = (
        f"{named.title}, {method_named(method)}. Wrong answers at the end: {', '.join(ends)}. Lines are medians over "
        f"{_span(seeds)} seed{'s' * (seeds != [1])}, bands go from the best to the worst seed.{sample_words(both)} "
        f"{note_of(collected)}"
    )
    numbers = {"loss": losses, "wrong": {**errors[0], **errors[1]}}
    return Picture(
        f"{collected['recipe']}-{collected['scale']}-curves-{method}", caption.strip(), tuple(panels), numbers
    )


def sample_words(arms: Arms) -> str:
    """Where the looks on the way are at fewer test images than the last one: that they are."""
    found = looked_at(arms)
    if found is None or found[0] == found[1]:
        return ""
    return f" Before the end the test is on {found[0]:,} of the {found[1]:,} test images."


def _losses(runs: Sequence[Run]) -> dict[str, Any]:
    steps = runs[0]["curve"]["steps"]
    rows = [[math.nan if y is None else y for y in run["curve"]["loss"]] for run in runs]
    rows = [(row + [math.nan] * len(steps))[: len(steps)] for row in rows]  # a run that diverged ends sooner
    return {"x": np.array(steps, dtype=np.float64), **band(rows)}


def _errors(runs: Sequence[Run]) -> dict[str, Any]:
    steps = runs[0]["looks"]["iteration"]
    rows = [
        [math.nan if math.isnan(at_look(run, step, "loss")) else 100 - 100 * at_look(run, step, "accuracy")
         for step in steps]
        for run in runs
    ]  # fmt: skip
    return {"x": np.array(steps, dtype=np.float64), **band(rows)}


def _limits(lines: Sequence[dict[str, Any]]) -> tuple[float, float, bool]:
    """Lowest and highest of the axis, and whether it is a log axis."""
    values = np.concatenate([line[key] for line in lines for key in ("min", "max")] or [np.array([])])
    values = values[np.isfinite(values)]
    if not values.size:
        return 0.0, 1.0, False
    low, high = float(values.min()), float(values.max())
    if low > 0 and high > 4 * low:
        return low / 1.08, high * 1.08, True
    room = 0.05 * (high - low or abs(high) or 1.0)
    return low - room, high + room, False


def _lines(lines: dict[str, Any], heading: str, limits: tuple[float, float, bool], ax: Axes) -> Callable[[], None]:
    tidy(ax)
    title(ax, heading)
    low, high, log = limits
    if log:
        ax.set_yscale("log")
        plain_log_ticks(ax.yaxis)
    ax.set_ylim(low, high)
    order = sorted(lines, key=lambda arm: arm.removesuffix("-tuned") in ("uniform", "ln"))  # those two on top
    for arm in order:
        line, colour = lines[arm], colour_of(arm)
        ax.fill_between(line["x"], drawable(line["min"]), drawable(line["max"]), color=colour, alpha=0.13, linewidth=0)
        ax.plot(line["x"], drawable(line["median"]), "-", color=colour, linewidth=1.5)
        lost = np.flatnonzero(np.isnan(line["median"]))[:1]
        if lost.size:
            ax.plot(line["x"][lost], [1], "x", color=colour, transform=ax.get_xaxis_transform(), clip_on=False, mew=1.5)
    xs = np.concatenate([line["x"] for line in lines.values()])
    ax.set_xlim(0, xs.max())
    ax.xaxis.set_major_locator(MaxNLocator(4))
    ax.xaxis.set_major_formatter("{x:,.0f}")
    ax.set_xlabel("iteration", fontsize=SMALL, color=INK)
    last = {arm: np.flatnonzero(np.isfinite(line["median"])) for arm, line in lines.items()}
    shown = [arm for arm in lines if last[arm].size]
    whole = {arm: last[arm][-1] == len(lines[arm]["x"]) - 1 for arm in shown}
    return lambda: label_ends(
        ax,
        [lines[arm]["x"][last[arm][-1]] for arm in shown],
        [float(lines[arm]["median"][last[arm][-1]]) for arm in shown],
        [arm_named(arm).removesuffix(" (tuned)") + ("" if whole[arm] else ": diverged") for arm in shown],
        [colour_of(arm) for arm in shown],
    )


# ---- where each seed ends


def ends(collected: dict[str, Any], methods: Sequence[str]) -> Picture | None:
    """Right answers at the end: a dot a seed, a row an arm, a panel a method; None if there are none."""
    named = words_of(collected["recipe"])
    numbers: dict[str, Any] = {}
    guessing = []  # the methods with which no arm learned anything
    for method in methods:
        arms = looked(arms_of(collected, method), (*RECIPE_ARMS, *TUNED_ARMS))
        if arms and not any(have_learned(list(runs.values()), named.classes) for runs in arms.values()):
            guessing.append(method)
        if arms:
            numbers[method] = {
                arm: {seed: None if diverged(run) else 100 * final_accuracy(run) for seed, run in runs.items()}
                for arm, runs in arms.items()
            }
    if not numbers:
        return None
    spans = [f"{method_named(method)}: no arm does better than guessing" for method in guessing]
    for method, arms in numbers.items():
        if method in guessing:
            continue
        both = [[v for v in arms.get(arm, {}).values() if v is not None] for arm in ("uniform", "ln")]
        if all(both):
            gap = [arms["ln"][s] - arms["uniform"][s] for s in arms["ln"]
                   if arms["ln"][s] is not None and arms["uniform"].get(s) is not None]  # fmt: skip
            if gap:
                spans.append(f"{method_named(method)}: a rate per layer is {_ahead(gap)}")
    caption = (
        f"{named.title}: right answers on the test set at the end, in percent; each dot is a run, a thin line joins "
        f"the runs that began with the same seed, a bar is the median. {'. '.join(spans)}{'.' * bool(spans)} "
        f"{note_of(collected)}"
    )
    panels = tuple(partial(_dots, arms, method_named(method)) for method, arms in numbers.items())
    rows = max(len(arms) for arms in numbers.values())
    return Picture(f"{collected['recipe']}-{collected['scale']}-ends", caption.strip(), panels, {"methods": numbers},
                   across=2, height=0.95 + 0.26 * rows)  # fmt: skip


def _ahead(gap: Sequence[float]) -> str:
    """In how many seeds a rate per layer is ahead of one rate, and by how much; or behind, if it is that."""
    middle = median(gap)
    if middle == 0:
        return f"level with one rate in the median of {len(gap)} seed{'s' * (len(gap) != 1)}"
    word, sign = ("ahead of", 1) if middle > 0 else ("behind", -1)
    if len(gap) == 1:
        return f"{word} one rate by {abs(middle):.2f} points, in one seed"
    count = sum(sign * points > 0 for points in gap)
    return f"{word} one rate in {count} of {len(gap)} seeds, by {abs(middle):.2f} points in the median"


def _dots(arms: dict[str, dict[int, float | None]], heading: str, ax: Axes) -> None:
    tidy(ax, grid="x")
    title(ax, heading)
    tuned = [arm for arm in arms if arm.endswith("-tuned")]
    plain = [arm for arm in arms if arm not in tuned]
    rows = {arm: k + (0.6 if arm in tuned and plain else 0.0) for k, arm in enumerate([*plain, *tuned])}
    for group in (plain, tuned):
        for seed in sorted({seed for arm in group for seed in arms[arm]}):
            points = [(arms[arm].get(seed), rows[arm]) for arm in group]
            xs = [math.nan if x is None else x for x, _ in points]
            ax.plot(xs, [y for _, y in points], "-", color="#c9c9c9", linewidth=0.8, zorder=1)
    for arm, ends_ in arms.items():
        known = [x for x in ends_.values() if x is not None]
        ax.plot(known, [rows[arm]] * len(known), "o", color=colour_of(arm), markersize=4.5, alpha=0.75, mew=0, zorder=3)
        middle = median([math.inf if x is None else -x for x in ends_.values()])
        if math.isfinite(middle):
            ax.plot([-middle] * 2, [rows[arm] - 0.27, rows[arm] + 0.27], color=INK, linewidth=1.4, zorder=4)
        lost = len(ends_) - len(known)
        if lost:
            ax.annotate(f"{lost} diverged", (0.01, rows[arm]), xycoords=("axes fraction", "data"), fontsize=SMALL - 1,
                        color=BROKEN, va="center")  # fmt: skip
    ax.set_ylim(max(rows.values()) + 0.5, -0.5)
    ax.set_yticks(list(rows.values()), [arm_named(arm) for arm in rows], fontsize=SMALL)
    ax.tick_params(axis="y", length=0)
    for label, arm in zip(ax.get_yticklabels(), rows, strict=True):
        label.set_color(colour_of(arm))
    ax.spines["left"].set_visible(False)
    ax.xaxis.set_major_locator(MaxNLocator(5))
    ax.margins(x=0.06)
    ax.set_xlabel("right answers, %", fontsize=SMALL, color=INK)
    if tuned and plain:
        ax.axhline((rows[plain[-1]] + rows[tuned[0]]) / 2, color=QUIET, linewidth=0.6, linestyle=(0, (1, 2)))


def _percent(errors: Sequence[float]) -> str:
    middle = median(errors)
    return f"{middle:.2%}" if math.isfinite(middle) else "diverged"


def _span(counts: Sequence[int]) -> str:
    return f"{counts[0]}" if len(counts) == 1 else f"{counts[0]} to {counts[-1]}"
