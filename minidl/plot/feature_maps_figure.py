"""feature_maps: one image, and what each unit of a layer makes of it."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.colors import to_rgb

from minidl.observe.filters_recording import MapsRecording
from minidl.plot.networks import as_networks
from minidl.plot.style import BROKEN, SMALL, ZERO, ClaimFigure, new_figure, sentences, title, with_claim

_MOST = 32  # maps that are drawn of each layer: those with the largest root mean square
_PITCH = 1.14  # from one image to the next, in images


def feature_maps(recordings: MapsRecording | Mapping[str, MapsRecording], style: str = "paper") -> ClaimFigure:
    """Draw the input and, beside it, the maps of a layer, the strongest first; light is large, dark is 0 or below.

    All maps of a layer share one scale; of at most 32 of them. A map that is 0 everywhere is grey, what is not finite
    (NaN or infinite) red.

    Args:
        recordings: {label: recording} of `observe.feature_maps`, one row each (layers, networks, steps), or one.
        style: "paper", or "slides" for a projector.

    Returns:
        The figure, with `.caption` and `.numbers`: for each label `layer`, `rms` (one a map, in the order they are
        drawn), `order`, `zero` (maps that are 0 everywhere), `zero_share` (of all numbers of the maps), `limit`.
    """
    rows = as_networks(recordings, (MapsRecording,))
    across = [min(8, max(1, math.ceil(math.sqrt(2 * min(len(r.maps), _MOST))))) for r in rows.values()]
    down = [math.ceil(min(len(r.maps), _MOST) / c) for r, c in zip(rows.values(), across, strict=True)]
    figure = new_figure(1.5 + 0.56 * max(across), 0.1 + sum(0.34 + 0.52 * max(2, d) for d in down), style)
    grid = figure.subplots(
        len(rows),
        2,
        squeeze=False,
        gridspec_kw={"width_ratios": [2.3, 1.15 * max(across)], "height_ratios": [max(2, d) for d in down]},
    )
    numbers: dict[str, Any] = {}
    for (left, right), (label, recording), columns in zip(grid, rows.items(), across, strict=True):
        numbers[label] = n = _numbers(recording)
        _input(left, recording)
        title(left, label or "input")
        _mosaic(right, recording, n, columns)
        title(right, f"{len(recording.maps)} maps of {recording.layer}")
    claims = {label: _claim(n) for label, n in numbers.items()}
    return with_claim(figure, sentences(claims), {"figure": "feature_maps", "rows": numbers})


def _numbers(recording: MapsRecording) -> dict[str, Any]:
    with np.errstate(over="ignore", invalid="ignore"):
        rms = np.sqrt((recording.maps**2).mean(axis=(1, 2)))
    rms = np.where(np.isfinite(rms), rms, np.inf)
    order = np.argsort(-rms, kind="stable")
    finite = recording.maps[np.isfinite(recording.maps)]
    return {
        "layer": recording.layer,
        "order": order,
        "rms": rms[order],
        "zero": int((rms == 0).sum()),
        "zero_share": float((recording.maps == 0).mean()),
        "not_finite": int(np.isinf(rms).sum()),
        "limit": float(finite.max(initial=0.0)),
    }


def _input(ax: Axes, recording: MapsRecording) -> None:
    image = np.where(np.isfinite(recording.image), recording.image, 0.0)
    low, high = float(image.min()), float(image.max())
    image = (image - low) / ((high - low) or 1.0)
    shown = image.transpose(1, 2, 0) if len(image) == 3 else np.repeat(image.mean(axis=0)[..., None], 3, axis=2)
    ax.imshow(shown, interpolation="nearest")
    ax.set_anchor("NW")
    ax.axis("off")


def _mosaic(ax: Axes, recording: MapsRecording, n: dict[str, Any], columns: int) -> None:
    colours, limit = colormaps["viridis"], n["limit"] or 1.0
    shown_maps = n["order"][:_MOST]
    for place, i in enumerate(shown_maps):
        values = recording.maps[i]
        finite = np.isfinite(values)
        shown = colours(np.clip(np.where(finite, values, 0.0) / limit, 0, 1))[..., :3]
        if not values.any():
            shown = np.full((*values.shape, 3), to_rgb(ZERO))
        shown[~finite] = to_rgb(BROKEN)
        left, top = place % columns * _PITCH, place // columns * _PITCH
        side = max(values.shape)
        right, bottom = left + values.shape[1] / side, top + values.shape[0] / side
        ax.imshow(shown, extent=(left, right, bottom, top), interpolation="nearest")
    ax.set_xlim(-0.03, columns * _PITCH)
    ax.set_ylim(max(2, math.ceil(len(shown_maps) / columns)) * _PITCH, -0.03)
    ax.set_aspect("equal", anchor="NW")
    ax.axis("off")
    if len(recording.maps) > _MOST:
        ax.annotate(f"the {_MOST} strongest", (1, 1), xycoords="axes fraction", ha="right", va="bottom",
                    fontsize=SMALL - 1)  # fmt: skip


def _claim(n: Mapping[str, Any]) -> str:
    maps = len(n["rms"])
    text = f"{n['zero']} of {maps} maps of {n['layer']} are 0 everywhere on this image" if n["zero"] else (
        f"each of the {maps} maps of {n['layer']} answers to this image"
    )  # fmt: skip
    text += f"; {n['zero_share']:.0%} of all their numbers are 0"
    return text + (f"; {n['not_finite']} are not finite (NaN or infinite) somewhere" if n["not_finite"] else "")
