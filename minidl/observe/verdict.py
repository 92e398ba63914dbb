"""Verdicts in words: what a recording shows, each sentence with its number.

The pieces are functions of plain arrays, so that figures and reports state the same numbers.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

LEVEL = 0.1  # decades per layer: a slope below it (a factor 1.26 a layer) is called level
BARELY = 1e-4  # an update below this part of the weights is called barely learning
BARELY_WORDS = "1e-4"


def decades_per_layer(sizes: Any) -> float:
    """The slope of log10(sizes) over the layers, by least squares: > 0 if they shrink from the output to the input.

    Args:
        sizes: (L,) one number a layer, input to output. Zeros, NaN and infinities have no logarithm and are left out.

    Returns:
        Decades per layer, or NaN with fewer than two numbers to fit.
    """
    sizes = np.asarray(sizes, dtype=np.float64)
    usable = np.isfinite(sizes) & (sizes > 0)
    if usable.sum() < 2:
        return float("nan")
    layer = np.flatnonzero(usable).astype(np.float64)
    logs = np.log10(sizes[usable])
    layer -= layer.mean()
    return float((layer * (logs - logs.mean())).sum() / (layer**2).sum())


def median_over_steps(values: Any) -> Any:
    """(L,) the median of (T, L) over the steps that have a number; NaN for a layer that has none."""
    values = np.asarray(values, dtype=np.float64)
    medians = np.full(values.shape[1], np.nan)
    for i, column in enumerate(values.T):
        known = column[~np.isnan(column)]
        if known.size:
            medians[i] = np.median(known)
    return medians


def name_run(names: Sequence[str], chosen: Sequence[int]) -> str:
    """Words for some of the layers: "fc1 to fc4", "fc1, fc3 and fc4"."""
    runs: list[list[int]] = []
    for i in sorted(chosen):
        if runs and i == runs[-1][-1] + 1:
            runs[-1].append(i)
        else:
            runs.append([i])
    words: list[str] = []
    for run in runs:
        words += [f"{names[run[0]]} to {names[run[-1]]}"] if len(run) > 2 else [names[i] for i in run]
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} and {words[-1]}"


def slope_words(slope: float) -> str:
    """A slope of the gradient in words: "falls 0.60 decades a layer from the output to the input"."""
    if np.isnan(slope):
        return "cannot be fitted (fewer than two layers have a gradient other than 0)"
    if abs(slope) < LEVEL:
        return f"is level ({slope:+.2f} decades a layer towards the output)"
    return f"{'falls' if slope > 0 else 'grows'} {abs(slope):.2f} decades a layer from the output to the input"


def slope_change_words(slopes: Sequence[float], steps: Sequence[int]) -> str:
    """The slope at the first and the last of `steps`: "falls 0.60 decades a layer ... at step 0, 0.35 at step 99"."""
    first, last = slopes[0], slopes[-1]
    words = f"{slope_words(first)} at step {steps[0]}"
    if len(steps) == 1:
        return words
    if min(abs(first), abs(last)) >= LEVEL and first * last > 0:
        return f"{words}, {abs(last):.2f} at step {steps[-1]}"
    return f"{words} and {slope_words(last)} at step {steps[-1]}"


def flow_verdict(
    layers: Sequence[str],
    steps: Any,
    output_gradient_rms: Any,
    update_ratio: Any,
    weight_gradient_rms: Any,
    notes: Sequence[str] = (),
) -> str:
    """The verdict on a recording of gradient flow: how the gradient runs, where nothing is learned, what to know."""
    if not len(steps):
        return "nothing was recorded: the block held no complete step"
    parts: list[str] = []
    ends = [0, -1] if len(steps) > 1 else [0]
    slopes = [decades_per_layer(output_gradient_rms[t]) for t in ends]
    parts.append(f"the back-propagated gradient {slope_change_words(slopes, [int(steps[t]) for t in ends])}")

    broken = np.flatnonzero((~np.isfinite(weight_gradient_rms) & ~np.isnan(output_gradient_rms)).any(axis=0))
    if broken.size:
        parts.append(f"{_layer_words(layers, broken)} had a gradient that is missing or not finite")
    zero = np.flatnonzero((weight_gradient_rms == 0).any(axis=0))
    if zero.size:
        share = float((weight_gradient_rms[:, zero] == 0).mean())
        parts.append(f"{_layer_words(layers, zero)} got a gradient of exactly 0 in {share:.0%} of the steps")

    ratio = median_over_steps(update_ratio)
    known = ~np.isnan(ratio)
    if known.any():
        slow = np.flatnonzero(ratio < BARELY)
        if slow.size:
            verb = "updates" if slow.size == 1 else "update"
            parts.append(
                f"{_layer_words(layers, slow)} {verb} below {BARELY_WORDS} of the weights a step "
                f"(median; smallest {np.nanmin(ratio):.1e})"
            )
        else:
            parts.append(
                f"every layer updates by at least {BARELY_WORDS} of its weights a step "
                f"(median; from {np.nanmin(ratio):.1e} to {np.nanmax(ratio):.1e})"
            )
    return "; ".join([*parts, *notes]) + "."


def _layer_words(layers: Sequence[str], chosen: Any) -> str:
    return f"layer{'' if len(chosen) == 1 else 's'} {name_run(layers, [int(i) for i in chosen])}"
