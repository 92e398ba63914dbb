"""The figure of `checkpointing`: peak memory against depth, log-log, with and without F.checkpoint."""

from __future__ import annotations

from typing import Any

from matplotlib.ticker import FixedLocator, LogLocator, NullLocator, StrMethodFormatter

from benchmarks.scaling_figure import exponent
from minidl.plot.style import ARMS, INK, SMALL, ClaimFigure, new_figure, tidy, title, with_claim

LABELS = {"without": "every output kept", "with": "F.checkpoint, sqrt(n) segments"}


def draw(measured: dict[str, Any]) -> ClaimFigure:
    """Draw what `checkpointing.run` measured.

    Returns:
        The figure, with `.caption` and `.numbers`: what was measured, and `exponents` of memory by way.
    """
    depths = measured["depths"]
    exponents = {way: exponent(depths, found)[0] for way, found in measured["mebibytes"].items()}
    numbers = {**measured, "exponents": exponents}
    figure = new_figure(6.4, 3.6)
    ax = figure.subplots()
    ax.set_xscale("log")
    ax.set_yscale("log")
    tidy(ax)
    for colour, (way, found) in zip(ARMS, measured["mebibytes"].items(), strict=False):
        ax.plot(depths, found, "-o", color=colour, linewidth=1.4, markersize=3.4)
        above = way == "without"
        ax.annotate(
            f"{LABELS[way]}\nexponent {exponents[way]:.2f}", (depths[-2], found[-2]),
            xytext=(-10, 6) if above else (10, -24), textcoords="offset points", fontsize=SMALL, color=colour,
            ha="right" if above else "center", va="bottom" if above else "top",
        )  # fmt: skip
    ax.xaxis.set_major_locator(FixedLocator(depths))
    ax.xaxis.set_major_formatter(StrMethodFormatter("{x:.0f}"))
    ax.yaxis.set_major_locator(LogLocator(subs=(1.0, 3.0)))
    ax.yaxis.set_major_formatter(StrMethodFormatter("{x:g}"))
    for axis in (ax.xaxis, ax.yaxis):
        axis.set_minor_locator(NullLocator())
    ax.set_xlabel(f"layers, whose outputs have {measured['layer_mebibytes']:g} MiB each", fontsize=SMALL, color=INK)
    ax.set_ylabel("MiB, peak beyond weights and batch", fontsize=SMALL, color=INK)
    title(ax, "Memory of a step")
    return with_claim(figure, claim(numbers), numbers)


def claim(numbers: dict[str, Any]) -> str:
    """How memory grows with and without, and what that saves at the largest depth."""
    without, with_ = (numbers["mebibytes"][way][-1] for way in ("without", "with"))
    return (
        f"Peak memory grows with depth to the power {numbers['exponents']['with']:.2f} with F.checkpoint and "
        f"{numbers['exponents']['without']:.2f} without (the arrays of layers alone: 0.5 and 1): "
        f"{numbers['depths'][-1]} layers need {with_:.0f} MiB in place of {without:.0f}, {without / with_:.1f} times "
        f"less."
    )
