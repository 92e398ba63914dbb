"""How to add many numbers without losing the small ones, and how float16 is computed.

float16 has 11 significant bits and ends at 65504. A running sum in it stops growing at 2048 (2048 + 1 = 2048), and
e^12 is infinite already. So an op that adds up many numbers, or takes several steps, computes float16 in float32 and
rounds once at the end, as PyTorch and CuPy do. float32 has the same weakness further out: a million times 0.1, added
one after the other, is 100,958. So sums of float32 are added up in float64.
"""

from __future__ import annotations

import numpy as np

from minidl.types import Array, ArrayOrTensor, Axis

HALF = np.dtype(np.float16)
_WIDER = {np.dtype(np.float16): np.float32, np.dtype(np.float32): np.float64}  # the dtype in which a sum is added up


def widened(x: ArrayOrTensor) -> ArrayOrTensor:
    """x in the dtype to compute with: float32 for float16, float64 for integers and booleans, else x itself."""
    if x.dtype == HALF:
        return x.astype(np.float32)
    return x if x.dtype.kind == "f" else x.astype(np.float64)


def narrowed(result: ArrayOrTensor, x: ArrayOrTensor) -> ArrayOrTensor:
    """`result`, which was computed from widened(x), rounded to float16 if x is float16; else `result` itself."""
    return result.astype(HALF) if x.dtype == HALF else result


def add_up(x: Array, axis: Axis, keepdims: bool = False) -> Array:
    """The sum of a raw array over `axis` in x's dtype, added up in the next wider one."""
    if x.dtype not in _WIDER:
        return x.sum(axis=axis, keepdims=keepdims)
    return x.sum(axis=axis, keepdims=keepdims, dtype=_WIDER[x.dtype]).astype(x.dtype)
