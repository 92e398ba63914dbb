"""One line a layer over the steps, dark at the input and light at the output, one panel a network."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patheffects import withStroke

from minidl.observe import FlowRecording
from minidl.observe.verdict import median_over_steps, name_run
from minidl.plot.networks import as_networks
from minidl.plot.style import (
    BROKEN,
    INK,
    SMALL,
    LogScale,
    binned,
    depth_colours,
    label_ends,
    mark_not_finite,
    new_figure,
    tidy,
    title,
)

_COLUMNS = 120  # more steps than this are drawn as medians of neighbouring ones
_NAMED = 12  # of more layers than this, some are named
_ACROSS = 3  # panels side by side


@dataclass(frozen=True)
class Lines:
    """What is drawn of one network.

    Attributes:
        layers: their names.
        steps: (C,) the steps, those in between as medians of their neighbours; the first and the last as they are.
        values: (C, layers), likewise; NaN where there is nothing, infinite where something was not finite.
    """

    layers: tuple[str, ...]
    steps: Any
    values: Any


def lines_of(recording: FlowRecording, values: Any) -> Lines:
    """`values` (T, L) of a recording, binned; the first and the last step are kept as they are."""
    recording.row(-1)  # refuses an empty recording
    steps = recording.steps.astype(np.float64)
    if len(steps) <= _COLUMNS:
        return Lines(recording.layers, steps, values)
    runs = [slice(1 + run.start, 1 + run.stop) for run in binned(steps[1:-1], _COLUMNS)]
    middle = np.array([_middle(values[run]) for run in runs])
    places = np.array([np.median(steps[run]) for run in runs])
    return Lines(
        recording.layers,
        np.concatenate([steps[:1], places, steps[-1:]]),
        np.concatenate([values[:1], middle, values[-1:]]),
    )


def _middle(values: Any) -> Any:
    """The median of each layer; infinite if one of its values is not finite."""
    return np.where(np.isinf(values).any(axis=0), np.inf, median_over_steps(values))


def draw_lines(
    recordings: FlowRecording | Mapping[str, FlowRecording],
    measure: Callable[[str, FlowRecording], Any],
    heading: str,
    axes: Any,
    style: str,
    marks: Mapping[float, str] | None = None,
) -> tuple[Figure, dict[str, Lines]]:
    """The figure and what is in it.

    Args:
        recordings: one, or {label: recording}.
        measure: from label and recording the values (T, L).
        heading: the words beside the y axis.
        axes: axes to draw in, one a network; None for a new figure.
        style: "paper" or "slides".
        marks: values at which a broken line runs, with its name.

    Raises:
        ValueError: nothing was recorded, or there are not as many axes as networks.
    """
    networks = as_networks(recordings, (FlowRecording,))
    lines = {label: lines_of(recording, measure(label, recording)) for label, recording in networks.items()}
    marks = {} if marks is None else dict(marks)
    scale = LogScale(np.concatenate([*(one.values.ravel() for one in lines.values()), list(marks)]))
    panels = _panels(axes, len(lines), style)
    for k, (ax, (label, one)) in enumerate(zip(panels, lines.items(), strict=True)):
        tidy(ax)
        _draw(ax, one, scale)
        scale.apply(ax)
        title(ax, label)
        for value, words in marks.items():
            ax.axhline(float(scale.place(value)), color=INK, linewidth=0.8, linestyle=(0, (4, 2)), zorder=1)
            ax.annotate(
                words, (0, float(scale.place(value))), xycoords=("axes fraction", "data"), xytext=(2, 2),
                textcoords="offset points", fontsize=SMALL - 1, color=INK, va="bottom", zorder=10,
                path_effects=[withStroke(linewidth=2, foreground="white")],
            )  # fmt: skip
        if k % _ACROSS == 0 or axes is not None:
            ax.set_ylabel(heading, fontsize=SMALL, color=INK)
        else:
            ax.tick_params(labelleft=False)
        ax.set_xlabel("step", fontsize=SMALL, color=INK)
    for ax, one in zip(panels, lines.values(), strict=True):
        _name(ax, one, scale)
    return panels[0].figure, lines  # type: ignore[return-value]


def _panels(axes: Any, count: int, style: str) -> list[Axes]:
    if axes is None:
        across, down = min(count, _ACROSS), -(-count // _ACROSS)
        figure = new_figure(1.4 + 2.3 * across if count > 1 else 4.6, 0.3 + 2.6 * down, style)
        panels = list(figure.subplots(down, across, squeeze=False, sharey=True).ravel())
        for empty in panels[count:]:
            empty.set_visible(False)
        return panels[:count]
    panels = [axes] if isinstance(axes, Axes) else list(np.ravel(np.asarray(axes, dtype=object)))
    if len(panels) != count:
        raise ValueError(f"expected {count} axes, one a network; got {len(panels)}")
    return panels


def _draw(ax: Axes, lines: Lines, scale: LogScale) -> None:
    colours = depth_colours(len(lines.layers))
    alone = len(lines.steps) == 1
    for values, colour in zip(lines.values.T, colours, strict=True):
        for part in (values != 0, values == 0):  # lines do not run down to the row of zeros
            places = np.where(part, scale.place(values), np.nan)
            ax.plot(lines.steps, places, "o-" if alone else "-", color=colour, linewidth=1.3, markersize=4, zorder=3)
        zero = (values == 0) & ~alone
        ax.plot(lines.steps[zero], scale.place(values[zero]), ".", color=colour, markersize=2, zorder=3)
        lost = np.flatnonzero(np.isinf(values))[:1]
        mark_not_finite(ax, lines.steps[lost], colour)
    if np.isinf(lines.values).any():
        ax.annotate(
            "x: not finite from there on", (1, 1), xycoords="axes fraction", xytext=(0, 4), textcoords="offset points",
            ha="right", va="bottom", fontsize=SMALL - 1, color=BROKEN,
        )  # fmt: skip
    first, last = lines.steps[0], lines.steps[-1]
    ax.set_xlim(first - 0.5, last + 0.5) if alone else ax.set_xlim(first, last)
    if last < 10:  # no ticks between steps
        ax.set_xticks(np.unique(np.round(np.linspace(first, last, min(5, int(last - first) + 1)))))


def _name(ax: Axes, lines: Lines, scale: LogScale) -> None:
    """The names of the layers at the ends of their lines; those that end together have one label."""
    ends: dict[tuple[float, float], list[int]] = {}
    for i, values in enumerate(lines.values.T):
        drawn = np.flatnonzero(np.isfinite(scale.place(values)))
        if drawn.size:
            ends.setdefault((float(lines.steps[drawn[-1]]), float(scale.place(values[drawn[-1]]))), []).append(i)
    if not ends:
        return
    room = int(ax.get_position().height * ax.figure.get_size_inches()[1] * 72 / (1.3 * SMALL))  # type: ignore[union-attr]
    places = list(ends)
    most = max(2, min(_NAMED, room))
    named = np.unique(np.linspace(0, len(places) - 1, min(len(places), most)).round().astype(int))
    colours = depth_colours(len(lines.layers))
    groups = [ends[places[k]] for k in named]
    label_ends(
        ax, [places[k][0] for k in named], [places[k][1] for k in named],
        [name_run(lines.layers, group) for group in groups],
        [colours[group[0]] if len(group) == 1 else INK for group in groups], SMALL - 1,
    )  # fmt: skip
