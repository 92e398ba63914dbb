"""A time step of a recurrent layer in one launch, forward and backward, beside a product with W_hh: `recurrent.cu`.

The loops over all time steps are in `fast/gpu/through_time.py`.
"""

from __future__ import annotations

import numpy as np

from minidl.fast.gpu.kernels.launch import launch
from minidl.types import Array

SOURCE = "recurrent.cu"
PARTS = {"tanh": 1, "relu": 1, "lstm": 4, "gru": 4}  # arrays (N, H) that are kept of a step: see `ThroughTime`


def recurrent_step(
    kind: str,
    from_input: Array,
    from_state: Array,
    bias_hh: Array | None,
    before: Array,
    parts: Array,
    hidden: Array,
    cell: Array | None,
) -> None:
    """One step forward: writes the parts (PARTS, N, H), the hidden state and, of an LSTM, the cell, (N, H) each.

    Args:
        kind: one of `PARTS`.
        from_input, from_state: (N, G H), W_ih x + b_ih and W_hh h, without b_hh, float32 or float64.
        bias_hh: (G H,), b_hh, or None.
        before: (N, H), the hidden state of the step before; of an LSTM its cell.
        parts, hidden, cell: where the results are written; `cell` is None but for an LSTM.
    """
    units, size = np.int64(hidden.size), np.int64(hidden.shape[1])
    arrays = (from_input, from_state, bias_hh, before, parts, hidden, cell)
    launch(SOURCE, f"{kind}_step", hidden.size, *arrays, units, size)


def recurrent_step_back(
    kind: str,
    grad_hidden: Array,
    grad_cell: Array | None,
    later: Array,
    direct: Array,
    parts: Array,
    before: Array,
    after: Array,
    grad_from_input: Array,
    grad_from_state: Array | None,
) -> None:
    """One step backward: writes the gradients of from_input and of from_state, (N, G H) each, and `direct`.

    Args:
        kind: one of `PARTS`.
        grad_hidden, grad_cell: (N, H), dL/dh and, of an LSTM, dL/dc of this step, without what comes from later steps.
        later: (N, H), what comes from the step after through the product with W_hh.
        direct: (N, H), what comes from the step after on another way; then what goes so to the step before.
        parts: (PARTS, N, H), what the step forward wrote.
        before, after: (N, H), the hidden state before and after the step; of an LSTM the cell.
        grad_from_input, grad_from_state: where the results are written. Only of a GRU they differ; else the second is
            None.
    """
    units, size = np.int64(grad_hidden.size), np.int64(grad_hidden.shape[1])
    arrays = (grad_hidden, grad_cell, later, direct, parts, before, after, grad_from_input, grad_from_state)
    launch(SOURCE, f"{kind}_step_back", grad_hidden.size, *arrays, units, size)
