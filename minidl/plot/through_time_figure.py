"""through_time: the gradient of recurrent networks against the time steps it has gone back, beside what theory says."""

from __future__ import annotations

from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator

from minidl.observe.time_recording import TimeRecording
from minidl.plot.style import (
    ARMS,
    INK,
    SMALL,
    ClaimFigure,
    LogScale,
    depth_colours,
    label_ends,
    mark_not_finite,
    new_figure,
    signed,
    tidy,
    title,
    with_claim,
)


def through_time(recording: TimeRecording, ax: Axes | None = None, style: str = "paper") -> ClaimFigure:
    """Draw the norm of dL_T/dh_t against T - t, one line a network, on a log axis.

    Lines are medians over the sequences and bands go from the smallest to the largest. A dotted line begins where a
    network's own begins and falls or rises as theory predicts. At the end of each line stands its slope in decades a
    time step, fitted by least squares, and in brackets the predicted one. Networks with a spectral radius are coloured
    by it, from dark (small) to light.

    Args:
        recording: of `observe.through_time`.
        ax: draw here instead of in a new figure.
        style: "paper", or "slides" for a projector.

    A gradient of exactly 0 is drawn in a row of its own, one that is not finite (NaN or infinite) as a cross at the
    upper edge.

    Returns:
        The figure, with `.caption` and `.numbers`: for each network `radius`, `median`, `min`, `max` (by T - t),
        `decades_per_step` (negative: it falls on its way back) and `predicted`.
    """
    networks = {
        name: {
            "radius": recording.radius[k],
            "median": _median(recording.norm[k]),
            "min": recording.norm[k].min(axis=0),
            "max": recording.norm[k].max(axis=0),
            "decades_per_step": _slope(_median(recording.norm[k])),
            "predicted": recording.predicted[k],
        }
        for k, name in enumerate(recording.networks)
    }
    scale = LogScale([[n["min"], n["max"]] for n in networks.values()])
    if ax is None:
        ax = new_figure(5.2, 3.0, style).subplots()
    tidy(ax)
    colours = _colours(recording.radius)
    back = np.arange(recording.norm.shape[2])
    for network, colour in zip(networks.values(), colours, strict=True):
        low, middle, high = (scale.place(network[key]) for key in ("min", "median", "max"))
        ax.fill_between(back, low, high, color=colour, alpha=0.18, linewidth=0, zorder=2)
        ax.plot(back, middle, color=colour, linewidth=1.6, zorder=4)
        if np.isfinite(network["predicted"]) and 0 < network["median"][0] < np.inf:
            with np.errstate(over="ignore", under="ignore"):
                line = network["median"][0] * 10.0 ** (network["predicted"] * back)
            with np.errstate(divide="ignore"):
                inside = (np.log10(line) >= scale.low) & (np.log10(line) <= scale.high)
            dotted = scale.place(line)[inside]
            ax.plot(back[inside], dotted, color=colour, linewidth=1.3, linestyle=(0, (1, 1.5)), zorder=3)
        mark_not_finite(ax, back[np.isinf(network["max"])], colour)
    scale.apply(ax)
    ax.set_xlim(0, back[-1])
    ax.xaxis.set_major_locator(MaxNLocator(6, integer=True))
    ax.set_xlabel("time steps back, T - t\n(dotted and in brackets: theory)", fontsize=SMALL, color=INK)
    ax.set_ylabel("|dL/dh|", fontsize=SMALL, color=INK)
    title(ax, "gradient, and its decades a time step")
    last = [_last(n["median"]) for n in networks.values()]
    ends = [float(scale.place(n["median"][at])) for n, at in zip(networks.values(), last, strict=True)]
    label_ends(ax, back[last], ends, [_label(name, n) for name, n in networks.items()], colours)
    return with_claim(ax.figure, _claim(networks), {"figure": "through_time", "networks": networks})


def _median(norms: Any) -> Any:
    with np.errstate(invalid="ignore"):
        middle = np.median(norms, axis=0)
    return np.where(np.isnan(middle), np.inf, middle)


def _slope(norms: Any) -> float:
    """Decades a time step, by least squares where there is a logarithm; NaN with fewer than two points."""
    usable = np.isfinite(norms) & (norms > 0)
    if usable.sum() < 2:
        return float("nan")
    back = np.flatnonzero(usable).astype(np.float64)
    back -= back.mean()
    logs = np.log10(norms[usable])
    return float((back * (logs - logs.mean())).sum() / (back**2).sum())


def _colours(radius: Any) -> list[Any]:
    if np.isnan(radius).any():
        return [ARMS[k % len(ARMS)] for k in range(len(radius))]
    by_rank = depth_colours(len(radius))
    return [by_rank[rank] for rank in np.argsort(np.argsort(radius, kind="stable"))]


def _last(norms: Any) -> int:
    finite = np.flatnonzero(np.isfinite(norms))
    return int(finite[-1]) if finite.size else 0


def _label(name: str, network: dict[str, Any]) -> str:
    slope, predicted = network["decades_per_step"], network["predicted"]
    words = "no slope" if np.isnan(slope) else signed(slope)
    return f"{name}: {words}" + (f" ({signed(predicted)})" if np.isfinite(predicted) else "")


def _claim(networks: dict[str, dict[str, Any]]) -> str:
    """The network whose gradient falls most and the one whose gradient falls least, beside the theory."""
    known = [name for name, n in networks.items() if not np.isnan(n["decades_per_step"])]
    chosen = sorted(known, key=lambda name: networks[name]["decades_per_step"])
    words = []
    for name in dict.fromkeys([*chosen[:1], *chosen[-1:]]):
        slope, predicted = networks[name]["decades_per_step"], networks[name]["predicted"]
        verb = "falls" if slope < 0 else "grows"
        theory = f" (theory: {signed(predicted)})" if np.isfinite(predicted) else ""
        words.append(f"the gradient of {name} {verb} {abs(slope):.2f} decades a time step{theory}")
    text = "; ".join(words)
    zero = [name for name, n in networks.items() if (n["median"] == 0).any()]
    broken = [name for name, n in networks.items() if np.isinf(n["max"]).any()]
    text += f"; exactly 0 becomes that of {', '.join(zero)}" if zero else ""
    text += f"; not finite (NaN or infinite) becomes that of {', '.join(broken)}" if broken else ""
    text = text.removeprefix("; ")
    return f"{text[:1].upper()}{text[1:]}."
