"""Softmax and cross entropy of rows, each with a kernel for the GPU and a plain version beside it.

A row is the last axis. The kernels, in `rows.cu`, give each row to a warp, 32 threads that add up among themselves.
"""

from __future__ import annotations

import math
from functools import cache
from types import ModuleType
from typing import Any

import numpy as np

from minidl.backend.arrays import module_of
from minidl.backend.kernels.launch import THREADS, kernel, kernels_for

SOURCE = "rows.cu"
_WARP = 32
_MOST_BLOCKS = 4096  # a warp takes several rows where there are more


def softmax_rows(x: Any, logarithm: bool = False) -> Any:
    """e^x over its sum along the last axis, or the logarithm of that; float16 computed in float32."""
    if not _ready(x):
        wide = x.astype(np.float32) if x.dtype == np.float16 else x
        shifted = wide - wide.max(axis=-1, keepdims=True) if x.size else wide
        powers = module_of(x).exp(shifted)
        total = powers.sum(axis=-1, keepdims=True)
        return (shifted - module_of(x).log(total) if logarithm else powers / total).astype(x.dtype, copy=False)
    xp = module_of(x)
    out = xp.empty(x.shape, dtype=x.dtype)
    rows, n = _rows(x)
    _launch("softmax_rows", rows, xp.ascontiguousarray(x), out, rows, n, np.int32(logarithm))
    return out


def softmax_rows_gradient(grad: Any, out: Any, logarithm: bool = False) -> Any:
    """dL/dx from dL/dout and out = softmax_rows(x, logarithm)."""
    if not _ready(grad, out):
        g, o = (a.astype(np.float32) if a.dtype == np.float16 else a for a in (grad, out))
        if logarithm:
            slope = g - module_of(o).exp(o) * g.sum(axis=-1, keepdims=True)
        else:
            slope = g * o - o * (g * o).sum(axis=-1, keepdims=True)
        return slope.astype(grad.dtype, copy=False)
    xp = module_of(grad)
    grad_x = xp.empty(grad.shape, dtype=grad.dtype)
    rows, n = _rows(grad)
    arrays = xp.ascontiguousarray(grad), xp.ascontiguousarray(out), grad_x
    _launch("softmax_rows_gradient", rows, *arrays, rows, n, np.int32(logarithm))
    return grad_x


def cross_entropy(x: Any, labels: Any, ignored: int, smoothing: float, mean: bool) -> tuple[Any, Any]:
    """(the cross entropy of the rows of x (N, C) with labels (N,), how many rows count), both 0-d arrays.

    The first is the mean over the rows whose label is not `ignored`, or their sum, in the dtype of x; the second is
    float64. Both are NaN if a label is no class: a GPU cannot raise an error without being waited for.
    """
    if not _ready(x):
        return _plain_cross_entropy(x, labels, ignored, smoothing, mean)
    xp = module_of(x)
    loss, counted = xp.empty((), dtype=x.dtype), xp.empty((), dtype=np.float64)
    wide = np.dtype(np.float64 if x.dtype == np.float64 else np.float32)
    rows, n = _rows(x)
    arrays = xp.ascontiguousarray(x), _as_labels(labels), loss, counted, xp.empty(len(x), dtype=wide), _arrived(xp)
    _launch("cross_entropy", max(rows, 1), *arrays, rows, n, np.int64(ignored), np.float64(smoothing), np.int32(mean))
    return loss, counted


def _plain_cross_entropy(x: Any, labels: Any, ignored: int, smoothing: float, mean: bool) -> tuple[Any, Any]:
    log_p = softmax_rows(x.astype(np.float32) if x.dtype == np.float16 else x, logarithm=True)
    xp, used, share = module_of(x), *_counted(x, labels, ignored)
    losses = -xp.take_along_axis(log_p, used[:, None], axis=1)[:, 0]
    if smoothing:
        losses = (1 - smoothing) * losses - smoothing * log_p.mean(axis=1)
    losses = xp.where(share == 0, 0, losses * share.astype(losses.dtype))
    number = share.sum()
    total = losses.sum(dtype=np.float64)
    return xp.asarray(total / number if mean else total).astype(x.dtype), number


def cross_entropy_gradient(
    x: Any, labels: Any, grad: Any, counted: Any, ignored: int, smoothing: float, mean: bool
) -> Any:
    """dL/dx of `cross_entropy` from dL/dloss, a 0-d array, and the `counted` that it gave."""
    if not _ready(x, grad):
        p = softmax_rows(x.astype(np.float32) if x.dtype == np.float16 else x)
        xp, used, share = module_of(x), *_counted(x, labels, ignored)
        goal = (xp.arange(x.shape[1]) == used[:, None]).astype(p.dtype) * (1 - smoothing) + smoothing / x.shape[1]
        scale = grad.astype(np.float64) * share / (counted if mean else 1)
        slope = xp.where((share == 0)[:, None], 0, (p - goal) * scale.astype(p.dtype)[:, None])
        return slope.astype(x.dtype, copy=False)
    xp = module_of(x)
    grad_x = xp.empty(x.shape, dtype=x.dtype)
    rows, n = _rows(x)
    arrays = xp.ascontiguousarray(x), _as_labels(labels), grad, counted, grad_x
    scalars = np.int64(ignored), np.float64(smoothing), np.int32(mean)
    _launch("cross_entropy_gradient", rows, *arrays, rows, n, *scalars)
    return grad_x


def _counted(x: Any, labels: Any, ignored: int) -> tuple[Any, Any]:
    """Labels that can be looked up, and what each row counts: 1, 0 if ignored, NaN if its label is no class."""
    xp = module_of(x)
    wrong = (labels < 0) | (labels >= x.shape[1])
    share = xp.where(labels == ignored, 0.0, xp.where(wrong, np.nan, 1.0))
    return xp.where(share == 1, labels, 0), share


def _ready(*arrays: Any) -> bool:
    return arrays[0].ndim > 0 and kernels_for(*arrays)


def _rows(x: Any) -> tuple[Any, Any]:
    """How many rows there are, and how long they are."""
    return np.int64(math.prod(x.shape[:-1])), np.int64(x.shape[-1])


def _as_labels(labels: Any) -> Any:
    return module_of(labels).ascontiguousarray(labels.astype(np.int64, copy=False))


@cache
def _counter(xp: ModuleType, device: int, stream: int) -> Any:
    return xp.zeros(1, dtype=np.int32)


def _arrived(xp: ModuleType) -> Any:
    """Where the warps of a launch count themselves: one place a stream, whose launches follow each other."""
    stream = xp.cuda.get_current_stream()
    return _counter(xp, xp.cuda.Device().id, stream.ptr)


def _launch(name: str, rows: int, *args: Any) -> None:
    """Run a kernel with a warp for each row; the first argument is an array, which says the dtype."""
    if rows:
        blocks = min(-(-int(rows) // (THREADS // _WARP)), _MOST_BLOCKS)
        kernel(module_of(args[0]), SOURCE, name, args[0].dtype.name)((blocks,), (THREADS,), args)
