"""jacobian_spectrum: the singular values of dh_l/dh_0 against the layer l, as a fan of quantiles."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes

from minidl.observe.jacobian_recording import JacobianRecording
from minidl.plot.networks import as_networks
from minidl.plot.style import (
    INK,
    QUIET,
    SMALL,
    ClaimFigure,
    LogScale,
    given_axes,
    height_for_names,
    label_ends,
    mark_not_finite,
    name_layers,
    new_figure,
    sentences,
    signed,
    tidy,
    title,
    with_claim,
)

LEVELS = (0.0, 0.1, 0.25, 0.5, 0.75, 0.9, 1.0)
_COLOUR = "#0072B2"
_BANDS = ((0.1, 0.9, 0.22), (0.25, 0.75, 0.35))  # from, to, and how dark


def jacobian_spectrum(
    recordings: JacobianRecording | Mapping[str, JacobianRecording],
    axes: Axes | Sequence[Axes] | None = None,
    style: str = "paper",
) -> ClaimFigure:
    """Draw how the singular values of dh_l/dh_0 spread out with the layer l, one panel a network.

    The line is the median, the bands hold the middle half and the middle 80% of the singular values, and a thin line is
    the largest. Where all are 1 every direction keeps its length; a wide fan below 1 means that of most directions of
    the input (and, backward, of the gradient) nothing is left.

    Args:
        recordings: {label: recording} of `observe.jacobian_spectrum`, or one.
        axes: one for each panel.
        style: "paper", or "slides" for a projector.

    Quantiles that are 0 (or too small a part of the largest to be told from 0) are drawn in a row of their own, layers
    with a Jacobian that is not finite as crosses at the upper edge.

    Returns:
        The figure, with `.caption` and `.numbers`: `levels`, and for each label `layers` and `log10` (levels x layers;
        "-inf" where 0).
    """
    panels = as_networks(recordings, (JacobianRecording,))
    found = {label: recording.quantiles(LEVELS) for label, recording in panels.items()}
    scale = LogScale(np.concatenate([_sizes(quantiles[1:]).ravel() for quantiles in found.values()]))
    if axes is None:
        names = [recording.layers for recording in panels.values()]
        width = min(7.0, 1.0 + 2.1 * len(panels))
        below = max(height_for_names(layers, 0.8 * width / len(panels)) for layers in names)
        axes = list(
            new_figure(max(3.2, width), 2.35 + below, style).subplots(1, len(panels), sharey=True, squeeze=False)[0]
        )
    axes = given_axes(axes, len(panels))
    for k, (ax, (label, quantiles)) in enumerate(zip(axes, found.items(), strict=True)):
        _panel(ax, quantiles, scale)
        scale.apply(ax)
        ax.axhline(scale.at(0), color=QUIET, linewidth=0.8, linestyle=(0, (4, 2)), zorder=1)
        title(ax, label)
        name_layers(ax, panels[label].layers)
        if k:
            ax.tick_params(labelleft=False)
    axes[0].set_ylabel("singular values of dh/dx", fontsize=SMALL, color=INK)
    axes[len(axes) // 2].set_xlabel("layer, input to output", fontsize=SMALL, color=INK)
    last = list(found.values())[-1][:, -1]
    shown = [LEVELS.index(level) for level in (0.1, 0.5, 0.9, 1.0)]
    label_ends(
        axes[-1], len(panels[list(found)[-1]].layers) - 1, [float(scale.place(_sizes(last)[i])) for i in shown],
        ["10%", "median", "90%", "largest"], [QUIET, _COLOUR, QUIET, INK],
    )  # fmt: skip
    numbers = {
        "figure": "jacobian_spectrum",
        "levels": LEVELS,
        "panels": {label: {"layers": panels[label].layers, "log10": q} for label, q in found.items()},
    }
    claims = {label: _claim(panels[label], q) for label, q in found.items()}
    return with_claim(axes[0].figure, sentences(claims), numbers)


def _sizes(log10: Any) -> Any:
    """10^log10, as LogScale draws it: 0 for minus infinity; what would over- or underflow at its end."""
    return np.where(np.isneginf(log10), 0.0, np.where(np.isposinf(log10), np.inf, 10.0 ** np.clip(log10, -300, 300)))


def _panel(ax: Axes, quantiles: Any, scale: LogScale) -> None:
    tidy(ax)
    x = np.arange(quantiles.shape[1])
    lines = {level: scale.place(_sizes(line)) for level, line in zip(LEVELS, quantiles, strict=True)}
    for low, high, alpha in _BANDS:
        ax.fill_between(x, lines[low], lines[high], color=_COLOUR, alpha=alpha, linewidth=0, zorder=2)
    ax.plot(x, lines[0.5], color=_COLOUR, linewidth=1.8, zorder=4)
    ax.plot(x, lines[1.0], color=INK, linewidth=0.8, zorder=3)
    if len(x) == 1:  # no line leads anywhere
        ax.vlines(x, lines[0.1], lines[0.9], color=_COLOUR, linewidth=4, alpha=_BANDS[-1][2], zorder=2)
        ax.plot(x, lines[0.5], "o", color=_COLOUR, markersize=5, zorder=4)
        ax.plot(x, lines[1.0], "_", color=INK, markersize=8, zorder=3)
    zero = np.isneginf(quantiles[LEVELS.index(0.5)])
    if zero.any():
        ax.plot(x[zero], lines[0.5][zero], "o", mfc="white", mec=_COLOUR, ms=5, zorder=9)
    mark_not_finite(ax, x[np.isposinf(quantiles).any(axis=0)])
    ax.set_xlim(-0.3, len(x) - 0.7)


def _claim(recording: JacobianRecording, quantiles: Any) -> str:
    low, middle, high = (float(quantiles[LEVELS.index(level), -1]) for level in (0.1, 0.5, 0.9))
    layers = f"{len(recording.layers)} layer{'s' if len(recording.layers) > 1 else ''}"
    if np.isposinf(quantiles[:, -1]).any():
        return f"the Jacobian is not finite behind {layers}"
    if np.isneginf(middle):
        return f"behind {layers} more than half of the singular values are 0"
    spread = "the lowest tenth of them are 0" if np.isneginf(low) else f"the middle 80% span {high - low:.1f} decades"
    return f"behind {layers} the median singular value is 10^{signed(middle, 1)}, and {spread}"
