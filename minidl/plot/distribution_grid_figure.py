"""distribution_grid: how what runs through each layer is distributed, over many decades of its size."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import FixedLocator

from minidl.observe import FlowRecording
from minidl.observe.bins import QUANTITIES, SIDE, edges
from minidl.observe.verdict import layer_words
from minidl.plot.networks import as_networks
from minidl.plot.style import (
    BROKEN,
    GRID,
    INK,
    QUIET,
    SMALL,
    ClaimFigure,
    depth_colours,
    literal,
    name_layers,
    new_figure,
    power,
    tidy,
    title,
    with_claim,
)
from minidl.plot.words import part_words

_HEADINGS = ("pre-activation z", "activation h", "dL/dh", "dL/dW")
_SHARES = ("saturated", "dead", "h = 0", "dL/dh = 0")
_WIDEST = 16.0  # decades that are shown
_TAIL = 0.002  # of the numbers may be smaller than what is shown


def distribution_grid(
    recordings: FlowRecording | Mapping[str, FlowRecording], snapshot: int = -1, style: str = "paper"
) -> ClaimFigure:
    """Draw the distributions of pre-activations, activations, dL/dh and dL/dW, a ridge a layer, a row of panels a
    network.

    The x axis is the size of the numbers, each decade as wide as the next: negative ones to the left, the largest
    outermost, positive ones to the right. A ridge's height is how many numbers there are in a tenth of a decade; each
    is scaled to its own highest point. Numbers that are exactly 0 have no place there: on the right stands which part
    of a layer's h and of its dL/dh they are, and which part of h is saturated (a sigmoid or tanh within 1.5% of the
    range of its limits), and which part of the units is dead (0 or saturated for every sample of the batch).

    Args:
        recordings: one of `GradientFlow(model, optimizer, distributions=True)`, or {label: recording} to compare.
        snapshot: which of its snapshots (an index, negative from the end).
        style: "paper", or "slides" for a projector.

    Returns:
        The figure, with `.caption` and `.numbers`: for each label `step`, `layers`, for each quantity `log10_median`
        (of the size of the numbers other than 0, one a layer), and `saturated`, `dead`, `zero_activation`,
        `zero_gradient` (parts, one a layer), `not_finite` (true for a layer in which something was not; a red cross
        stands in place of a ridge of which nothing was finite).

    Raises:
        ValueError: a recording has no distributions, or no such snapshot.
    """
    networks = as_networks(recordings, (FlowRecording,))
    rows = {label: _row(label, recording, snapshot) for label, recording in networks.items()}
    found = {label: _measure(recording, rows[label]) for label, recording in networks.items()}
    limits = [_limits([one["ridges"][k] for one in found.values()]) for k in range(len(QUANTITIES))]
    tall = 1.5 if style == "slides" and len(found) == 1 else 1.0  # one network alone fills a slide
    heights = [tall * (0.75 + max(1.1, min(4.2, 0.17 * len(one["layers"])))) for one in found.values()]
    figure = new_figure(7.0 if style == "paper" else 8.6, 0.35 + sum(heights), style)
    grid = figure.subplots(
        len(found), 5, squeeze=False, gridspec_kw={"width_ratios": [1, 1, 1, 1, 1.05], "height_ratios": heights}
    )
    for row, (label, one) in enumerate(found.items()):
        axes = grid[row]
        for k, ax in enumerate(axes[:-1]):
            _ridges(ax, one["ridges"][k], limits[k], len(one["layers"]))
            crossed = np.flatnonzero(one["lost"][k])
            ax.plot(np.zeros(len(crossed)), crossed + 0.3, "x", color=BROKEN, markersize=5, mew=1.4, zorder=9)
            title(ax, _HEADINGS[k] if row == 0 else "")
            ax.tick_params(labelleft=k == 0)
        name_layers(axes[0], one["layers"], "y")
        axes[0].set_ylabel(literal(label) if label else "layer, input at the bottom", fontsize=SMALL, color=INK)
        _shares(axes[-1], one["shares"], row == 0)
    numbers = {
        label: {key: value for key, value in one.items() if key not in ("ridges", "lost")}
        for label, one in found.items()
    }
    for one in numbers.values():
        one |= zip(("saturated", "dead", "zero_activation", "zero_gradient"), one.pop("shares").T, strict=True)
    together = {"figure": "distribution_grid", "networks": numbers}
    return with_claim(figure, _claim(networks, numbers), together)


def _row(label: str, recording: FlowRecording, snapshot: int) -> int:
    count = len(recording.snapshots)
    if not count:
        raise ValueError(
            f"the recording {label!r} holds no distributions: record them with "
            f"GradientFlow(model, optimizer, distributions=True)"
        )
    if not -count <= snapshot < count:
        raise ValueError(f"the recording {label!r} has {count} snapshots; got snapshot={snapshot}")
    return snapshot % count


def _measure(recording: FlowRecording, row: int) -> dict[str, Any]:
    """The ridges of one network: for each quantity and layer (negative counts, positive counts, edges), or None."""
    ridges: list[list[Any]] = []
    medians = {}
    for k, quantity in enumerate(QUANTITIES):
        ridges.append([])
        for layer in range(len(recording.layers)):
            counts, top = recording.bins[row, k, layer].astype(np.float64), recording.tops[row, k, layer]
            ridges[k].append(None if np.isnan(top) else (counts[:SIDE][::-1], counts[SIDE:], edges(top)))
        medians[quantity] = np.array([_median(ridge) for ridge in ridges[k]])
    zeros = recording.zeros[row]
    own = np.isnan(zeros[1])  # of a layer without an activation h is its output
    zero_h = np.where(own, zeros[0], zeros[1])
    at = recording.steps == recording.snapshots[row]
    lost = np.array([[ridge is None for ridge in of_layers] for of_layers in ridges])
    lost &= recording.not_finite[at].any(axis=0)
    lost[1] &= ~own
    shares = np.stack([recording.saturated[row], recording.dead[row], zero_h, zeros[2]], axis=1)
    return {
        "step": int(recording.snapshots[row]),
        "layers": recording.layers,
        "ridges": ridges,
        "lost": lost,
        "not_finite": recording.not_finite[at].any(axis=0),
        "log10_median": medians,
        "shares": shares,
    }


def _median(ridge: Any) -> float:
    """log10 of the size in the middle."""
    if ridge is None:
        return np.nan
    negative, positive, places = ridge
    sums = np.cumsum(negative + positive)
    return float(places[int(np.searchsorted(sums, sums[-1] / 2))])


def _limits(networks: list[list[Any]]) -> tuple[float, float]:
    """The decades that are shown of one quantity, in all networks."""
    low, high = np.inf, -np.inf
    for negative, positive, places in (ridge for ridges in networks for ridge in ridges if ridge is not None):
        sums = np.cumsum(negative + positive)
        low = min(low, places[int(np.searchsorted(sums, _TAIL * sums[-1], side="right"))])
        high = max(high, places[1 + int(np.flatnonzero(negative + positive)[-1])])
    if not np.isfinite(low):
        return -2.0, 0.0
    high = float(np.ceil(high))
    return float(np.floor(max(low, high - _WIDEST))), high


def _coarser(ridge: Any) -> tuple[Any, Any, Any]:
    """Two bins in one: half as fine, and less jagged."""
    negative, positive, places = ridge
    return negative.reshape(-1, 2).sum(axis=1), positive.reshape(-1, 2).sum(axis=1), places[::2]


def _ridges(ax: Axes, ridges: list[Any], limits: tuple[float, float], layers: int) -> None:
    tidy(ax, grid=None)
    low, high = limits
    colours = depth_colours(layers)
    for layer, ridge in enumerate(ridges):
        ax.axhline(layer, color=GRID, linewidth=0.5, zorder=1)
        if ridge is None:
            continue
        negative, positive, places = _coarser(ridge)
        if places[1 + int(np.flatnonzero(negative + positive)[-1])] <= low:
            ax.text(0, layer + 0.05, "smaller", fontsize=SMALL - 2, ha="center", va="bottom", color=QUIET, zorder=99)
            continue
        widths = np.diff(places)
        highest = max((negative / widths).max(), (positive / widths).max())
        for counts, sign in ((negative, -1.0), (positive, 1.0)):
            heights = 0.92 * counts / widths / highest
            if not counts.any():
                continue
            x = sign * np.maximum(0, np.repeat(places, 2)[1:-1] - low)
            y = layer + np.repeat(heights, 2)
            shown = np.repeat(places[1:] > low, 2)
            ax.fill_between(
                x[shown], layer, y[shown], color=colours[layer], alpha=0.75, linewidth=0.4, zorder=3 + layers - layer
            )
    width = high - low
    stride = max(1, int(np.ceil(width / 3)))
    decades = np.arange(high, low, -stride)
    ticks = [*(-(decades - low)), *(decades - low)]
    ax.xaxis.set_major_locator(FixedLocator(ticks))
    ax.set_xticklabels([_signed_power(-1, d) for d in decades] + [_signed_power(1, d) for d in decades])
    for label in ax.get_xticklabels():
        label.set(fontsize=SMALL - 1.5, rotation=90)
    ax.axvline(0, color=QUIET, linewidth=0.6, linestyle=(0, (1, 2)), zorder=1)
    ax.set_xlim(-1.03 * width, 1.03 * width)
    ax.set_ylim(-0.3, layers + 0.1)
    ax.set_yticks([])


def _signed_power(sign: int, exponent: float) -> str:
    text = power(int(exponent))
    if sign > 0:
        return text
    return f"$-{text[1:]}" if text.startswith("$") else f"\N{MINUS SIGN}{text}"


def _shares(ax: Axes, shares: Any, headed: bool) -> None:
    """The four parts of each layer as percentages, beside its ridges."""
    ax.set_axis_off()
    layers = len(shares)
    ax.set_ylim(-0.3, layers + 0.1)
    ax.set_xlim(0, len(_SHARES))
    room = ax.get_position().height * ax.figure.get_size_inches()[1] * 72 / layers  # type: ignore[union-attr]
    stride = max(1, int(np.ceil(4.5 / room)))
    column_width = ax.get_position().width * ax.figure.get_size_inches()[0] * 72 / len(_SHARES)  # type: ignore[union-attr]
    size = max(4.5, min(SMALL - 1, 0.9 * room * stride, column_width / 3.3))
    for column, name in enumerate(_SHARES):
        if headed:
            ax.annotate(
                name, (column + 0.55, layers + 0.1), xytext=(0, 3), textcoords="offset points", rotation=60, ha="left",
                va="bottom", fontsize=SMALL - 1.5, color=INK, annotation_clip=False,
            )  # fmt: skip
        for layer in range(0, layers, stride):
            share = shares[layer, column]
            words = "\N{MIDDLE DOT}" if np.isnan(share) else "0" if share == 0 else _percent(share)
            colour = BROKEN if share >= 0.5 and column != 2 else INK if share > 0 else QUIET
            ax.text(column + 0.9, layer + 0.05, words, fontsize=size, ha="right", va="bottom", color=colour)


def _percent(share: float) -> str:
    return f"{100 * share:.0f}%" if share >= 0.005 else "<1%"


def _claim(networks: Mapping[str, FlowRecording], numbers: dict[str, dict[str, Any]]) -> str:
    """How the middle size of dL/dh changes between the comparable layers; and what is saturated or dead."""
    parts = []
    for label, one in numbers.items():
        alike = np.flatnonzero(networks[label].alike("output_gradient_rms"))
        middle = one["log10_median"]["output_gradient"]
        known = [i for i in alike if np.isfinite(middle[i])]
        text = f"at step {one['step']} "
        broken = np.flatnonzero(one["not_finite"])
        if broken.size:
            text += f"something is not finite (NaN or infinite) in {layer_words(one['layers'], broken)}"
        elif len(known) > 1:
            first, last = known[0], known[-1]
            text += (
                f"the middle size of dL/dh is 10^{middle[last]:.1f} in {one['layers'][last]} and "
                f"10^{middle[first]:.1f} in {one['layers'][first]}"
            )
        else:
            text += "dL/dh is finite and other than 0 in fewer than two layers that can be compared"
        for name, words in (("saturated", "saturated"), ("dead", "dead units"), ("zero_gradient", "dL/dh exactly 0")):
            share = one[name]
            if np.isfinite(share).any() and np.nanmax(share) >= 0.01:
                worst = int(np.nanargmax(share))
                text += f"; most {words}: {one['layers'][worst]}, {part_words(float(share[worst]))}"
        parts.append(f"{label}: {text}." if label else f"{text[:1].upper()}{text[1:]}.")
    return " ".join(parts)
