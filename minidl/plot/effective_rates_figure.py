"""effective_rates: the learning rate of each layer over the steps, as the optimizer reported it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from minidl.observe import FlowRecording
from minidl.plot.layer_lines import Lines, draw_lines
from minidl.plot.networks import as_networks
from minidl.plot.style import ClaimFigure, with_claim
from minidl.plot.words import factor_words


def effective_rates(
    recordings: FlowRecording | Mapping[str, FlowRecording], axes: Any = None, style: str = "paper"
) -> ClaimFigure:
    """Draw the rate of each layer, lr times the multiplier of its layer rate, over the steps.

    What a method does to single numbers, such as Adam's division, is not in it: what that moves is in `update_lines`.

    Args:
        recordings: one, or {label: recording} to compare.
        axes: axes to draw in, one a recording.
        style: "paper", or "slides" for a projector.

    Of more than 120 recorded steps neighbouring ones are drawn as their median, the first and the last as they are.

    Returns:
        The figure, with `.caption` and `.numbers`: for each label `layers`, `steps`, `rate` (steps x layers), and
        `spread`, the largest over the smallest rate at the first and at the last step.

    Raises:
        ValueError: nothing was recorded, no rates (no optimizer), or not as many axes as recordings.
    """
    networks = as_networks(recordings, (FlowRecording,))
    figure, lines = draw_lines(networks, _rate, "learning rate of the layer", axes, style)
    spreads = {label: [_spread(one.values[i]) for i in (0, -1)] for label, one in lines.items()}
    numbers = {
        label: {"layers": one.layers, "steps": one.steps, "rate": one.values, "spread": spreads[label]}
        for label, one in lines.items()
    }
    claims = []
    for label, one in lines.items():
        text = _claim(one, spreads[label])
        claims.append(f"{label}: {text}" if label else f"{text[:1].upper()}{text[1:]}")
    return with_claim(figure, " ".join(claims), {"figure": "effective_rates", "networks": numbers})


def _rate(label: str, recording: FlowRecording) -> Any:
    recording.row(-1)  # refuses an empty recording
    if np.isnan(recording.rate).all() and not np.isinf(recording.rate).any():
        raise ValueError(
            f"the recording {label!r} holds no rates: record with the optimizer, GradientFlow(model, optimizer)"
        )
    return recording.rate


def _spread(rates: Any) -> float:
    known = rates[np.isfinite(rates) & (rates > 0)]
    return float(known.max() / known.min()) if known.size else np.nan


def _claim(lines: Lines, spread: list[float]) -> str:
    first, last = int(lines.steps[0]), int(lines.steps[-1])
    if all(np.isnan(factor) for factor in spread):
        return f"no layer has a finite rate other than 0 at step {first} or at step {last}."
    if all(factor < 1.0005 for factor in spread if not np.isnan(factor)):
        return f"every layer has the same rate: {_known(lines.values[0]):.3g} at step {first}" + (
            "." if last == first else f", {_known(lines.values[-1]):.3g} at step {last}."
        )
    row = 0 if not np.isnan(spread[0]) else -1
    rates = np.where(np.isfinite(lines.values[row]) & (lines.values[row] > 0), lines.values[row], np.nan)
    most, least = (lines.layers[int(pick(rates))] for pick in (np.nanargmax, np.nanargmin))
    text = f"at step {first if row == 0 else last} {most} learns {factor_words(spread[row])} times as fast as {least}"
    if last != first and row == 0 and not np.isnan(spread[1]):
        text += f"; at step {last} the largest rate is {factor_words(spread[1])} times the smallest"
    return f"{text}."


def _known(rates: Any) -> float:
    known = rates[np.isfinite(rates)]
    return float(known[0]) if known.size else np.nan
