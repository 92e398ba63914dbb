"""attribution: which op made the gradient small, as a waterfall over the ops of one backward pass."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator

from minidl.observe.attribution import Factor, by_kind, factors
from minidl.observe.graph_recording import Graph, GraphRecording
from minidl.plot.networks import as_networks
from minidl.plot.style import (
    ARMS,
    INK,
    QUIET,
    SMALL,
    ClaimFigure,
    given_axes,
    literal,
    mark_not_finite,
    new_figure,
    sentences,
    settle,
    signed,
    tidy,
    title,
    with_claim,
)

_NAMED = 6  # kinds of op that are written out beside a panel


def attribution(
    recordings: GraphRecording | Graph | Mapping[str, GraphRecording | Graph],
    axes: Axes | Sequence[Axes] | None = None,
    style: str = "paper",
) -> ClaimFigure:
    """Draw what each op of a backward pass made of the gradient's norm, in decades, added up from the loss on.

        graph = md.observe.Graph(loss)
        loss.backward()
        md.plot.attribution({"sigmoid": graph})

    Input to output from left to right, so the gradient runs from right to left. Each bar goes from log10 of the norm
    that reaches an op to log10 of the norm that leaves it; the bars add up exactly to the whole fall, and are added up
    for each kind of op at the right. Ops of a residual block, which lie side by side, are one bar ("5 ops").

    Args:
        recordings: graphs that a backward has been through, or their recordings: {label: graph}, one a panel.
        axes: one for each panel.
        style: "paper", or "slides" for a projector.

    A norm of exactly 0 is a ring at the lower edge, one that is not finite (NaN or infinite) a cross at the upper.

    Returns:
        The figure, with `.caption` and `.numbers`: for each label `ops`, `layers`, `decades` (input to output), `norm`
        (of the gradient that leaves), `total`, `by_kind`.

    Raises:
        ValueError: a graph has no gradients yet.
    """
    if isinstance(recordings, Mapping):
        recordings = {k: g.recording if isinstance(g, Graph) else g for k, g in recordings.items()}
    elif isinstance(recordings, Graph):
        recordings = recordings.recording
    found = {label: factors(recording)[::-1] for label, recording in as_networks(recordings, (GraphRecording,)).items()}
    if axes is None:
        longest = max(len(ways) for ways in found.values())
        figure = new_figure(min(7.0, 4.2 + 0.08 * longest), 0.35 + 1.75 * len(found), style)
        axes = list(figure.subplots(len(found), 1, squeeze=False)[:, 0])
    axes = given_axes(axes, len(found))
    kinds = list(dict.fromkeys(kind for ways in found.values() for kind in by_kind(ways)))
    colours = {kind: ARMS[i % len(ARMS)] for i, kind in enumerate(kinds)}
    levels = [_levels(ways) for ways in found.values()]
    known = np.concatenate([line[np.isfinite(line)] for line in levels] + [np.zeros(1)])
    low, high = float(known.min()), float(known.max())
    room = 0.06 * max(high - low, 1.0)
    for ax, (label, ways), line in zip(axes, found.items(), levels, strict=True):
        ax.set_ylim(low - room, high + room)
        _panel(ax, label, ways, line, colours)
    settle(axes[0].figure)  # how wide the panels are
    for ax, ways in zip(axes, found.values(), strict=True):
        _name_layers(ax, ways)
    axes[-1].set_xlabel("layer, input to output", fontsize=SMALL, color=INK)
    numbers = {
        "figure": "attribution",
        "panels": {
            label: {
                "ops": [f.name for f in ways], "layers": [f.layer for f in ways], "norm": [f.norm for f in ways],
                "decades": [f.decades for f in ways], "total": float(np.nansum([f.decades for f in ways])),
                "by_kind": by_kind(ways),
            }
            for label, ways in found.items()
        },
    }  # fmt: skip
    return with_claim(axes[0].figure, sentences({k: _claim(ways) for k, ways in found.items()}), numbers)


def _levels(ways: list[Factor]) -> Any:
    """log10 of the norm right of each op and, first, left of all: (ops + 1,), input to output; the loss's is 1."""
    with np.errstate(divide="ignore"):
        left = np.log10([f.norm for f in ways])
    return np.append(left, 0.0)


