"""The Euclidean norm of several arrays together, such as all gradients of a layer, in one launch: `norms.cu`.

The plain version is `l2_norm` of `optim/norms.py`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from minidl.backend.arrays import hypot, module_of
from minidl.fast.gpu.kernels.launch import THREADS, arrived, kernel

SOURCE = "norms.cu"
_MOST = 100  # as in the source
_PIECE, _MOST_PIECES, _WARPS = 2048, 4096, THREADS // 32
ARRAYS = np.dtype(
    [
        ("data", "u8", _MOST),
        ("size", "i8", _MOST),
        ("length", "i8"),
        ("first_piece", "i4", _MOST + 1),
        ("end", "i4"),  # what makes the size a multiple of 8
    ]
)


def norm_of(arrays: Sequence[Any]) -> Any:
    """||a||_2 over all elements of `arrays`, of one dtype, on the device: a 0-d float64 number there.

    Added in float64, and no square is lost, of however small or large a number. Nobody waits for the device.
    """
    xp = module_of(*arrays)
    total: Any = None
    for start in range(0, len(arrays), _MOST):
        part = _norm_of_some([xp.ascontiguousarray(array) for array in arrays[start : start + _MOST]], xp)
        total = part if total is None else hypot(total, part)
    return total


def _norm_of_some(arrays: list[Any], xp: Any) -> Any:
    described, sizes = np.zeros((), ARRAYS), np.array([array.size for array in arrays])
    length = max(_PIECE, -(-int(sizes.sum()) // _MOST_PIECES))
    ends = np.cumsum(-(-sizes // length))
    pieces = int(ends[-1])
    if pieces == 0:
        return xp.zeros((), dtype=np.float64)
    described["data"][: len(arrays)] = [array.data.ptr for array in arrays]
    described["size"][: len(arrays)] = sizes
    described["length"] = length
    described["first_piece"][1 : len(arrays) + 1] = ends
    result, parts = xp.empty((), dtype=np.float64), xp.empty((pieces, 3), dtype=np.float64)
    run = kernel(xp, SOURCE, "norm_of_arrays", arrays[0].dtype.name)
    run((-(-pieces // _WARPS),), (THREADS,), (described, result, parts, arrived(xp), np.int32(pieces)))
    return result
