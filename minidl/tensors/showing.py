"""How a Tensor shows itself: its values if they are few, else one line about them (`summary_line.py`)."""

from __future__ import annotations

from typing import Any

import numpy as np

from minidl import backend
from minidl.tensors.array import DEFAULT_DTYPE
from minidl.tensors.summary_line import summary_line

FEW = 100  # numbers, that are shown all


def shown(x: Any) -> str:
    """What `repr(x)` is. It never raises: a debugger asks also for what is half made, or can no longer be read."""
    try:
        if x._writes is not None and x._writes.stale is not None:
            return f"Tensor(<stale: {x._writes.stale}>)"
        return summary_line(x) if x._data.size > FEW else _values(x)
    except Exception as error:
        return f"Tensor(<cannot be shown: {type(error).__name__}: {error}>)"


def _values(x: Any) -> str:
    values = np.array2string(backend.to_numpy(x._data), separator=", ", prefix="Tensor(")
    notes = [f", dtype={x.dtype}"] if x.dtype != DEFAULT_DTYPE else []
    notes += [f", name={x.name!r}"] if x.name else []
    notes += [", device='cupy'"] if x.device == "cupy" else []
    if x._op is not None:
        notes.append(f", op={x._op.plain.__name__}")
    elif x._requires_grad:
        notes.append(", requires_grad=True")
    return f"Tensor({values}{''.join(notes)})"
