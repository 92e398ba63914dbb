"""Verdicts in words: what a recording shows, each sentence with its number.

The pieces are functions of plain arrays, so that figures and reports state the same numbers.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from minidl.errors import printable

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
        return "cannot be fitted (fewer than two layers have a finite gradient other than 0)"
    if abs(slope) < LEVEL:
        return f"is level ({slope:+.2f} decades a layer towards the output)"
    return f"{'falls' if slope > 0 else 'grows'} {abs(slope):.2f} decades a layer from the output to the input"


def slope_change_words(slopes: Sequence[float], steps: Sequence[int]) -> str:
    """The slope at the first and the last of `steps`: "falls 0.60 decades a layer ... at step 0, 0.35 at step 99"."""
    first, last = slopes[0], slopes[-1]
    words = f"{slope_words(first)} at step {steps[0]}"
    if len(steps) == 1:
        return words
    if np.isnan(first) and np.isnan(last):
        return f"{words} and at step {steps[-1]}"
    if min(abs(first), abs(last)) >= LEVEL and first * last > 0:
        return f"{words}, {abs(last):.2f} at step {steps[-1]}"
    return f"{words} and {slope_words(last)} at step {steps[-1]}"


def broken_steps(loss: Any, not_finite: Any) -> Any:
    """(T,) in which steps the loss, or something in a layer (T, L), was not finite.

    A loss of NaN says nothing by itself: it may have been no single number, or not there at all.
    """
    return np.asarray(not_finite).any(axis=1) | np.isinf(loss)


def first_of_the_rest(true: Any) -> int | None:
    """Where the run of true values begins that ends `true` (T,); None if its last value is false, or there is none."""
    false = np.flatnonzero(~np.asarray(true, dtype=bool))
    first = int(false[-1]) + 1 if false.size else 0
    return first if first < len(true) else None


def divergence_words(
    layers: Sequence[str], steps: Any, loss: Any, not_finite: Any, gradient_not_finite: Any
) -> list[str]:
    """When a training diverged, and in how many steps before that something was not finite; nothing if never.

    Args:
        layers, steps: the names (L,) and numbers (T,).
        loss: (T,).
        not_finite, gradient_not_finite: (T, L) where anything, and where a gradient, was not finite.
    """
    broken = broken_steps(loss, not_finite)
    if not broken.any():
        return []
    words: list[str] = []
    first = first_of_the_rest(broken)
    seen = first_of_the_rest(broken_steps(loss, gradient_not_finite))  # in the loss or in a gradient
    if seen is not None:
        lost = np.flatnonzero(gradient_not_finite[seen:].any(axis=0))
        what = [] if np.isfinite(loss[seen:]).all() else ["loss"]
        if lost.size:
            what.append("gradients" if lost.size == len(layers) else f"gradients of {layer_words(layers, lost)}")
        is_not = "is not finite" if what == ["loss"] else "are not finite"
        words.append(f"from step {int(steps[seen])} on {' and '.join(what)} {is_not}: it diverged")
        if first is not None and first < seen:
            words[-1] += f", after an update in step {int(steps[first])} that was not finite"
    elif first is not None:
        lost = np.flatnonzero(not_finite[first:].any(axis=0))
        words.append(
            f"from step {int(steps[first])} on activations, weights or updates of {layer_words(layers, lost)} are not "
            f"finite: it diverged"
        )
    before = broken[:first]
    if before.any():
        lost = np.flatnonzero(not_finite[:first].any(axis=0))
        where = f" ({layer_words(layers, lost)})" if lost.size else ""
        words.append(f"loss or gradients were not finite in {before.sum()} of {len(steps)} steps{where}")
    return words


def as_sentence(clauses: Sequence[str]) -> str:
    """Clauses as one sentence, with a capital letter and a full stop."""
    text = "; ".join(clauses)
    return f"{text[:1].upper()}{text[1:]}."


def flow_verdict(
    layers: Sequence[str],
    steps: Any,
    output_gradient_rms: Any,
    update_ratio: Any,
    weight_gradient_rms: Any,
    notes: Sequence[str] = (),
    loss: Any = None,
    not_finite: Any = None,
    alike: Any = None,
) -> str:
    """The verdict on a recording of gradient flow: did it diverge, how does the gradient run, where is nothing learned?

    `loss` (T,) and `not_finite` (T, L) are those of the recording; slope and updates are taken where all was finite.
    The slope is over the layers `alike` (L,), or all.
    """
    if not len(steps):
        return "nothing was recorded: the block held no complete step"
    gradient_not_finite = np.isinf(output_gradient_rms) | np.isinf(weight_gradient_rms)
    not_finite = gradient_not_finite if not_finite is None else not_finite
    loss = np.zeros(len(steps)) if loss is None else np.asarray(loss)
    parts = divergence_words(layers, steps, loss, not_finite, gradient_not_finite)
    finite = np.flatnonzero(~gradient_not_finite.any(axis=1))
    if finite.size:
        ends = [finite[0], finite[-1]] if finite.size > 1 else [finite[0]]
        alike = np.ones(len(layers), dtype=bool) if alike is None else alike
        slopes = [decades_per_layer(output_gradient_rms[t][alike]) for t in ends]
        parts.append(f"the back-propagated gradient {slope_change_words(slopes, [int(steps[t]) for t in ends])}")

    missing = np.flatnonzero((np.isnan(weight_gradient_rms) & ~np.isnan(output_gradient_rms)).any(axis=0))
    if missing.size:
        parts.append(f"{layer_words(layers, missing)} had a gradient that is missing or not finite")
    zero = np.flatnonzero((weight_gradient_rms == 0).any(axis=0))
    if zero.size:
        share = float((weight_gradient_rms[:, zero] == 0).mean())
        parts.append(f"{layer_words(layers, zero)} got a gradient of exactly 0 in {share:.0%} of the steps")

    ratio = median_over_steps(np.where(np.isfinite(update_ratio) & ~not_finite, update_ratio, np.nan))
    known = ~np.isnan(ratio)
    if known.any():
        slow = np.flatnonzero(ratio < BARELY)
        if slow.size:
            verb = "updates" if slow.size == 1 else "update"
            parts.append(
                f"{layer_words(layers, slow)} {verb} below {BARELY_WORDS} of the weights a step "
                f"(median; smallest {np.nanmin(ratio):.1e})"
            )
        else:
            parts.append(
                f"every layer updates by at least {BARELY_WORDS} of its weights a step "
                f"(median; from {np.nanmin(ratio):.1e} to {np.nanmax(ratio):.1e})"
            )
    return printable("; ".join([*parts, *notes])) + "."


def layer_words(layers: Sequence[str], chosen: Any) -> str:
    """Words for some of the layers: "layer fc1", "layers fc1 to fc4"."""
    return f"layer{'' if len(chosen) == 1 else 's'} {name_run(layers, [int(i) for i in chosen])}"
