"""Softmax and cross entropy of rows: `rows.cu`.

A row is the last axis; each is given to a warp, 32 threads that add up among themselves. The plain versions are the ops
of `functional/softmax.py` and `functional/classification.py`.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from minidl.backend.arrays import module_of
from minidl.fast.gpu.kernels.launch import arrived, launch_rows

SOURCE = "rows.cu"
_MOST_PIECES = 4096  # of cross entropy, whose parts are added up by one warp


def softmax_rows(x: Any, logarithm: bool = False) -> Any:
    """e^x over its sum along the last axis, or the logarithm of that; float16 computed in float32."""
    out = module_of(x).empty(x.shape, dtype=x.dtype)
    _run("softmax_rows", x, out, *_rows(x), np.int32(logarithm))
    return out


def softmax_rows_gradient(grad: Any, out: Any, logarithm: bool = False) -> Any:
    """dL/dx from dL/dout and out = softmax_rows(x, logarithm)."""
    xp = module_of(grad)
    grad_x = xp.empty(grad.shape, dtype=grad.dtype)
    _run("softmax_rows_gradient", grad, xp.ascontiguousarray(out), grad_x, *_rows(grad), np.int32(logarithm))
    return grad_x


def cross_entropy(x: Any, labels: Any, ignored: int, smoothing: float, mean: bool) -> tuple[Any, Any]:
    """(the cross entropy of the rows of x (N, C) with labels (N,), how many rows count), both 0-d arrays.

    The first is the mean over the rows whose label is not `ignored`, or their sum, in the dtype of x; the second is
    float64. Both are NaN if a label is no class: a GPU cannot raise an error without being waited for.
    """
    xp = module_of(x)
    loss, counted = xp.empty((), dtype=x.dtype), xp.empty((), dtype=np.float64)
    options = _label(ignored), np.float64(smoothing), np.int32(mean)
    length = max(1, -(-len(x) // _MOST_PIECES))
    pieces = max(1, -(-len(x) // length))  # there is a loss also of no rows
    parts = xp.empty((pieces, 2), dtype=np.float64)
    split = np.int32(pieces), np.int64(length)
    launch_rows(
        SOURCE, "cross_entropy", pieces,
        xp.ascontiguousarray(x), _as_labels(labels), loss, counted, parts, arrived(xp), *split, *_rows(x), *options,
    )  # fmt: skip
    return loss, counted


def cross_entropy_gradient(
    x: Any, labels: Any, grad: Any, counted: Any, ignored: int, smoothing: float, mean: bool
) -> Any:
    """dL/dx of `cross_entropy` from dL/dloss, a 0-d array, and the `counted` that it gave."""
    grad_x = module_of(x).empty(x.shape, dtype=x.dtype)
    options = _label(ignored), np.float64(smoothing), np.int32(mean)
    _run("cross_entropy_gradient", x, _as_labels(labels), grad, counted, grad_x, *_rows(x), *options)
    return grad_x


def _rows(x: Any) -> tuple[Any, Any]:
    """How many rows there are, and how long they are."""
    return np.int64(math.prod(x.shape[:-1])), np.int64(x.shape[-1])


def _as_labels(labels: Any) -> Any:
    return module_of(labels).ascontiguousarray(labels.astype(np.int64, copy=False))


def _run(name: str, x: Any, *args: Any) -> None:
    """Run a kernel whose first parameter is x."""
    launch_rows(SOURCE, name, math.prod(x.shape[:-1]), module_of(x).ascontiguousarray(x), *args)


def _label(ignored: int) -> Any:
    """The label to ignore; for one that no int64 can be, the smallest, which nobody uses."""
    smallest = np.iinfo(np.int64).min
    return np.int64(ignored if smallest < ignored <= np.iinfo(np.int64).max else smallest)
