"""rate_curve: which multiplier a layer rate makes of a gradient, and where the layers of a network are on its curve."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.patheffects import withStroke

from minidl.observe import FlowRecording
from minidl.optim import LARS, LayerRate, LayerSpecific, Uniform
from minidl.optim.layer_view import LayerView
from minidl.plot.layer_lines import lines_of
from minidl.plot.networks import as_networks
from minidl.plot.style import (
    ARMS,
    INK,
    SMALL,
    ClaimFigure,
    LogScale,
    depth_colours,
    label_ends,
    new_figure,
    settle,
    tidy,
    title,
    with_claim,
)
from minidl.plot.words import factor_words

_POINTS = 121  # of a curve


def rate_curve(
    recordings: FlowRecording | Mapping[str, FlowRecording],
    rules: Mapping[str, LayerRate] | None = None,
    axes: Any = None,
    style: str = "paper",
) -> ClaimFigure:
    """Draw the multiplier of each rule against the norm of a layer's gradient, both on log axes, and the layers on it.

    Curves are computed by calling the rules. A dot is a layer at the last recorded step, at the norm of its gradient
    and the multiplier it got; its trail leads there from the first step.

    Args:
        recordings: one, or {label: recording} to compare: one panel each.
        rules: {name: layer rate}; by default uniform, layer-specific and LARS with eta = 0.001 (for weights of the
            median norm of the layers; its curve is another for each layer).
        axes: axes to draw in, one a recording.
        style: "paper", or "slides" for a projector.

    A layer with a gradient of exactly 0, or one that is not finite, has no place on a log axis; the caption counts
    them.

    Returns:
        The figure, with `.caption` and `.numbers`: `curves` ({rule: {norm, multiplier}}), and for each label `layers`,
        `norm` and `multiplier` (steps x layers), `decades` (of the norms, at the last step) and `factor` (for each
        rule: the largest over the smallest multiplier at these norms).

    Raises:
        ValueError: nothing was recorded, or not as many axes as recordings.
    """
    networks = as_networks(recordings, (FlowRecording,))
    trails = {label: _trail(recording) for label, recording in networks.items()}
    rules = {"uniform": Uniform(), "layer-specific": LayerSpecific(), "LARS": LARS()} if rules is None else dict(rules)
    ends = np.concatenate([trail["norm"].ravel() for trail in trails.values()])
    across = LogScale(ends[ends > 0])  # norms; the zeros have no place
    norms = 10.0 ** np.linspace(max(across.low, -323), across.high, _POINTS)
    weights = np.concatenate([recording.weight_norm.ravel() for recording in networks.values()])
    weight = float(np.median(weights[_known(weights)])) if _known(weights).any() else 1.0
    curves = {name: _curve(rule, norms, weight) for name, rule in rules.items()}
    up = LogScale(np.concatenate([*curves.values(), *(trail["multiplier"].ravel() for trail in trails.values())]))
    if axes is None:
        figure = new_figure(1.7 + 2.6 * len(networks), 3.3, style)
        axes = figure.subplots(1, len(networks), sharex=True, sharey=True, squeeze=False)
    panels = [axes] if isinstance(axes, Axes) else list(np.ravel(np.asarray(axes, dtype=object)))
    if len(panels) != len(networks):
        raise ValueError(f"expected {len(networks)} axes, one a recording; got {len(panels)}")
    for k, (ax, (label, trail)) in enumerate(zip(panels, trails.items(), strict=True)):
        tidy(ax)
        title(ax, label)
        for (_, values), colour in zip(curves.items(), ARMS * len(curves), strict=False):
            ax.plot(norms, up.place(values), "-", color=colour, linewidth=1.4, zorder=2)
        _dots(ax, trail, up)
        up.apply(ax)
        ax.set_xscale("log")
        ax.set_xlim(max(norms[0] / 2, 5e-324), norms[-1])
        ax.set_xlabel("norm of the layer's gradient", fontsize=SMALL, color=INK)
        ax.set_ylabel("" if k else "multiplier of the rate", fontsize=SMALL, color=INK)
        if k:
            ax.tick_params(labelleft=False)
    colours = [ARMS[i % len(ARMS)] for i in range(len(curves))]
    label_ends(panels[-1], norms[-1], [float(up.place(v[-1])) for v in curves.values()], list(curves), colours)
    for ax, trail in zip(panels, trails.values(), strict=True):
        _name(ax, trail, up)
    for trail in trails.values():
        trail["factor"] = {name: _factor(_curve(rule, _at(trail), weight)) for name, rule in rules.items()}
        trail["decades"] = float(np.ptp(np.log10(_at(trail)))) if _at(trail).size else np.nan
    numbers = {
        "figure": "rate_curve",
        "weight_norm": weight,
        "curves": {name: {"norm": norms, "multiplier": values} for name, values in curves.items()},
        "networks": trails,
    }
    return with_claim(panels[0].figure, _claim(trails), numbers)


def _known(values: Any) -> Any:
    return np.isfinite(values) & (values > 0)


def _trail(recording: FlowRecording) -> dict[str, Any]:
    """Where the layers of one network were, over the steps."""
    recording.row(-1)  # refuses an empty recording
    norm = lines_of(recording, recording.layer_gradient_norm)
    multiplier = lines_of(recording, np.where(np.isnan(recording.multiplier), 1.0, recording.multiplier))
    return {"layers": norm.layers, "steps": norm.steps, "norm": norm.values, "multiplier": multiplier.values}


def _at(trail: dict[str, Any]) -> Any:
    """The norms at the last step that are finite and other than 0."""
    last = trail["norm"][-1]
    return last[_known(last)]


def _curve(rule: LayerRate, norms: Any, weight: float) -> Any:
    """The multiplier that `rule` gives a layer with each of these norms of the gradient, and one of the weights."""
    found = []
    for norm in norms:
        gradient, weights = np.array([float(norm)]), np.array([weight])
        with np.errstate(all="ignore"):
            made = rule(LayerView("layer", [weights], [gradient], [gradient], 0))
        found.append(float(made[0] if isinstance(made, list) else made))
    return np.array(found)


def _factor(values: Any) -> float:
    known = values[_known(values)]
    with np.errstate(over="ignore"):
        return float(known.max() / known.min()) if known.size else np.nan


def _dots(ax: Axes, trail: dict[str, Any], up: LogScale) -> None:
    for i, colour in enumerate(depth_colours(len(trail["layers"]))):
        norm, multiplier = trail["norm"][:, i], trail["multiplier"][:, i]
        x, y = np.where(_known(norm), norm, np.nan), up.place(multiplier)
        ax.plot(x, y, "-", color=colour, linewidth=0.7, alpha=0.6, zorder=3)
        ax.plot(x[-1:], y[-1:], "o", color=colour, markersize=4.5, mec="white", mew=0.6, zorder=5)


def _name(ax: Axes, trail: dict[str, Any], up: LogScale) -> None:
    """The name of each layer under its dot, upright; of many layers, of some that do not touch."""
    figure: Any = ax.figure
    settle(figure)
    width = ax.bbox.width * 72 / figure.dpi
    low, high = np.log10(ax.get_xlim())
    colours, taken = depth_colours(len(trail["layers"])), list[float]()
    for i, name in enumerate(trail["layers"]):
        norm, height = trail["norm"][-1, i], float(up.place(trail["multiplier"][-1, i]))
        if not _known(norm) or not np.isfinite(height):
            continue
        place = (np.log10(norm) - low) / (high - low) * width
        if any(abs(place - other) < 1.1 * SMALL for other in taken):
            continue
        taken.append(place)
        ax.annotate(
            name, (norm, height), xytext=(0, 6), textcoords="offset points", rotation=90, ha="center", va="bottom",
            fontsize=SMALL - 1, color=colours[i], zorder=6,
            path_effects=[withStroke(linewidth=2, foreground="white")],  # over the curves
        )  # fmt: skip


def _claim(trails: dict[str, dict[str, Any]]) -> str:
    parts = []
    for label, trail in trails.items():
        step = int(trail["steps"][-1])
        if np.isnan(trail["decades"]):
            text = f"at step {step} no layer has a finite gradient other than 0"
        else:
            rules = ", ".join(f"{factor_words(factor)} ({name})" for name, factor in trail["factor"].items())
            text = (
                f"at step {step} the gradients of the layers span {trail['decades']:.1f} decades, of which the rules "
                f"make a factor between rates of {rules}"
            )
        last = trail["norm"][-1]
        for count, words in ((int((last == 0).sum()), "exactly 0"), (int(np.isinf(last).sum()), "not finite")):
            if count:
                text += f"; in {count} of {len(last)} layers the gradient is {words}"
        parts.append(f"{label}: {text}." if label else f"{text[:1].upper()}{text[1:]}.")
    return " ".join(parts)
