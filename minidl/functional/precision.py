"""How to add many numbers without losing the small ones, and how float16 is computed.

float16 has 11 significant bits and ends at 65504. A running sum in it stops growing at 2048 (2048 + 1 = 2048), and
e^12 is infinite already. So what adds many numbers or takes several steps computes float16 in float32 and rounds
once, as PyTorch and CuPy do.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from minidl.backend import module_of

HALF = np.dtype(np.float16)
BLOCK = 64  # rows


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


def add_up(x: Any, axis: tuple[int, ...] | None, keepdims: bool = False) -> Any:
    """The sum of a raw array over the axes `axis` (counted from the front), without losing what is small."""
    if x.dtype == HALF:
        return x.sum(axis=axis, keepdims=keepdims, dtype=np.float32).astype(HALF)
    if axis == (0,) and x.ndim > 1 and len(x) > 4 * BLOCK and x.dtype.kind == "f":
        return _add_rows(x).reshape((1, *x.shape[1:]) if keepdims else x.shape[1:])
    return x.sum(axis=axis, keepdims=keepdims)


def _add_rows(x: Any) -> Any:
    """The sum over the first axis, in blocks of rows: NumPy adds rows one after the other to one total.

    In float32 a million rows of 0.1 make 100,958 that way, and 100,000 in blocks.
    """
    blocks = len(x) // BLOCK
    whole = x[: blocks * BLOCK].reshape((blocks, BLOCK, *x.shape[1:]))
    sums = add_up(whole.sum(axis=1), (0,))
    return sums + x[blocks * BLOCK :].sum(axis=0)
