"""How to add many numbers without losing the small ones, and how float16 is computed.

float16 has 11 significant bits and ends at 65504. A running sum in it stops growing at 2048 (2048 + 1 = 2048), and
e^12 is infinite already. So what adds many numbers or takes several steps computes float16 in float32 and rounds
once, as PyTorch and CuPy do.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from minidl.backend import module_of

HALF = np.dtype(np.float16)
BLOCK = 64  # rows
ROW = 1024  # numbers that BLAS may add up: it adds them one after the other, on a few lanes


def widened(x: Any) -> Any:
    """x in the dtype to compute with: float32 for float16, float64 for integers and booleans, else x itself."""
    if x.dtype == HALF:
        return x.astype(np.float32)
    return x if x.dtype.kind == "f" else x.astype(np.float64)


def for_products(x: Any) -> Any:
    """The raw array x ready for matrix products: NumPy has no fast one of float16 (a GPU has)."""
    return x.astype(np.float32) if x.dtype == HALF and module_of(x) is np else x


def narrowed(result: Any, x: Any) -> Any:
    """`result`, which was computed from a widened x, in float16 again if x was."""
    if x.dtype != HALF:
        return result
    return result.astype(HALF)


def add_up(x: Any, axis: Any, keepdims: bool = False) -> Any:
    """The sum of a raw array over the axes `axis` (counted from the front), without losing what is small."""
    if x.dtype == HALF:
        return x.sum(axis=axis, keepdims=keepdims, dtype=np.float32).astype(HALF)
    rows = _as_rows(x, axis)
    if rows is None or len(rows) <= 4 * BLOCK:
        return x.sum(axis=axis, keepdims=keepdims)
    sums = _add_rows(rows)
    return sums.reshape([1 if i in axis else n for i, n in enumerate(x.shape)]) if keepdims else sums


def add_products(x: Any, y: Any, axis: tuple[int, ...]) -> Any:
    """The sum of x y over `axis` (counted from the front), kept with length 1, of raw arrays; y is as x, or None for 1.

    Where the last axes are among these, and x and y lie row after row, BLAS multiplies and adds in one pass.
    """
    first = x.ndim
    while first - 1 in axis:
        first -= 1
    part = length = math.prod(x.shape[first:])
    while part > ROW and part % 2 == 0:
        part //= 2
    if type(x) is not np.ndarray or not (x if y is None else y).flags.c_contiguous or not x.flags.c_contiguous:
        part = 0
    if not 1 < part <= ROW:
        return add_up(x if y is None else x * y, axis, keepdims=True)
    rows = (*x.shape[:first], length // part, part)
    sums = np.vecdot(x.reshape(rows), np.ones(part, x.dtype) if y is None else y.reshape(rows))
    kept = [1 if i in axis else n for i, n in enumerate(x.shape)]
    return add_up(sums, (*(i for i in axis if i < first), first)).reshape(kept)


def _as_rows(x: Any, axis: tuple[int, ...] | None) -> Any:
    """x, if the sum over `axis` adds up whole rows of it one by one: over the first axis, or over all pixels with the
    channels last in memory (x is then those rows, (N * ..., C)). Else None, and on a device, which adds in parallel.
    """
    if type(x) is not np.ndarray or x.ndim < 2 or x.dtype.kind != "f":
        return None
    if axis == (0,):
        return x
    if axis != (0, *range(2, x.ndim)) or x.size == 0:
        return None
    pixels = x.transpose((0, *range(2, x.ndim), 1))
    return pixels.reshape((-1, x.shape[1])) if pixels.flags.c_contiguous else None


def _add_rows(x: Any) -> Any:
    """The sum over the first axis, which NumPy would do row after row: slow for short rows, and losing small numbers.

    The first 1/64 of all rows, the second, and so on are added, as if each were one long row; then what that gave. In
    float32 a million rows of 0.1 make 100,958 one after the other, and 100,000 in this way.
    """
    if len(x) <= 4 * BLOCK:
        return x.sum(axis=0)
    part = len(x) // BLOCK
    sums = x[: part * BLOCK].reshape((BLOCK, part, *x.shape[1:])).sum(axis=0)
    return _add_rows(sums) + x[part * BLOCK :].sum(axis=0)
