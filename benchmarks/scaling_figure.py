"""The figure of `scaling`: step time and peak memory against four sizes, log-log, with fitted exponents."""

from __future__ import annotations

from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.patheffects import withStroke
from matplotlib.ticker import FixedLocator, LogLocator, NullLocator, StrMethodFormatter

from minidl.plot.style import ARMS, INK, SMALL, ClaimFigure, new_figure, tidy, title, with_claim

UPPER = 4  # the exponent is fitted to so many sizes, the largest: below them fixed costs rule
ROWS = {"seconds": ("milliseconds a step", 1e3), "mebibytes": ("MiB, peak beyond the import", 1.0)}


def exponent(sizes: Any, values: Any, upper: int = UPPER) -> tuple[float, float]:
    """p and c of fixed + c * size^p: by least squares on logarithms, over the `upper` largest sizes.

    What is fixed (starting operations, BLAS's own memory) is what the smallest size takes; it is taken off first.
    """
    beyond = np.asarray(values, np.float64)[-upper:] - values[0]
    p, log_c = np.polyfit(np.log(sizes[-upper:]), np.log(beyond), 1)
    return float(p), float(np.exp(log_c))


def draw(measured: dict[str, Any]) -> ClaimFigure:
    """Draw what `scaling.run` measured; columns share their x axis, rows their y axis.

    Returns:
        The figure, with `.caption` and `.numbers`: what was measured, and for each scale `exponents`.
    """
    numbers = {**measured, "fitted_to": UPPER, "scales": {}}
    for name, scale in measured["scales"].items():
        fits = {what: exponent(scale["sizes"], scale[what]) for what in ROWS}
        numbers["scales"][name] = {**scale, "exponents": {what: fit[0] for what, fit in fits.items()}}
    figure = new_figure(9.6, 4.9)
    axes = figure.subplots(len(ROWS), len(numbers["scales"]), sharex="col", sharey="row")
    for row, (what, (words, unit)) in zip(axes, ROWS.items(), strict=True):
        for ax, (name, scale) in zip(row, numbers["scales"].items(), strict=True):
            _panel(ax, scale, what, unit)
            if what == "seconds":
                title(ax, scale["about"])
            else:
                ax.set_xlabel(name, fontsize=SMALL, color=INK)
        row[0].set_ylabel(words, fontsize=SMALL, color=INK)
    return with_claim(figure, claim(numbers), numbers)


def _panel(ax: Axes, scale: dict[str, Any], what: str, unit: float) -> None:
    sizes, values = np.array(scale["sizes"]), unit * np.array(scale[what])
    p, c = exponent(sizes, values)
    ax.set_xscale("log")
    ax.set_yscale("log")
    tidy(ax)
    ax.plot(sizes, values, "-o", color=ARMS[0], linewidth=1.4, markersize=3.4, zorder=3)
    fitted = np.geomspace(sizes[-UPPER], sizes[-1])
    curve = values[0] + c * fitted**p
    ax.plot(fitted, curve, color=ARMS[1], linewidth=5, alpha=0.4, zorder=2)
    middle = len(fitted) // 2
    ax.annotate(
        f"exponent {p:.2f}\n(demanded: {scale['demanded'][what]})", (fitted[middle], curve[middle]), xytext=(-6, 8),
        textcoords="offset points", ha="right", fontsize=SMALL, color=ARMS[1],
        path_effects=[withStroke(linewidth=2, foreground="white")],
    )  # fmt: skip
    ax.xaxis.set_major_locator(FixedLocator(list(sizes[::2] if len(sizes) > 6 else sizes)))
    ax.xaxis.set_major_formatter(StrMethodFormatter("{x:.0f}"))
    ax.xaxis.set_minor_locator(NullLocator())
    ax.yaxis.set_major_locator(LogLocator(subs=(1.0, 3.0) if values.max() < 300 * values.min() else (1.0,)))
    ax.yaxis.set_major_formatter(StrMethodFormatter("{x:g}"))
    ax.yaxis.set_minor_locator(NullLocator())


def claim(numbers: dict[str, Any]) -> str:
    """How far the fastest growing of all times and memories is above what its arithmetic demands."""
    above = {
        (name, what): scale["exponents"][what] - scale["demanded"][what]
        for name, scale in numbers["scales"].items()
        for what in ROWS
    }
    name, what = max(above, key=lambda place: above[place])
    grown = numbers["scales"][name]
    subject = "step time" if what == "seconds" else "peak memory"
    return (
        f"Nothing grows faster than its arithmetic by more than {max(0.0, above[name, what]):.2f} in the exponent. The "
        f"most is {subject} against {name}: {grown['exponents'][what]:.2f} where {grown['demanded'][what]} is demanded "
        f"(over the {numbers['fitted_to']} largest sizes, beyond what the smallest takes)."
    )
