"""rate_range: the loss while the rate grows from step to step, to see which rates are of use."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.patheffects import withStroke

from minidl.observe.range_recording import RangeRecording
from minidl.plot.networks import as_networks
from minidl.plot.style import (
    ARMS,
    INK,
    LONGEST_LABEL,
    QUIET,
    SMALL,
    ClaimFigure,
    drawable,
    literal,
    mark_not_finite,
    new_figure,
    sentences,
    tidy,
    title,
    with_claim,
)


def rate_range(
    recordings: RangeRecording | Mapping[str, RangeRecording], ax: Axes | None = None, style: str = "paper"
) -> ClaimFigure:
    """Draw the loss against the rate: each batch pale, the smoothed line dark.

    A dot marks the rate at which the smoothed loss falls fastest, a choice for training; a ring the rate at which it is
    lowest, already too large to begin with. The loss at a rate is that of a network which all smaller rates have
    trained before: the test finds the order of magnitude, no more.

    Args:
        recordings: {label: recording} of `observe.rate_range`, one colour each, or one.
        ax: draw here instead of in a new figure.
        style: "paper", or "slides" for a projector.

    A cross at the upper edge marks the rate at which the loss was not finite.

    Returns:
        The figure, with `.caption` and `.numbers`: for each label `rates`, `loss`, `smooth`, `steepest`, `lowest`,
        `last` (the rate at which the test ended) and `diverged`.
    """
    runs = as_networks(recordings, (RangeRecording,))
    numbers = {label: _numbers(recording) for label, recording in runs.items()}
    if ax is None:
        ax = new_figure(4.6, 2.9, style).subplots()
    colours = [ARMS[k % len(ARMS)] for k in range(len(runs))]
    ax.set_xscale("log")
    for recording, n, colour in zip(runs.values(), numbers.values(), colours, strict=True):
        ax.plot(recording.rates, drawable(recording.loss), color=colour, linewidth=0.8, alpha=0.35, zorder=2)
        smooth = drawable(recording.smooth)
        ax.plot(recording.rates, smooth, color=colour, linewidth=1.7, zorder=3)
        for rate, face in ((n["steepest"], colour), (n["lowest"], "white")):
            at = int(np.argmin(np.abs(recording.rates - rate)))
            ax.plot(rate, smooth[at], "o", mfc=face, mec=colour, ms=6, mew=1.4, zorder=4)
        mark_not_finite(ax, recording.rates[~np.isfinite(recording.loss)], colour)
    values = drawable(np.concatenate([recording.smooth for recording in runs.values()]))
    first = max(float(drawable(recording.smooth)[0]) for recording in runs.values())
    low = float(np.nanmin(values))
    high = min(float(np.nanmax(values)), max(2.0 * first, first + 0.1))
    ax.set_ylim(min(0.0, low) if low < 0.5 * high else low - 0.1 * (high - low), high + 0.05 * (high - low or 1.0))
    tidy(ax)
    title(ax, "loss while the rate grows", pad=15)
    ax.set_xlabel("rate", fontsize=SMALL, color=INK)
    ax.annotate(
        "dot: falls fastest; ring: lowest", (0, 1), xycoords="axes fraction", xytext=(0, 4),
        textcoords="offset points", fontsize=SMALL - 1, color=QUIET,
    )  # fmt: skip
    if len(runs) > 1:
        _labels(ax, runs, colours)
    claims = {label: _claim(n) for label, n in numbers.items()}
    return with_claim(ax.figure, sentences(claims), {"figure": "rate_range", "runs": numbers})


def _labels(ax: Axes, runs: Mapping[str, RangeRecording], colours: list[str]) -> None:
    """The name of each run under its ring; one below the other where rings are near each other."""
    named: list[float] = []
    for (label, recording), colour in zip(runs.items(), colours, strict=True):
        at = int(np.argmin(np.abs(recording.rates - recording.lowest)))
        below = sum(abs(np.log10(recording.lowest / other)) < 1.0 for other in named)
        named.append(recording.lowest)
        ax.annotate(
            literal(label, LONGEST_LABEL), (recording.lowest, float(recording.smooth[at])),
            xytext=(0, -7 - 10 * below), textcoords="offset points", ha="center", va="top", color=colour,
            fontsize=SMALL, zorder=6, path_effects=[withStroke(linewidth=2.2, foreground="white")],
        )  # fmt: skip


def _numbers(recording: RangeRecording) -> dict[str, Any]:
    return {
        "rates": recording.rates,
        "loss": recording.loss,
        "smooth": recording.smooth,
        "steepest": recording.steepest,
        "lowest": recording.lowest,
        "last": float(recording.rates[-1]),
        "diverged": not bool(np.isfinite(recording.loss).all()),
        "grew": bool(recording.smooth[-1] > 1.2 * recording.smooth.min()),
    }


def _claim(n: Mapping[str, Any]) -> str:
    text = f"the loss falls fastest at a rate of {n['steepest']:.2g} and is lowest at {n['lowest']:.2g}"
    if n["diverged"]:
        return f"{text}; at {n['last']:.2g} it is not finite"
    return (
        f"{text}; at {n['last']:.2g} it has grown again"
        if n["grew"]
        else f"{text}; up to {n['last']:.2g} it does not diverge"
    )
