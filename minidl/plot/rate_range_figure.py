"""rate_range: the loss while the rate grows from step to step, to see which rates are of use."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from matplotlib.axes import Axes

from minidl.observe.range_recording import RangeRecording
from minidl.plot.networks import as_networks
from minidl.plot.style import (
    ARMS,
    INK,
    LONGEST_LABEL,
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
    title(ax, "loss while the rate grows", pad=17 if len(runs) > 1 else 6)
    ax.set_xlabel("rate\n(dot: the loss falls fastest; ring: it is lowest)", fontsize=SMALL, color=INK)
    if len(runs) > 1:
        _labels(ax, runs, colours)
    claims = {label: _claim(n) for label, n in numbers.items()}
    return with_claim(ax.figure, sentences(claims), {"figure": "rate_range", "runs": numbers})


def _labels(ax: Axes, runs: Mapping[str, RangeRecording], colours: list[str]) -> None:
    """The names under the heading, each in the colour of its line: the lines begin together and end crossing."""
    place: Any = None  # each name stands right of the one before
    for label, colour in zip(runs, colours, strict=True):
        place = ax.annotate(
            literal(label, LONGEST_LABEL), (0, 1) if place is None else (1, 0),
            xycoords="axes fraction" if place is None else place,
            xytext=(0, 4) if place is None else (8, 0), textcoords="offset points", va="bottom",
            fontsize=SMALL, color=colour, fontweight="bold",
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
