"""decision_boundary: the plane coloured by a network's answer, with the points it learned from."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import to_rgb

from minidl.observe.boundary_recording import BoundaryRecording
from minidl.plot.networks import as_networks
from minidl.plot.style import (
    ARMS,
    BROKEN,
    INK,
    QUIET,
    SMALL,
    ClaimFigure,
    given_axes,
    new_figure,
    sentences,
    tidy,
    title,
    with_claim,
)


def decision_boundary(
    recordings: BoundaryRecording | Mapping[str, BoundaryRecording],
    axes: Axes | Sequence[Axes] | None = None,
    style: str = "paper",
) -> ClaimFigure:
    """Draw which class a network gives to each point of the plane, one panel a network.

    The deeper a colour, the surer the network; the line is where the answer changes. Points have the colour of their
    own class, so a point on ground of another colour is a mistake, ringed in black. Ground where the network's scores
    are not finite (NaN or infinite) is red.

    Args:
        recordings: {label: recording} of `observe.decision_boundary`, or one.
        axes: one for each panel.
        style: "paper", or "slides" for a projector.

    Returns:
        The figure, with `.caption` and `.numbers`: for each label `points`, `wrong`, `accuracy`, `not_finite` (the
        share of the ground), `share` (of the ground that each class gets).
    """
    panels = as_networks(recordings, (BoundaryRecording,))
    if axes is None:
        width = min(7.0, 0.3 + 2.3 * len(panels)) if len(panels) > 1 else 3.3
        tallest = max(float(np.ptp(r.y) / np.ptp(r.x)) for r in panels.values())
        figure = new_figure(width, min(4.0, tallest * width / len(panels)) + 0.5, style)
        axes = list(figure.subplots(1, len(panels), squeeze=False)[0])
    axes = given_axes(axes, len(panels))
    for ax, (label, recording) in zip(axes, panels.items(), strict=True):
        _panel(ax, label, recording)
    numbers = {label: _numbers(recording) for label, recording in panels.items()}
    claims = {label: _claim(n) for label, n in numbers.items()}
    return with_claim(axes[0].figure, sentences(claims), {"figure": "decision_boundary", "panels": numbers})


def _numbers(recording: BoundaryRecording) -> dict[str, Any]:
    classes = max(int(recording.answer.max()), int(recording.labels.max())) + 1
    wrong = recording.point_answer != recording.labels
    return {
        "points": len(recording.labels),
        "wrong": int(wrong.sum()),
        "accuracy": recording.accuracy,
        "not_finite": float((recording.answer < 0).mean()),
        "share": [float((recording.answer == k).mean()) for k in range(classes)],
    }


def _panel(ax: Axes, label: str, recording: BoundaryRecording) -> None:
    classes = max(int(recording.answer.max()), int(recording.labels.max())) + 1
    colours = np.array([to_rgb(ARMS[k % len(ARMS)]) for k in range(classes)])
    sure = np.nan_to_num((recording.confidence * classes - 1) / max(classes - 1, 1))[..., None]  # 0 to 1
    ground = 1 - (0.12 + 0.38 * sure) * (1 - colours[np.maximum(recording.answer, 0)])
    ground[recording.answer < 0] = to_rgb(BROKEN)
    x, y = recording.x, recording.y
    half = (x[1] - x[0]) / 2, (y[1] - y[0]) / 2
    ax.imshow(
        ground, origin="lower", aspect="equal", interpolation="nearest", zorder=1,
        extent=(x[0] - half[0], x[-1] + half[0], y[0] - half[1], y[-1] + half[1]),
    )  # fmt: skip
    for k in range(classes):
        own = (recording.answer == k).astype(float)
        if 0 < own.mean() < 1:
            ax.contour(x, y, own, levels=[0.5], colors=[INK], linewidths=0.9, zorder=2)
        of_class = recording.labels == k
        wrong = of_class & (recording.point_answer != k)
        size = float(np.clip(2500 / max(len(recording.labels), 1), 6, 22))
        for mask, edge, width in ((of_class & ~wrong, "white", 0.4), (wrong, "black", 0.9)):
            x_of, y_of = recording.points[mask].T
            ax.scatter(x_of, y_of, s=size, color=colours[k], edgecolors=edge, linewidths=width, zorder=3)
    ax.set_xlim(x[0], x[-1])
    ax.set_ylim(y[0], y[-1])
    tidy(ax, grid=None)
    ax.set_xticks([])
    ax.set_yticks([])
    title(ax, label)
    ax.set_xlabel(f"{recording.accuracy:.1%} right", fontsize=SMALL, color=QUIET)


def _claim(n: Mapping[str, Any]) -> str:
    text = f"{n['points'] - n['wrong']} of {n['points']} points ({n['accuracy']:.1%}) lie on ground of their own class"
    if n["not_finite"]:
        text += f"; on {n['not_finite']:.0%} of the ground the scores are not finite (NaN or infinite)"
    return text
