"""theory: the gradient of each layer beside a bound and a prediction of how fast it falls."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes

from minidl.observe.theory_recording import TheoryRecording
from minidl.observe.verdict import decades_per_layer
from minidl.plot.networks import as_networks
from minidl.plot.style import (
    INK,
    SMALL,
    ClaimFigure,
    LogScale,
    given_axes,
    height_for_names,
    mark_not_finite,
    name_layers,
    new_figure,
    sentences,
    signed,
    tidy,
    title,
    with_claim,
)

_MEASURED, _MEAN_FIELD, _BOUND = INK, "#D55E00", "#0072B2"


def theory(
    recordings: TheoryRecording | Mapping[str, TheoryRecording],
    axes: Axes | Sequence[Axes] | None = None,
    style: str = "paper",
) -> ClaimFigure:
    """Draw the measured root mean square of dL/dh as dots, and two lines that begin at the last hidden layer.

    The solid line is the mean field, a factor sqrt(n Var(W) E[phi'^2]) for each layer: what to expect. The dashed line
    is the bound max phi' |W|_2: the gradient is never above it. (The quarter of a sigmoid's slope is that bound's max
    phi'; alone, without the weights, it bounds nothing.) Above each panel stand the three slopes in decades a layer.

    Args:
        recordings: {label: recording} of `observe.vanishing_theory`, or one.
        axes: one for each panel.
        style: "paper", or "slides" for a projector.

    A gradient of exactly 0 is a ring in a row of its own, one that is not finite (NaN or infinite) a cross at the upper
    edge.

    Returns:
        The figure, with `.caption` and `.numbers`: for each label `layers`, `measured`, `mean_field`, `bound` (one a
        layer) and of each the `decades_per_layer` (positive: falls from the output to the input).
    """
    panels = as_networks(recordings, (TheoryRecording,))
    found = {label: _lines(recording) for label, recording in panels.items()}
    scale = LogScale(np.concatenate([n[key] for n in found.values() for key in ("measured", "mean_field", "bound")]))
    if axes is None:
        width = max(3.2, min(7.0, 1.0 + 2.1 * len(panels)))
        below = max(height_for_names(r.layers, 0.8 * width / len(panels)) for r in panels.values())
        axes = list(new_figure(width, 2.9 + below, style).subplots(1, len(panels), sharey=True, squeeze=False)[0])
    axes = given_axes(axes, len(panels))
    for k, (ax, (label, lines)) in enumerate(zip(axes, found.items(), strict=True)):
        tidy(ax)
        x = np.arange(len(panels[label].layers))
        ax.plot(x, scale.place(lines["bound"]), color=_BOUND, linewidth=1.4, linestyle=(0, (4, 2)), zorder=2)
        ax.plot(x, scale.place(lines["mean_field"]), color=_MEAN_FIELD, linewidth=1.6, zorder=3)
        zero = lines["measured"] == 0
        for mask, face in ((~zero, _MEASURED), (zero, "white")):
            ax.plot(x[mask], scale.place(lines["measured"])[mask], "o", mfc=face, mec=_MEASURED, ms=4, zorder=4)
        mark_not_finite(ax, x[np.isinf(lines["measured"])])
        scale.apply(ax)
        ax.set_xlim(-0.4, len(x) - 0.6)
        name_layers(ax, panels[label].layers)
        title(ax, label, pad=37)
        _print_slopes(ax, lines["decades_per_layer"])
        if k:
            ax.tick_params(labelleft=False)
    axes[0].set_ylabel("root mean square of dL/dh", fontsize=SMALL, color=INK)
    axes[len(axes) // 2].set_xlabel("hidden layer, input to output", fontsize=SMALL, color=INK)
    numbers = {
        "figure": "theory",
        "panels": {label: {"layers": panels[label].layers, **lines} for label, lines in found.items()},
    }
    claims = {label: _claim(lines["decades_per_layer"]) for label, lines in found.items()}
    return with_claim(axes[0].figure, sentences(claims), numbers)


def _lines(recording: TheoryRecording) -> dict[str, Any]:
    lines: dict[str, Any] = {"measured": recording.rms}
    for key in ("mean_field", "bound"):
        factors = getattr(recording, key)[:-1]
        back = np.append(np.cumsum(factors[::-1])[::-1], 0.0)  # decades from the last hidden layer to each
        with np.errstate(over="ignore", under="ignore"):
            lines[key] = recording.rms[-1] * 10.0**back
        lines[f"{key}_decades"] = -float(np.mean(factors))
    lines["decades_per_layer"] = {
        "measured": decades_per_layer(recording.rms),
        **{key: lines.pop(f"{key}_decades") for key in ("mean_field", "bound")},
    }
    return lines


def _print_slopes(ax: Axes, slopes: Mapping[str, float]) -> None:
    rows = (
        (f"\N{BLACK CIRCLE} measured {_words(slopes['measured'])}", _MEASURED),
        (f"\N{EM DASH} mean field {_words(slopes['mean_field'])}", _MEAN_FIELD),
        (f"- - bound {_words(slopes['bound'])} or more", _BOUND),
    )
    for k, (text, colour) in enumerate(rows):
        ax.annotate(
            text, (0, 1), xycoords="axes fraction", xytext=(0, 26 - 11 * k), textcoords="offset points",
            fontsize=SMALL - 1, color=colour, va="bottom",
        )  # fmt: skip


def _words(slope: float) -> str:
    return signed(slope) if np.isfinite(slope) else "none"


def _claim(slopes: Mapping[str, float]) -> str:
    if np.isnan(slopes["measured"]):
        return "the gradient has no slope to fit: fewer than two layers have a finite one other than 0"
    verb = "falls" if slopes["measured"] > 0 else "grows"
    bound = slopes["bound"]
    return (
        f"the gradient {verb} {abs(slopes['measured']):.2f} decades a layer; the mean field predicts "
        f"{signed(slopes['mean_field'])}, the bound "
        + (f"allows no less than {signed(bound)}" if bound > 0 else f"would let it grow by {-bound:.2f}")
    )
