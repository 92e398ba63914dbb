"""landscape_line: the loss on the straight line between two settings of the weights."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from matplotlib.axes import Axes

from minidl.observe.line_recording import LineRecording
from minidl.plot.networks import as_networks
from minidl.plot.style import (
    ARMS,
    GRID,
    INK,
    QUIET,
    SMALL,
    ClaimFigure,
    drawable,
    label_ends,
    mark_not_finite,
    new_figure,
    plain_log_ticks,
    sentences,
    tidy,
    title,
    with_claim,
)

_BARRIER = 0.01  # of the difference of the ends, or of the larger end: below it there is none


def landscape_line(
    recordings: LineRecording | Mapping[str, LineRecording], ax: Axes | None = None, style: str = "paper"
) -> ClaimFigure:
    """Draw the loss against the place on the line: 0 is one end (as a rule the beginning), 1 the other.

    A line shows one cut through a space of thousands of dimensions: that nothing is in the way on it does not mean that
    training took it, and a barrier on it may have a way around.

    Args:
        recordings: {label: recording} of `observe.landscape_line`, one colour each, or one.
        ax: draw here instead of in a new figure.
        style: "paper", or "slides" for a projector.

    A loss that is not finite is a cross at the upper edge.

    Returns:
        The figure, with `.caption` and `.numbers`: for each label `a`, `loss`, `start`, `end`, `barrier` (how far the
        loss rises above the straight line between the ends) and `distance`.
    """
    lines = as_networks(recordings, (LineRecording,))
    numbers = {label: _numbers(recording) for label, recording in lines.items()}
    if ax is None:
        ax = new_figure(4.4, 2.8, style).subplots()
    colours = [ARMS[k % len(ARMS)] for k in range(len(lines))]
    for recording, n, colour in zip(lines.values(), numbers.values(), colours, strict=True):
        ax.plot(recording.a, drawable(recording.loss), color=colour, linewidth=1.7, zorder=3)
        ax.plot([0, 1], drawable([n["start"], n["end"]]), "o", color=colour, ms=4.5, zorder=4)
        mark_not_finite(ax, recording.a[np.isinf(recording.loss)], colour)
    values = drawable(np.concatenate([recording.loss for recording in lines.values()]))
    values = values[np.isfinite(values)]
    if values.size and values.min() > 0 and values.max() > 20 * values.min():
        ax.set_yscale("log")
        plain_log_ticks(ax.yaxis)
    tidy(ax)
    for place in (0, 1):
        ax.axvline(place, color=GRID, linewidth=1.0, zorder=1)
    title(ax, "loss on the line between two weights")
    ax.set_xlabel("place: 0 one end, 1 the other", fontsize=SMALL, color=INK)
    if len(lines) > 1:
        last = [int(np.flatnonzero(np.isfinite(r.loss))[-1]) for r in lines.values()]
        xs = [r.a[at] for r, at in zip(lines.values(), last, strict=True)]
        ys = [float(r.loss[at]) for r, at in zip(lines.values(), last, strict=True)]
        label_ends(ax, xs, ys, list(lines), colours)
    else:
        distance = next(iter(numbers.values()))["distance"]
        ax.annotate(
            f"the ends are {distance:.3g} apart", (0, 0), xycoords="axes fraction", xytext=(4, 4),
            textcoords="offset points", fontsize=SMALL - 1, color=QUIET,
        )  # fmt: skip
    claims = {label: _claim(n) for label, n in numbers.items()}
    return with_claim(ax.figure, sentences(claims), {"figure": "landscape_line", "lines": numbers})


def _numbers(recording: LineRecording) -> dict[str, Any]:
    start, end = (float(recording.loss[int(np.argmin(np.abs(recording.a - place)))]) for place in (0.0, 1.0))
    return {
        "a": recording.a, "loss": recording.loss, "start": start, "end": end, "barrier": recording.barrier,
        "distance": float(recording.distance), "not_finite": int(np.isinf(recording.loss).sum()),
    }  # fmt: skip


def _claim(n: Mapping[str, Any]) -> str:
    if n["not_finite"]:
        return f"the loss is not finite (NaN or infinite) at {n['not_finite']} of {len(n['a'])} points"
    text = f"from {n['start']:.3g} to {n['end']:.3g} the loss on the line "
    if n["barrier"] > _BARRIER * max(abs(n["start"] - n["end"]), 0.1 * max(abs(n["start"]), abs(n["end"]))):
        return f"{text}rises {n['barrier']:.2g} above the straight way: a barrier"
    rises = f"rises at most {n['barrier']:.1g}" if n["barrier"] else "never rises"
    return f"{text}{rises} above the straight way: there is no barrier"
