"""How float16 is computed: what adds many numbers or takes several steps runs in float32 and is rounded once.

float16 has 11 significant bits and ends at 65504. A running sum in it stops growing at 2048 (2048 + 1 = 2048), and
e^12 is infinite already. PyTorch and CuPy compute its sums and formulas in float32 too.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from minidl.backend import module_of

HALF = np.dtype(np.float16)


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


def add_up(x: Any, axis: tuple[int, ...] | int | None, keepdims: bool = False) -> Any:
    """The sum of a raw array over `axis`; of float16 without losing what is small."""
    if x.dtype != HALF:
        return x.sum(axis=axis, keepdims=keepdims)
    return x.sum(axis=axis, keepdims=keepdims, dtype=np.float32).astype(HALF)
