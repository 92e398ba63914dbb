"""depth_sweep: for which activation, initialiser and depth the gradient vanishes or explodes, as a heat map."""

from __future__ import annotations

from typing import Any

import numpy as np
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.colors import to_rgb

from minidl.observe.depth_recording import DepthRecording
from minidl.plot.style import (
    BROKEN,
    INK,
    LONGEST_LABEL,
    SMALL,
    ZERO,
    ClaimFigure,
    literal,
    new_figure,
    signed,
    tidy,
    title,
    with_claim,
)

_LEVEL = 0.3  # decades a layer at which the colours end at least, so that small slopes look small


def depth_sweep(recording: DepthRecording, ax: Axes | None = None, style: str = "paper") -> ClaimFigure:
    """Draw the slope of the back-propagated gradient: one row a kind of network, one column a depth.

    In each field stands the median over the seeds, in decades a layer: positive (purple) where the gradient falls from
    the output to the input and vanishes, negative (orange) where it grows and explodes, white where it is level. Grey
    fields have a gradient of exactly 0 in at least one layer, red ones one that is not finite (NaN or infinite).

    Args:
        recording: of `observe.depth_sweep`.
        ax: draw here instead of in a new figure.
        style: "paper", or "slides" for a projector.

    Returns:
        The figure, with `.caption` and `.numbers`: `kinds`, `depths`, `slope` with `median`, `min`, `max` (kinds x
        depths), `zero` (the largest share of layers whose gradient is 0).
    """
    with np.errstate(invalid="ignore"):
        middle = np.median(recording.slope, axis=2)
    slope = {"median": middle, "min": recording.slope.min(axis=2), "max": recording.slope.max(axis=2)}
    zero = recording.zero.max(axis=2)
    kinds, depths = recording.kinds, recording.depths
    if ax is None:
        longest = max(len(literal(kind, LONGEST_LABEL)) for kind in kinds)
        width, height = 0.6 + 0.075 * longest + max(2.8, 0.62 * len(depths)), 0.85 + 0.26 * len(kinds)
        ax = new_figure(max(3.0, min(7.0, width)), min(9.0, height), style).subplots()
    known = middle[np.isfinite(middle)]
    most = max(_LEVEL, float(np.abs(known).max())) if known.size else _LEVEL
    for row, column in np.ndindex(middle.shape):
        face, words = _field(float(middle[row, column]), float(zero[row, column]), most)
        ax.fill_between([column - 0.5, column + 0.5], row - 0.5, row + 0.5, color=face, linewidth=0)
        dark = np.dot(to_rgb(face), [0.2126, 0.7152, 0.0722]) < 0.45
        ax.text(column, row, words, ha="center", va="center", fontsize=SMALL, color="white" if dark else INK)
    ax.set_xlim(-0.5, len(depths) - 0.5)
    ax.set_ylim(len(kinds) - 0.5, -0.5)
    tidy(ax, grid=None)
    for side in ("left", "bottom"):
        ax.spines[side].set_visible(False)
    ax.tick_params(length=0)
    ax.set_xticks(range(len(depths)), [str(depth) for depth in depths])
    ax.set_yticks(range(len(kinds)), [literal(kind, LONGEST_LABEL) for kind in kinds])
    ax.set_xlabel("hidden layers", fontsize=SMALL, color=INK)
    title(ax, "dL/dh falls, decades a layer")
    numbers = {"figure": "depth_sweep", "kinds": kinds, "depths": depths, "slope": slope, "zero": zero}
    return with_claim(ax.figure, _claim(recording, middle, zero), numbers)


def _field(slope: float, zero: float, most: float) -> tuple[Any, str]:
    """Colour and words of one field."""
    if np.isinf(slope):
        return BROKEN, "inf"
    if zero > 0 or np.isnan(slope):
        return ZERO, "0" if np.isnan(slope) else f"{signed(slope)}, 0"
    return colormaps["PuOr"](0.5 + 0.42 * slope / most), signed(slope)


def _claim(recording: DepthRecording, middle: Any, zero: Any) -> str:
    """The kind whose gradient falls most and the one whose gradient is most level, at the largest depth."""
    deepest = int(np.argmax(recording.depths))
    depth, column = int(recording.depths[deepest]), middle[:, deepest]
    known = [a for a in range(len(column)) if np.isfinite(column[a])]
    text = ""
    if known:
        worst, best = max(known, key=lambda a: column[a]), min(known, key=lambda a: abs(column[a]))
        text = f"At {depth} hidden layers the gradient of {recording.kinds[worst]} "
        text += f"{'falls' if column[worst] > 0 else 'grows'} most, {abs(column[worst]):.2f} decades a layer"
        if best != worst:
            text += f", and that of {recording.kinds[best]} is most level ({signed(column[best])})"
        text += "."
    for words, mask in (
        ("exactly 0 in a layer of", zero.max(axis=1) > 0),
        ("not finite in", np.isinf(middle).any(axis=1)),
    ):
        if mask.any():
            text += f" It is {words} {', '.join(recording.kinds[a] for a in np.flatnonzero(mask))}."
    return text.strip()
