"""Infinity and NaN are results, not warnings: as in PyTorch, and as on a GPU, which cannot warn.

Where one appeared is what `md.detect_anomaly()` and the recorders tell. NumPy warns of them unless
`np.errstate(all="ignore")` says otherwise, which takes as long as three small operations. All that `errstate` does is
set one context variable (a thread or async task has its own value); every op sets it directly:

    loud = set_errors(SILENT)
    ...
    reset_errors(loud)
"""

from __future__ import annotations

from contextvars import ContextVar, copy_context
from typing import Any

import numpy as np


def _find_error_state() -> tuple[ContextVar[Any], Any]:
    """NumPy's context variable for floating-point errors, and its value for silence, by looking what changes."""
    before = copy_context()
    with np.errstate(all="ignore"):
        within = copy_context()
    for variable, value in within.items():
        if variable not in before or before[variable] is not value:
            return variable, value
    return ContextVar("unused"), None  # another NumPy, which then warns


ERROR_STATE, SILENT = _find_error_state()
set_errors, reset_errors = (
    ERROR_STATE.set,
    ERROR_STATE.reset,
)  # bound once: Python binds a method of an import at each call