def _panel(ax: Axes, label: str, ways: list[Factor], levels: Any, colours: Mapping[str, str]) -> None:
    tidy(ax)
    title(ax, label)
    for i, factor in enumerate(ways):
        after, before = levels[i], levels[i + 1]
        if np.isfinite(factor.decades):
            colour = colours[factor.name]  # its edge keeps a bar visible that is narrower than a pixel
            ax.bar(i, after - before, 0.8, before, color=colour, edgecolor=colour, linewidth=0.6, zorder=2)
            ax.plot([i - 1.4, i + 0.4], [after, after], color=QUIET, linewidth=0.6, zorder=1)
    zero = [i for i, f in enumerate(ways) if f.norm == 0]
    if zero:
        ax.plot(zero, np.zeros(len(zero)), "o", mfc="white", mec=INK, ms=5, clip_on=False, zorder=9,
                transform=ax.get_xaxis_transform())  # fmt: skip
    mark_not_finite(ax, [i for i, f in enumerate(ways) if np.isinf(f.norm)])
    ax.set_xlim(-0.8, len(ways) - 0.2)
    ax.set_ylabel("log10 |gradient|", fontsize=SMALL, color=INK)
    ax.yaxis.set_major_locator(MaxNLocator(5, integer=True))
    for k, (kind, decades) in enumerate(list(by_kind(ways).items())[:_NAMED]):
        ax.annotate(
            f"{kind} {signed(decades)}", (1, 1), xycoords="axes fraction", xytext=(6, -4 - 1.5 * SMALL * k),
            textcoords="offset points", va="top", fontsize=SMALL, color=colours[kind], fontweight="bold",
        )  # fmt: skip


def _name_layers(ax: Axes, ways: list[Factor]) -> None:
    """Name the layers in the middle of their ops: all of them, or every second, third, ... if they would touch."""
    middles: dict[str, list[int]] = {}
    for i, factor in enumerate(ways):
        middles.setdefault(factor.layer, []).append(i)
    names, places = [literal(name, 24) for name in middles], [float(np.mean(at)) for at in middles.values()]
    width = ax.get_position().width * ax.figure.get_size_inches()[0] * 72  # type: ignore[union-attr]
    fits = max(1, int(width / (0.62 * SMALL * max(map(len, names)) + 6)))
    stride = -(-len(names) // fits)
    ax.set_xticks(places[::stride], names[::stride], fontsize=SMALL)


def _claim(ways: list[Factor]) -> str:
    decades = np.array([f.decades for f in ways])
    kinds = by_kind(ways)
    where = f"the output of {ways[0].before}" if ways[0].before else "the first op"
    broken = [f.name + (f" of {f.layer}" if f.layer else "") for f in ways if not 0 < f.norm < np.inf]
    if broken:
        what = "exactly 0" if ways[[not 0 < f.norm < np.inf for f in ways].index(True)].norm == 0 else "not finite"
        return f"the gradient is {what} from {broken[-1]} on towards the input"
    total = float(decades.sum())
    (worst, loss), *rest = kinds.items()
    gains = [f"{kind} gives {part:.2f} back" for kind, part in rest if part >= 0.1]
    back = f"; {' and '.join(gains)}" if gains else ""
    if total >= 0:
        return f"from the loss back to {where} the gradient does not fall ({signed(total)} decades)"
    share = f"{-loss:.2f} of them at {worst}" if -loss <= -total else f"{worst} takes {-loss:.2f}"
    return f"the gradient falls {-total:.2f} decades from the loss back to {where}, {share}{back}"
