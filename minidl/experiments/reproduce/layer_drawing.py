"""The report's pictures of layers: gradients and updates from input to output, and factors over time."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator, NullLocator

from minidl.experiments.reproduce.drawing import band, colour_of
from minidl.experiments.reproduce.evidence import (
    Arms,
    arms_of,
    by_layer,
    median,
    near_input_and_output,
    shared_seeds,
    vanished,
)
from minidl.experiments.reproduce.names import arm_named, method_named, words_of
from minidl.experiments.reproduce.picture import Picture
from minidl.plot.style import (
    INK,
    SMALL,
    LogScale,
    depth_colours,
    label_ends,
    name_layers,
    plain_log_ticks,
    step_colours,
    tidy,
    title,
)

_SHOWN = ("uniform", "constant", "per-step", "ln")
_LABELLED = 7  # of more layers, so many are named at the ends of their lines


def by_depth(collected: dict[str, Any], method: str) -> Picture | None:
    """Norms and relative updates of each layer, and how many times those of one rate; None if none was recorded."""
    arms = _recorded(collected, method)
    layers = collected["layers"]
    if "uniform" not in arms or len(layers) < 2:
        return None
    norms = {
        when: band([by_layer(run, "norms", when) for run in arms["uniform"].values()]) for when in ("first", "middle")
    }
    moved = {arm: band([by_layer(run, "relative_updates") for run in runs.values()]) for arm, runs in arms.items()}
    ratios = {arm: _ratio(arms, arm) for arm in arms if arm != "uniform" and shared_seeds(arms, [arm, "uniform"])}
    words = {"first": "at the start", "middle": "along the way"}
    colours = dict(zip(words.values(), step_colours(2), strict=True))
    panels = [
        partial(_depth, {words[when]: line for when, line in norms.items()}, colours, layers,
                "gradient's norm, under one rate"),
        partial(_depth, {arm_named(arm): moved[arm] for arm in moved}, {arm_named(a): colour_of(a) for a in moved},
                layers, "|dw|/|w|, change in a step"),
    ]  # fmt: skip
    if ratios:
        panels.append(
            partial(_times, {arm_named(arm): ratios[arm] for arm in ratios},
                    {arm_named(a): colour_of(a) for a in ratios}, layers, "|dw|/|w|, times that of one rate")
        )  # fmt: skip
    halves = [near_input_and_output(by_layer(run, "norms", "first")) for run in arms["uniform"].values()]
    shallow, deep = (median([pair[k] for pair in halves]) for k in (0, 1))  # as the claim about gradients has it
    caption = (
        f"{words_of(collected['recipe']).title}, {method_named(method)}; layers from input (left) to output "
        f"(right). At the start the gradient's norm is {shallow:.2g} in the half near the input, {deep:.2g} in the "
        f"half near the output. {_ratio_words(arms)}Lines are medians over the seeds, bands their range; along the "
        f"way: the median over the recorded steps."
    )
    numbers = {"layers": layers, "norms": norms, "relative_updates": moved, "ratios": ratios}
    return Picture(f"{collected['recipe']}-{collected['scale']}-depth-{method}", caption, tuple(panels), numbers)


def _recorded(collected: dict[str, Any], method: str) -> Arms:
    count = len(collected["layers"])
    found = {
        arm: {seed: run for seed, run in runs.items() if len(by_layer(run, "relative_updates")) == count}
        for arm, runs in arms_of(collected, method).items()
        if arm in _SHOWN
    }
    return {arm: runs for arm, runs in found.items() if runs and count}


def _ratio(arms: Arms, arm: str) -> dict[str, Any]:
    rows = []
    with np.errstate(divide="ignore", invalid="ignore"):
        for seed in shared_seeds(arms, [arm, "uniform"]):
            own, base = (by_layer(arms[name][seed], "relative_updates") for name in (arm, "uniform"))
            rows.append(own / base)
    return band(rows)


def _ratio_words(arms: Arms) -> str:
    words = []
    for arm in ("ln", "constant"):
        seeds = shared_seeds(arms, [arm, "uniform"])
        if seeds:
            with np.errstate(divide="ignore", invalid="ignore"):
                ratios = np.array([
                    by_layer(arms[arm][s], "relative_updates") / by_layer(arms["uniform"][s], "relative_updates")
                    for s in seeds
                ])  # fmt: skip
            words.append(
                f"{_far(ratios, 0)} near the input and {_far(ratios, 1)} near the output under {arm_named(arm)}"
            )
    return f"Compared with one rate, |dw|/|w| of a step is {'; '.join(words)}. " if words else ""


def _far(ratios: Any, half: int) -> str:
    """The relative update in the half near the input (0) or near the output (1), by the ratios (seeds, layers)."""
    factor = median([near_input_and_output(row)[half] for row in ratios])
    if factor:
        return f"{factor:.3g} times as large"
    layers = ratios.shape[1] // 2
    own = ratios[:, :layers] if half == 0 else ratios[:, -layers:]
    return f"0 in {median((own == 0).sum(axis=1)):.0f} of {layers} layers"


class _Scale:
    """A log axis for given values: with a row for zeros over many decades, with plain ticks over few."""

    def __init__(self, values: Any) -> None:
        known = values[np.isfinite(values) & (values > 0)]
        self.few = bool(known.size) and not (values == 0).any() and known.max() < 100 * known.min()
        self.limits = (known.min() / 1.15, known.max() * 1.15) if self.few else None
        self.decades = LogScale(values)

    def place(self, values: Any) -> Any:
        """Where `values` are drawn."""
        return np.asarray(values, dtype=np.float64) if self.few else self.decades.place(values)

    def apply(self, ax: Axes) -> None:
        """Make the y axis of `ax` this scale."""
        if self.limits is None:
            self.decades.apply(ax)
            return
        ax.set_yscale("log")
        ax.set_ylim(*self.limits)
        plain_log_ticks(ax.yaxis)


def _depth(
    lines: dict[str, dict[str, Any]], colours: dict[str, Any], layers: Sequence[str], heading: str, ax: Axes
) -> Callable[[], None]:
    """A line over the layers for each of `lines`, on a log axis with a row for zeros."""
    tidy(ax)
    title(ax, heading)
    scale = _Scale(np.concatenate([line[key] for line in lines.values() for key in ("min", "max", "median")]))
    places = np.arange(len(layers))
    for name, line in lines.items():
        ax.fill_between(places, scale.place(line["min"]), scale.place(line["max"]), color=colours[name], alpha=0.15,
                        linewidth=0)  # fmt: skip
        ax.plot(places, scale.place(line["median"]), "-o", color=colours[name], linewidth=1.3, markersize=3)
    scale.apply(ax)
    _name(ax, layers)
    return partial(_label, ax, places, {name: scale.place(line["median"]) for name, line in lines.items()}, colours)


def _times(
    lines: dict[str, dict[str, Any]], colours: dict[str, Any], layers: Sequence[str], heading: str, ax: Axes
) -> Callable[[], None]:
    tidy(ax)
    title(ax, heading)
    places = np.arange(len(layers))
    ax.axhline(1, color=INK, linewidth=0.8, linestyle=(0, (4, 2)))
    values = np.concatenate([line[key] for line in lines.values() for key in ("min", "max")])
    values = values[np.isfinite(values) & (values > 0)]
    if values.size and max(values.max(), 1) > 4 * min(values.min(), 1):
        ax.set_yscale("log")
        if max(values.max(), 1) < 100 * min(values.min(), 1):
            plain_log_ticks(ax.yaxis)
        else:  # over many decades: the powers of ten alone
            ax.yaxis.set_minor_locator(NullLocator())
    for name, line in lines.items():
        ax.fill_between(places, line["min"], line["max"], color=colours[name], alpha=0.15, linewidth=0)
        ax.plot(places, line["median"], "-o", color=colours[name], linewidth=1.3, markersize=3)
    _name(ax, layers)
    return partial(_label, ax, places, {name: line["median"] for name, line in lines.items()}, colours)


def _name(ax: Axes, layers: Sequence[str]) -> None:
    name_layers(ax, layers)
    ax.set_xlabel("layer, from input to output", fontsize=SMALL, color=INK)
    ax.set_xlim(-0.3, len(layers) - 0.7)


def _label(ax: Axes, places: Any, lines: dict[str, Any], colours: dict[str, Any]) -> None:
    ends = {name: np.flatnonzero(np.isfinite(line)) for name, line in lines.items()}
    shown = [name for name in lines if ends[name].size]
    label_ends(
        ax, [places[ends[name][-1]] for name in shown], [float(lines[name][ends[name][-1]]) for name in shown], shown,
        [colours[name] for name in shown],
    )  # fmt: skip


# ---- over time


def over_time(collected: dict[str, Any], method: str) -> Picture | None:
    """Norms and factors of each layer over the iterations, of one run each; None if they were not kept."""
    flows, dead = {}, ""
    for arm, runs in arms_of(collected, method).items():
        run = next((run for run in runs.values() if "flow" in run), None)
        if run is not None and arm in ("uniform", "ln"):
            flows[arm] = (run["id"], run["flow"])
            if vanished(run):
                dead += (
                    f" In {run['id']} the gradient of a whole layer was 0, or too small for its dtype, in "
                    f"{vanished(run):.0%} of the layers and steps."
                )
    if not flows:
        return None
    layers = collected["layers"]
    norms = {arm: np.array(flow["norms"], dtype=np.float64) for arm, (_, flow) in flows.items()}
    scale = _Scale(np.concatenate([values.ravel() for values in norms.values()]))
    panels = [
        partial(_over_steps, flows[arm][1]["steps"], norms[arm], layers, f"gradient's norm: {arm_named(arm)}", scale)
        for arm in norms
    ]
    factors = None
    if "ln" in flows:
        factors = np.array(flows["ln"][1]["multipliers"], dtype=np.float64)
        panels.append(partial(_over_steps, flows["ln"][1]["steps"], factors, layers, "factor on the base rate", None))
    ids = " and ".join(f"{run_id}" for run_id, _ in flows.values())
    caption = (
        f"{words_of(collected['recipe']).title}, {method_named(method)}; dark at the input, light at the output. "
        f"{_spread_words(factors)}Of one seed each: {ids}.{dead}"
    )
    numbers = {"layers": layers, "steps": flows[next(iter(flows))][1]["steps"], "norms": norms, "factors": factors}
    return Picture(f"{collected['recipe']}-{collected['scale']}-time-{method}", caption, tuple(panels), numbers)


def _spread_words(factors: Any) -> str:
    """How far apart the layers' factors are, at most and at the end."""
    if factors is None or not np.isfinite(factors).any():
        return ""
    ratios = [row.max() / row.min() for row in factors if np.isfinite(row).all() and row.min() > 0]
    if not ratios:
        return ""
    first = factors[0]
    return (
        f"At the first step the rule multiplies the base rate by {first.min():.3g} to {first.max():.3g}; the largest "
        f"factor of a step is {np.median(ratios):.2f} times the smallest in the median. "
    )


def _over_steps(
    steps: Sequence[int], values: Any, layers: Sequence[str], heading: str, scale: _Scale | None, ax: Axes
) -> Callable[[], None]:
    tidy(ax)
    title(ax, heading)
    colours = depth_colours(len(layers))
    places = values if scale is None else scale.place(values)
    for column, colour in zip(places.T, colours, strict=True):
        ax.plot(steps, column, "-", color=colour, linewidth=1.2)
    if scale is not None:
        scale.apply(ax)
    ax.set_xlim(0, max(steps))
    ax.xaxis.set_major_locator(MaxNLocator(4))
    ax.xaxis.set_major_formatter("{x:,.0f}")
    ax.set_xlabel("iteration", fontsize=SMALL, color=INK)
    named = sorted({round(x) for x in np.linspace(0, len(layers) - 1, min(len(layers), _LABELLED))})
    named = [k for k in named if math.isfinite(float(places[-1, k]))]
    return lambda: label_ends(
        ax, steps[-1], [float(places[-1, k]) for k in named], [layers[k] for k in named], [colours[k] for k in named],
        SMALL - 1,
    )  # fmt: skip
