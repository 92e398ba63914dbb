"""Norms, means and maxima of several arrays together. Each result is a 0-d float64 number on the arrays' device.

Exact zeros give 0; NaN and infinity stay visible; no square underflows or overflows, nor does a sum of float16.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from minidl import backend
from minidl.backend import SILENT, reset_errors, set_errors
from minidl.optim.norms import joined, l2_norm

SHORT = 8192  # numbers that BLAS squares and adds up in one call: on one thread, and losing little
PIECE = 1024  # of more numbers, so many at a time

# Sums of n squares between n times the first of these and the second are right to the dtype's precision. Below, squares
# that underflowed may be missing from them; above, they may have overflowed.
LIFT = np.float32(2.0**100)  # float32 numbers with squares below: so many times as large, they have none that underflow
SAFE = {
    np.dtype(np.float32): (1e-32, 1e37),
    np.dtype(np.float64): (1e-293, 1e307),
}


def norm(arrays: Sequence[Any]) -> Any:
    """The Euclidean norm of all elements of `arrays` together; None if there is no element."""
    if len(arrays) == 1:
        return _norm_of_one(arrays[0]) if arrays[0].size else None
    return joined([_norm_of_one(array) for array in arrays]) if count_of(arrays) else None


def _norm_of_one(array: Any) -> Any:
    """The norm in one pass over memory, of a NumPy array whose squares neither underflow nor overflow; else l2_norm."""
    if type(array) is np.ndarray and array.dtype in SAFE:
        low, high = SAFE[array.dtype]
        flat = array.reshape(-1) if array.flags.c_contiguous else array.ravel("K")
        total = sum_of_squares(flat)
        if low * array.size < total < high:
            return np.float64(math.sqrt(total))
        if array.dtype == np.float32 and total <= low * array.size:
            return np.float64(math.sqrt(sum_of_squares(flat * LIFT)) / LIFT)
    loud = set_errors(SILENT)
    try:
        return l2_norm([array])
    finally:
        reset_errors(loud)


def sum_of_squares(flat: Any) -> float:
    """The sum of the squares of a NumPy array of one axis, from pieces that are added up in its dtype."""
    loud = set_errors(SILENT)
    try:
        if flat.size <= SHORT:
            return float(np.dot(flat, flat))
        whole = flat.size - flat.size % PIECE
        rows, rest = flat[:whole].reshape(-1, PIECE), flat[whole:]
        return float(np.vecdot(rows, rows).sum(dtype=np.float64)) + float(np.dot(rest, rest))
    finally:
        reset_errors(loud)


def mean_and_max_abs(arrays: Sequence[Any], scratch: dict[str, Any]) -> tuple[Any, Any]:
    """The mean and the largest absolute value, as `mean_abs` and `max_abs`; None twice if there is no element.

    Args:
        arrays: whose.
        scratch: keeps memory from one call to the next.
    """
    if len(arrays) == 1 and type(arrays[0]) is np.ndarray and arrays[0].dtype in SAFE and arrays[0].size > SHORT:
        flat = arrays[0].ravel("K")
        sizes = scratch.get("sizes")
        if sizes is None or sizes.size != flat.size or sizes.dtype != flat.dtype:
            sizes = scratch["sizes"] = np.empty_like(flat)
            scratch["ones"] = np.ones(PIECE, dtype=flat.dtype)
        np.abs(flat, out=sizes)
        whole = flat.size - flat.size % PIECE
        loud = set_errors(SILENT)
        try:
            total = np.vecdot(sizes[:whole].reshape(-1, PIECE), scratch["ones"]).sum(dtype=np.float64)
        finally:
            reset_errors(loud)
        total += sizes[whole:].sum(dtype=np.float64)
        if np.isfinite(total):
            return total / flat.size, np.float64(sizes.max())
    return mean_abs(arrays), max_abs(arrays)


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
