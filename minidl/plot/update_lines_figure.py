"""update_lines: by which part of its weights each layer moves in a step, as lines with the target at a thousandth."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from minidl.observe import FlowRecording
from minidl.observe.verdict import as_sentence, median_over_steps
from minidl.plot.layer_lines import draw_lines
from minidl.plot.networks import as_networks
from minidl.plot.style import ClaimFigure, with_claim
from minidl.plot.words import listed, part_words

TARGET = 1e-3  # the part of its weights by which a layer is commonly wanted to move in a step


def update_lines(
    recordings: FlowRecording | Mapping[str, FlowRecording], axes: Any = None, style: str = "paper"
) -> ClaimFigure:
    """Draw norm of the update / norm of the weights of each layer over the steps, with a broken line at a thousandth.

    The same numbers as `update_heatmap`, as lines: dark at the input, light at the output.

    Args:
        recordings: one, or {label: recording} of networks to compare, also with other layers.
        axes: axes to draw in, one a network.
        style: "paper", or "slides" for a projector.

    A layer that does not move at all is in a row of its own, below the others; from where something is not finite (NaN
    or infinite) a line ends, with a cross at the upper edge. Of more than 120 recorded steps neighbouring ones are
    drawn as their median, the first and the last as they are.

    Returns:
        The figure, with `.caption` and `.numbers`: for each label `layers`, `steps`, `ratio` (steps x layers), and
        `median_ratio`, over the steps in which it is finite.

    Raises:
        ValueError: nothing was recorded, no updates (no optimizer), or not as many axes as recordings.
    """
    networks = as_networks(recordings, (FlowRecording,))
    figure, lines = draw_lines(networks, _ratio, "|update| / |weights|", axes, style, {TARGET: "1/1000 of the weights"})
    medians = {label: _median(recording) for label, recording in networks.items()}
    numbers = {
        label: {"layers": one.layers, "steps": one.steps, "ratio": one.values, "median_ratio": medians[label]}
        for label, one in lines.items()
    }
    numbers_of_all = {"figure": "update_lines", "target": TARGET, "networks": numbers}
    return with_claim(figure, _claim(networks, medians), numbers_of_all)


def _ratio(label: str, recording: FlowRecording) -> Any:
    recording.row(-1)  # refuses an empty recording
    if np.isnan(recording.update_norm).all() and not recording.not_finite.any():
        raise ValueError(
            f"the recording {label!r} holds no updates: record with the optimizer, GradientFlow(model, optimizer)"
        )
    return np.where(recording.not_finite, np.inf, recording.update_ratio)


def _median(recording: FlowRecording) -> Any:
    ratio = recording.update_ratio
    return median_over_steps(np.where(recording.not_finite | np.isinf(ratio), np.nan, ratio))


def _claim(networks: Mapping[str, FlowRecording], medians: Mapping[str, Any]) -> str:
    """By what part of its weights a step moves the first layer, and the last, in each network."""
    parts = []
    for label, recording in networks.items():
        ends = [0, -1] if len(recording.layers) > 1 else [0]
        words = [f"{recording.layers[i]} by {part_words(medians[label][i])} of its weights" for i in ends]
        text = f"the median step moves {listed(words)}"
        text = f"{label}: {text}" if label else f"{text[:1].upper()}{text[1:]}"
        broken = recording.divergence()
        parts.append(f"{text}." + (f" {as_sentence(broken)}" if broken else ""))
    return " ".join(parts)
