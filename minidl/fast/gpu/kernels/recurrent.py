"""A recurrent layer over all time steps with two launches a step, one of them a product: `recurrent.cu`.

The op `ThroughTime` (`minidl/fast/through_time.py`) computes the same with some twenty launches a step of an LSTM.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from minidl.backend.arrays import module_of
from minidl.fast.cpu.threads import product
from minidl.fast.gpu.kernels.launch import launch
from minidl.types import Array

SOURCE = "recurrent.cu"
PARTS = {"tanh": 1, "relu": 1, "lstm": 4, "gru": 4}  # arrays (N, H) that are kept of a step


def through_time(
    kind: str, from_input: Array, weight_hh: Array, bias_hh: Array, state: Sequence[Array]
) -> tuple[Array, Array]:
    """(the states (S, T, N, H) after each step, the parts (T, PARTS, N, H) of each), as `ThroughTime` explains them.

    Args:
        kind: one of `PARTS`.
        from_input: (T, N, G H), float32 or float64; the other arrays are of the same dtype.
        weight_hh, bias_hh: (G H, H), and (G H,) or None.
        state: the first, S arrays (N, H).
    """
    xp, (steps, samples, rows) = module_of(from_input), from_input.shape
    size = weight_hh.shape[1]
    from_input, *state = (xp.ascontiguousarray(array) for array in (from_input, *state))
    bias_hh = None if bias_hh is None else xp.ascontiguousarray(bias_hh)
    out = xp.empty((len(state), steps, samples, size), dtype=from_input.dtype)
    parts = xp.empty((steps, PARTS[kind], samples, size), dtype=from_input.dtype)
    from_state = xp.empty((samples, rows), dtype=from_input.dtype)
    sizes = np.int64(samples * size), np.int64(size)
    for t in range(steps):
        product(state[0], weight_hh.T, out=from_state)
        after = [states[t] for states in out]
        cell = after[-1] if len(after) > 1 else None
        launch(
            SOURCE, f"{kind}_step", samples * size, from_input[t], from_state, bias_hh, state[-1], parts[t], after[0],
            cell, *sizes,
        )  # fmt: skip
        state = after
    return out, parts


def back_through_time(
    kind: str, grad_out: Array, weight_hh: Array, parts: Array, state: Sequence[Array], out: Array
) -> tuple[Array, Array, list[Array]]:
    """From dL/dout the gradients of from_input and of all W_hh h + b_hh, both (T, N, G H), and of the first state.

    Args:
        state: the first.
        parts, out: what `through_time` gave.
    """
    xp, (steps, samples, size) = module_of(grad_out), grad_out.shape[1:]
    grad_out, *state = (xp.ascontiguousarray(array) for array in (grad_out, *state))
    of_input = xp.empty((steps, samples, len(weight_hh)), dtype=grad_out.dtype)
    of_state = xp.empty_like(of_input) if kind == "gru" else of_input
    later, direct = xp.zeros((2, samples, size), dtype=grad_out.dtype)
    sizes = np.int64(samples * size), np.int64(size)
    for t in reversed(range(steps)):
        grad_cell = grad_out[1, t] if len(state) > 1 else None
        before = out[-1, t - 1] if t > 0 else state[-1]
        launch(
            SOURCE, f"{kind}_step_back", samples * size, grad_out[0, t], grad_cell, later, direct, parts[t], before,
            out[-1, t], of_input[t], None if of_state is of_input else of_state[t], *sizes,
        )  # fmt: skip
        product(of_state[t], weight_hh, out=later)
    if kind == "gru":
        later += direct
    return of_input, of_state, [later, direct][: len(state)]
