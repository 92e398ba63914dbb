"""Norms, means and maxima of several arrays together. Each result is a 0-d float64 array on the arrays' device.

Exact zeros give 0; NaN and infinity stay visible; no square underflows (`l2_norm`), nor does a sum of float16.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from minidl import backend
from minidl.optim.norms import l2_norm


def norm(arrays: Sequence[Any]) -> Any:
    """The Euclidean norm of all elements of `arrays` together; None if there is no element."""
    return l2_norm(arrays) if count_of(arrays) else None


def mean_abs(arrays: Sequence[Any]) -> Any:
    """The mean absolute value over all elements of `arrays` together; None if there is no element."""
    count = count_of(arrays)
    if not count:
        return None
    sums = [abs(array).sum(dtype=np.float64) for array in arrays]
    return sum(sums[1:], start=sums[0]) / count


def max_abs(arrays: Sequence[Any]) -> Any:
    """The largest absolute value among all elements of `arrays`; None if there is no element."""
    total = None
    for array in arrays:
        if array.size:
            part = abs(array).max().astype(np.float64)
            total = part if total is None else backend.module_of(part).maximum(total, part)
    return total


def count_of(arrays: Sequence[Any]) -> int:
    """How many elements `arrays` have together."""
    return sum(int(array.size) for array in arrays)
