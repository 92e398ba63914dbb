"""Norms, means and maxima of several arrays together. Each result is a 0-d float64 number on the arrays' device.

Exact zeros give 0; NaN and infinity stay visible; no square underflows or overflows, nor does a sum of float16.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from minidl import backend
from minidl.optim.norms import joined, l2_norm

PIECE = 1024  # numbers that BLAS squares and adds up at a time: on one thread, and losing little

# Sums of squares between these are right to the dtype's precision: what underflowed among the squares cannot be seen.
SAFE = {
    np.dtype(np.float32): (1e-25, 1e37),
    np.dtype(np.float64): (1e-280, 1e307),
}


def norm(arrays: Sequence[Any]) -> Any:
    """The Euclidean norm of all elements of `arrays` together; None if there is no element."""
    if not count_of(arrays):
        return None
    if len(arrays) == 1:
        return _norm_of_one(arrays[0])
    return joined([_norm_of_one(array) for array in arrays])


def _norm_of_one(array: Any) -> Any:
    """The norm in one pass over memory, of a NumPy array whose squares neither underflow nor overflow; else l2_norm."""
    if type(array) is np.ndarray and array.dtype in SAFE:
        with np.errstate(over="ignore", under="ignore", invalid="ignore"):
            total = sum_of_squares(array.ravel(order="K"))
        low, high = SAFE[array.dtype]
        if low < total < high:
            return np.sqrt(total)
    return l2_norm([array])


def sum_of_squares(flat: Any) -> Any:
    """The sum of the squares of a NumPy array of one axis, in float64, from pieces that are added up in its dtype."""
    whole = flat.size - flat.size % PIECE
    rows, rest = flat[:whole].reshape(-1, PIECE), flat[whole:]
    return np.vecdot(rows, rows).sum(dtype=np.float64) + np.float64(np.dot(rest, rest))


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
