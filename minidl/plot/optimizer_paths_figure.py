"""optimizer_paths: the ways of several optimizers over a function of two variables, and how fast each gets down."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes

from minidl.observe.paths_recording import PathsRecording
from minidl.plot.style import (
    ARMS,
    GRID,
    INK,
    SMALL,
    ClaimFigure,
    LogScale,
    given_axes,
    label_ends,
    mark_not_finite,
    new_figure,
    tidy,
    title,
    with_claim,
)

_FAR = 1e3  # a method so many times above the highest point of the map has left the picture


def optimizer_paths(recording: PathsRecording, axes: Sequence[Axes] | None = None, style: str = "paper") -> ClaimFigure:
    """Draw the ways on a map of the function, a dot a step, and beside it how high each stands above the lowest point.

    The lines of the map are equally far apart in the logarithm of the height above the lowest point of map and ways.

    Args:
        recording: of `observe.optimizer_paths`.
        axes: two: for the map and for the heights.
        style: "paper", or "slides" for a projector.

    A way ends where it leaves the map; a cross at the upper edge of the heights marks a loss that is not finite.

    Returns:
        The figure, with `.caption` and `.numbers`: `lowest`, and for each name `path`, `excess` (the height above the
        lowest point), `outside` (whether it left the map).
    """
    lowest = min(float(np.nanmin(recording.height)), float(np.nanmin(recording.loss)))
    if 0 <= lowest < 1e-3 * float(np.nanmax(recording.height)):
        lowest = 0.0  # which the grid has missed
    if axes is None:
        figure = new_figure(7.0, 2.75, style)
        axes = list(figure.subplots(1, 2, gridspec_kw={"width_ratios": [1.5, 1.0]}))
    on_map, heights = given_axes(axes, 2)
    _map(on_map, recording, lowest)
    excess = {name: recording.loss[k] - lowest for k, name in enumerate(recording.names)}
    beyond = _FAR * (float(np.nanmax(recording.height)) - lowest)
    heights_drawn = {name: np.where(e <= beyond, e, np.nan) for name, e in excess.items()}  # the rest is off the axis
    scale = LogScale(np.concatenate(list(heights_drawn.values())))
    outside = {}
    steps = np.arange(recording.loss.shape[1])
    for k, name in reversed(list(enumerate(recording.names))):
        colour = ARMS[k % len(ARMS)]
        path = recording.path[k]
        inside = _inside(path, recording)
        outside[name] = not bool(inside.all())
        way = path[: len(inside) if inside.all() else max(int(np.argmin(inside)), 1)]
        on_map.plot(way[:, 0], way[:, 1], "-", color=colour, linewidth=1.4, zorder=4)
        on_map.plot(way[:, 0], way[:, 1], "o", color=colour, markersize=2.2, zorder=5)
        heights.plot(steps, scale.place(heights_drawn[name]), color=colour, linewidth=1.6)
        mark_not_finite(heights, steps[np.flatnonzero(~np.isfinite(recording.loss[k]))[:1]], colour)
    on_map.plot(*recording.path[0, 0], "o", color="white", mec=INK, ms=6, zorder=6)
    scale.apply(heights)
    tidy(heights)
    title(heights, "height above the lowest point")
    heights.set_xlabel("step", fontsize=SMALL, color=INK)
    heights.set_xlim(0, steps[-1])
    last = [int(max(np.flatnonzero(np.isfinite(e)), default=0)) for e in heights_drawn.values()]
    ends = [float(scale.place(e[at])) for e, at in zip(heights_drawn.values(), last, strict=True)]
    label_ends(heights, steps[last], ends, recording.names, [ARMS[k % len(ARMS)] for k in range(len(ends))])
    ways: dict[str, Any] = {
        name: {"path": recording.path[k], "excess": excess[name], "outside": outside[name]}
        for k, name in enumerate(recording.names)
    }
    numbers = {"figure": "optimizer_paths", "lowest": lowest, "ways": ways}
    return with_claim(on_map.figure, _claim(ways, recording.loss.shape[1] - 1), numbers)


def _inside(path: Any, recording: PathsRecording) -> Any:
    with np.errstate(invalid="ignore"):
        x, y = path.T
        return (
            (x >= recording.x[0]) & (x <= recording.x[-1]) & (y >= recording.y[0]) & (y <= recording.y[-1])
        )  # false for what is not finite


def _map(ax: Axes, recording: PathsRecording, lowest: float) -> None:
    above = np.maximum(recording.height - lowest, 0)
    known = above[np.isfinite(above) & (above > 0)]
    if known.size:
        high = float(known.max())
        levels = np.geomspace(max(float(known.min()), 1e-4 * high), high, 12)
        ax.contour(recording.x, recording.y, above, levels=levels, colors="#9a9a9a", linewidths=0.7, zorder=1)
    tidy(ax, grid=None)
    ax.set_facecolor("white")
    for side in ("left", "bottom"):
        ax.spines[side].set_color(GRID)
    ax.set_xlim(recording.x[0], recording.x[-1])
    ax.set_ylim(recording.y[0], recording.y[-1])
    ax.set_xlabel("x", fontsize=SMALL, color=INK)
    ax.set_ylabel("y", fontsize=SMALL, color=INK)
    title(ax, "a dot a step, from the ring")


def _claim(ways: dict[str, Any], steps: int) -> str:
    ends = {name: float(way["excess"][-1]) for name, way in ways.items() if np.isfinite(way["excess"][-1])}
    gone = [name for name, way in ways.items() if not np.isfinite(way["excess"]).all()]
    text = ""
    if ends:
        best, worst = min(ends, key=ends.get), max(ends, key=ends.get)  # type: ignore[arg-type]
        text = f"After {steps} steps {best} stands {ends[best]:.2g} above the lowest point"
        text += f", {worst} {ends[worst]:.2g}." if worst != best else "."
    return (text + (f" {', '.join(gone)} diverged." if gone else "")).strip()
