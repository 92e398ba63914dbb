"""filters: the weights of a layer's units, each as a small image."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.colors import to_rgb

from minidl.observe.filters_recording import FiltersRecording
from minidl.plot.networks import as_networks
from minidl.plot.style import BROKEN, ZERO, ClaimFigure, new_figure, sentences, title, with_claim

_MOST = 64  # filters that are drawn of each network: those with the largest norm
_PITCH = 1.14  # from one image to the next, in images
_FAINT = 0.1  # of the largest norm: a filter below it does little


def filters(recordings: FiltersRecording | Mapping[str, FiltersRecording], style: str = "paper") -> ClaimFigure:
    """Draw each filter as an image, the one with the largest norm first: orange weights are negative, purple positive.

    All filters of all networks share one scale, so that a pale filter is a weak one; of at most 64 a network. Filters
    with three input channels are drawn in these colours (grey is 0), of any other number the mean over the channels.
    A filter that is exactly 0 is grey, weights that are not finite (NaN or infinite) are red.

    Args:
        recordings: {label: recording} of `observe.filters`, one block of images each, or one.
        style: "paper", or "slides" for a projector.

    Returns:
        The figure, with `.caption` and `.numbers`: `limit` (the weight with the deepest colour), and for each label
        `layer`, `norm` (one a filter, in the order they are drawn), `order`, `zero` and `faint` (how many).
    """
    panels = as_networks(recordings, (FiltersRecording,))
    finite = [np.where(np.isfinite(r.weight), r.weight, 0.0) for r in panels.values()]
    limit = max((float(np.abs(_images(w)).max()) for w in finite), default=0.0) or 1.0
    columns = [min(8, math.ceil(math.sqrt(min(len(w), _MOST)))) for w in finite]
    rows = [math.ceil(min(len(w), _MOST) / c) for w, c in zip(finite, columns, strict=True)]
    width = min(7.0, 0.52 * sum(columns) + 0.35 * len(columns))
    height = 0.35 + max(rows) * width / (sum(columns) + 0.8 * len(columns))
    figure = new_figure(max(2.2, width), max(1.1, height), style)
    axes = figure.subplots(1, len(panels), squeeze=False, gridspec_kw={"width_ratios": columns})[0]
    numbers: dict[str, Any] = {}
    for ax, (label, recording), across in zip(axes, panels.items(), columns, strict=True):
        numbers[label] = n = _numbers(recording)
        _mosaic(ax, recording, n["order"][:_MOST], across, limit)
        title(ax, f"{label}: {recording.layer}" if label else recording.layer)
    claims = {label: _claim(n) for label, n in numbers.items()}
    return with_claim(figure, sentences(claims), {"figure": "filters", "limit": limit, "panels": numbers})


def _numbers(recording: FiltersRecording) -> dict[str, Any]:
    with np.errstate(over="ignore", invalid="ignore"):
        norm = np.sqrt((recording.weight**2).sum(axis=(1, 2, 3)))
    norm = np.where(np.isfinite(norm), norm, np.inf)
    order = np.argsort(-norm, kind="stable")
    largest = float(norm[np.isfinite(norm)].max(initial=0.0))
    return {
        "layer": recording.layer,
        "shape": recording.weight.shape[1:],
        "order": order,
        "norm": norm[order],
        "zero": int((norm == 0).sum()),
        "faint": int(((norm < _FAINT * largest) & (norm > 0)).sum()),
        "not_finite": int(np.isinf(norm).sum()),
    }


def _images(weight: Any) -> Any:
    """(F, H, W) or (F, H, W, 3) of weights (F, C, H, W)."""
    return weight.transpose(0, 2, 3, 1) if weight.shape[1] == 3 else weight.mean(axis=1)


def _mosaic(ax: Axes, recording: FiltersRecording, order: Any, across: int, limit: float) -> None:
    height, width = recording.weight.shape[2:]
    colours = colormaps["PuOr"]
    for place, i in enumerate(order):
        weight = recording.weight[i : i + 1]
        image = _images(np.where(np.isfinite(weight), weight, 0.0))[0] / limit
        shown = 0.5 + 0.5 * image if image.ndim == 3 else colours(0.5 + 0.46 * image)[..., :3]
        if not weight.any():
            shown = np.full((height, width, 3), to_rgb(ZERO))
        lost = ~np.isfinite(weight[0]).all(axis=0)
        shown[lost] = to_rgb(BROKEN)
        column, row = place % across, place // across
        left, top = column * _PITCH, row * _PITCH
        side = max(height, width)
        ax.imshow(shown, extent=(left, left + width / side, top + height / side, top), interpolation="nearest")
        ax.plot(
            [left, left + width / side, left + width / side, left, left],
            [top, top, top + height / side, top + height / side, top], color="#c4c4c4", linewidth=0.5,
        )  # fmt: skip
    deep = math.ceil(len(order) / across)
    ax.set_xlim(-0.06, across * _PITCH)
    ax.set_ylim(deep * _PITCH, -0.06)
    ax.set_aspect("equal", anchor="NW")
    ax.axis("off")


def _claim(n: Mapping[str, Any]) -> str:
    norm = np.array(n["norm"], dtype=float)
    known = norm[np.isfinite(norm)]
    if not known.size:
        return f"no filter of {n['layer']} is finite"
    if len(norm) == 1:
        return f"the norm of the only filter of {n['layer']} is {known[0]:.2g}"
    text = f"the norms of the {len(norm)} filters of {n['layer']} lie from {known.min():.2g} to {known.max():.2g}"
    text += f"; {n['faint']} are below a tenth of the largest" if n["faint"] else ""
    text += f"; {n['zero']} are exactly 0" if n["zero"] else ""
    return text + (f"; {n['not_finite']} are not finite (NaN or infinite)" if n["not_finite"] else "")
