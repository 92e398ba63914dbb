"""What a reader of a recording must know, in words: where gradients were read, and what was not seen."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from minidl.observe.verdict import layer_words

_CHANGED = 1e-5  # relative difference of two norms from which the gradient counts as changed in between


@dataclass
class Unseen:
    """What was there and is not in the rows.

    Attributes:
        steps: how many steps were made.
        evaluations: forwards of the model without grad mode.
        left_out: recorded steps in which the model was also called in evaluation mode.
        outputs: the layers that returned no Tensor.
    """

    steps: int = 0
    evaluations: int = 0
    left_out: int = 0
    outputs: set[int] = field(default_factory=set)


def notes_of(
    values: Mapping[str, Any],
    steps: Any,
    has_optimizer: bool,
    most_backwards: int,
    unseen: Unseen,
    layers: Sequence[str],
    stride: int,
) -> list[str]:
    """The notes on a recording with the fields `values`, each (T, L)."""
    notes = [_where_gradients_were_read(values, has_optimizer)]
    if most_backwards > 1:
        notes.append(
            f"gradients were accumulated over up to {most_backwards} backward passes a step; the loss is their sum"
        )
    if len(steps):
        notes += _not_seen(values, unseen, layers)
    if stride > 1:
        notes.append(f"the recording had become long: one in {stride} of the recorded steps is kept, and the last")
    if len(steps) and steps[-1] != steps[0] + unseen.steps - 1:
        last = steps[0] + unseen.steps - 1
        notes.append(f"the last step, {last}, was not recorded: GradientFlow(..., steps={unseen.steps}) does")
    return notes


def _where_gradients_were_read(values: Mapping[str, Any], has_optimizer: bool) -> str:
    if not has_optimizer:
        return "no optimizer was given: gradients were read right after backward(), before any clipping"
    at_step, at_backward = values["layer_gradient_norm"], values["gradient_norm_at_backward"]
    with np.errstate(invalid="ignore"):
        changed = abs(at_step - at_backward) > _CHANGED * at_backward
        changed = (changed | (np.isfinite(at_step) & np.isinf(at_backward))).any(axis=1)
    if not changed.any():
        return "gradients were read when step() began; nothing changed them after backward()"
    with np.errstate(divide="ignore", invalid="ignore"):
        factors = at_step[changed] / at_backward[changed]
    return (
        f"gradients were read after clipping: between backward() and step() they changed in {changed.sum()} of "
        f"{len(changed)} recorded steps (at the least to {np.nanmin(factors):.2g} times their norm)"
    )


def _not_seen(values: Mapping[str, Any], unseen: Unseen, layers: Sequence[str]) -> list[str]:
    notes = []
    never = np.isnan(values["activation_rms"]).all(axis=0)
    no_tensor = np.array([i in unseen.outputs for i in range(len(layers))])
    for chosen, why in (
        (never & ~no_tensor, "no call of it led to the loss"),
        (never & no_tensor, "it gave no Tensor"),
    ):
        if chosen.any():
            notes.append(f"not seen: activation and dL/dh of {layer_words(layers, np.flatnonzero(chosen))} ({why})")
    no_gradient = np.isnan(values["output_gradient_rms"]).all(axis=0) & ~never
    no_gradient &= ~np.isnan(values["weight_gradient_rms"]).all(axis=0)
    if no_gradient.any():
        notes.append(f"not seen: dL/dh of {layer_words(layers, np.flatnonzero(no_gradient))} (no gradient came back)")
    if unseen.left_out:
        notes.append(f"in {unseen.left_out} steps the model was also called in evaluation mode: that is left out")
    if unseen.evaluations:
        notes.append(f"{unseen.evaluations} forward passes without gradients (validation) are left out")
    return notes
