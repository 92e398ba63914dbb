"""who_learned: how far each layer has moved from its first weights, which layers moved at all."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from minidl.observe import FlowRecording
from minidl.plot.layer_lines import Lines, draw_lines
from minidl.plot.networks import as_networks
from minidl.plot.style import ClaimFigure, with_claim
from minidl.plot.words import listed, part_words

MOVED = 0.01  # a layer that moved by less than this part of its first weights has learned next to nothing


def who_learned(
    recordings: FlowRecording | Mapping[str, FlowRecording], axes: Any = None, style: str = "paper"
) -> ClaimFigure:
    """Draw ||w(t) - w(0)|| / ||w(0)|| of the weights of each layer over the steps.

    How far a layer is from where it began, not how far it went: it may have come back.

    Args:
        recordings: one of `GradientFlow(model, optimizer, distances=True)`, or {label: recording} to compare.
        axes: axes to draw in, one a network.
        style: "paper", or "slides" for a projector.

    A layer that is where it began is in a row of its own, below the others. Of more than 120 recorded steps
    neighbouring ones are drawn as their median, the first and the last as they are.

    Returns:
        The figure, with `.caption` and `.numbers`: for each label `layers`, `steps`, `distance` (steps x layers).

    Raises:
        ValueError: nothing was recorded, no distances, or not as many axes as recordings.
    """
    networks = as_networks(recordings, (FlowRecording,))
    figure, lines = draw_lines(networks, _distance, "distance from the first weights", axes, style)
    numbers = {
        label: {"layers": one.layers, "steps": one.steps, "distance": one.values} for label, one in lines.items()
    }
    claims = []
    for label, one in lines.items():
        text = _claim(one)
        claims.append(f"{label}: {text}" if label else f"{text[:1].upper()}{text[1:]}")
    return with_claim(figure, " ".join(claims), {"figure": "who_learned", "moved": MOVED, "networks": numbers})


def _distance(label: str, recording: FlowRecording) -> Any:
    recording.row(-1)  # refuses an empty recording
    if np.isnan(recording.distance).all():
        raise ValueError(
            f"the recording {label!r} holds no distances from the first weights: record them with "
            f"GradientFlow(model, optimizer, distances=True)"
        )
    start = recording.weight_norm[0]
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        ratio = recording.distance / start
    ratio = np.where(np.isinf(recording.distance), np.inf, np.where(start > 0, ratio, np.nan))
    return np.where(recording.distance == 0, 0.0, ratio)  # 0/0: weights of 0 that stayed 0


def _claim(lines: Lines) -> str:
    last = lines.values[-1]
    finite = np.isfinite(last)
    if not finite.any():
        return f"at step {int(lines.steps[-1])} no layer has a finite distance from its first weights."
    most, least = int(np.argmax(np.where(finite, last, -1))), int(np.argmin(np.where(finite, last, np.inf)))
    ends = [most] if most == least else [most, least]
    words = [f"{lines.layers[i]} has moved by {part_words(float(last[i]))} of its first weights" for i in ends]
    text = f"after step {int(lines.steps[-1])} {listed(words)}"
    still = np.flatnonzero(finite & (last < MOVED))
    if still.size and len(last) > 1:
        text += f"; {still.size} of {len(last)} layers moved by less than {part_words(MOVED)}"
    return f"{text}."
