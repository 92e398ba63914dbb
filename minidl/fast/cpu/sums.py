"""Sums on the CPU: added up block by block, and of products in one pass over memory.

NumPy adds up a long row of numbers in pieces, which is fast and loses little. A sum over the first axis of a matrix it
makes otherwise: row after row is added to one row of totals. That is slow for short rows, and in float32 a million
times 0.1 is 100,958. (The plain `Sum` adds up in float64, which loses nothing and takes several times as long.) So here
such rows are first added up in blocks.
"""

from __future__ import annotations

import math

import numpy as np

from minidl.fast.versions import Faster
from minidl.functional import broadcasting, precision, reduction
from minidl.functional.broadcasting import repeated
from minidl.functional.precision import HALF, narrowed, widened
from minidl.types import Array, Axis, Shape

BLOCKS = 64  # into which many rows are cut
ROW = 1024  # numbers that BLAS may add up: it adds them one after the other, on a few lanes
ONES = {np.dtype(dtype): np.ones(4 * BLOCKS, dtype) for dtype in (np.float32, np.float64)}
SMALL = 4096  # numbers that are copied in less time than NumPy takes to make a view


def repeated_view(x: Array, shape: Shape) -> Array:
    """x repeated to `shape`, in a view if that is worth it."""
    return np.broadcast_to(x, shape) if math.prod(shape) > SMALL else repeated(x, shape)


def add_up(x: Array, axis: Axis, keepdims: bool = False) -> Array:
    """The sum of x over `axis` (counted from the front, or None for all), without losing what is small."""
    dtype = x.dtype
    if (
        axis == (0,)
        and x.ndim == 2
        and len(x) <= 4 * BLOCKS
        and not keepdims
        and dtype in ONES
        and x.flags.c_contiguous
    ):
        return ONES[dtype][: len(x)] @ x  # as below, row after row
    if dtype == HALF:
        return x.sum(axis=axis, keepdims=keepdims, dtype=np.float32).astype(HALF)
    rows = _as_rows(x, axis)
    if rows is None and _adds_one_by_one(x, axis):
        return precision.add_up(x, axis, keepdims)
    if rows is None or len(rows) <= 4 * BLOCKS:
        return x.sum(axis=axis, keepdims=keepdims)
    sums = _add_rows(rows)
    return sums.reshape([1 if i in axis else n for i, n in enumerate(x.shape)]) if keepdims else sums  # type: ignore[operator]


def unbroadcast(grad: Array, shape: Shape) -> Array:
    """As the `unbroadcast` of functional/broadcasting.py, of NumPy arrays, without an op."""
    if grad.shape == shape:
        return grad
    added = grad.ndim - len(shape)
    stretched = [added + i for i, n in enumerate(shape) if n == 1]
    return add_up(grad, (*range(added), *stretched), bool(stretched)).reshape(shape)


def add_products(x: Array, y: Array | None, axis: tuple[int, ...]) -> Array:
    """The sum of x y over `axis` (counted from the front), kept with length 1; y is as x, or None for 1.

    Where the last axes are among these, and x and y lie row after row, BLAS multiplies and adds in one pass.
    """
    first = x.ndim
    while first - 1 in axis:
        first -= 1
    part = length = math.prod(x.shape[first:])
    while part > ROW and part % 2 == 0:
        part //= 2
    in_order = x.flags.c_contiguous and (y is None or y.flags.c_contiguous)
    if not in_order or not 1 < part <= ROW:
        return add_up(x if y is None else x * y, axis, keepdims=True)
    rows = (*x.shape[:first], length // part, part)
    sums = np.vecdot(x.reshape(rows), np.ones(part, x.dtype) if y is None else y.reshape(rows))
    kept = [1 if i in axis else n for i, n in enumerate(x.shape)]
    return add_up(sums, (*(i for i in axis if i < first), first)).reshape(kept)


def _as_rows(x: Array, axis: Axis) -> Array | None:
    """x, if the sum over `axis` adds up whole rows of it one by one: over the first axes, or over all pixels with the
    channels last in memory (x is then those rows, (N * ..., C)). Else None.
    """
    if x.ndim < 2 or x.dtype.kind != "f":
        return None
    if axis == (0,):
        return x
    if not isinstance(axis, tuple):
        return None
    if axis == tuple(range(len(axis))) and 0 < len(axis) < x.ndim and x.flags.c_contiguous and x.size:
        return x.reshape((-1, *x.shape[len(axis) :]))
    if axis != (0, *range(2, x.ndim)) or x.size == 0:
        return None
    pixels = x.transpose((0, *range(2, x.ndim), 1))
    return pixels.reshape((-1, x.shape[1])) if pixels.flags.c_contiguous else None


def _adds_one_by_one(x: Array, axis: Axis) -> bool:
    """Whether NumPy adds many parts of a sum one after the other: all but those that are neighbours in memory."""
    if not isinstance(axis, tuple) or x.size == 0 or x.dtype.kind != "f":
        return False
    neighbours = 1
    for i in sorted(range(x.ndim), key=lambda i: abs(x.strides[i])):
        if x.shape[i] > 1 and i not in axis:
            break
        neighbours *= x.shape[i]
    return math.prod([x.shape[i] for i in axis]) // neighbours > 4 * BLOCKS


def _add_rows(x: Array) -> Array:
    """The sum over the first axis: the first 1/64 of all rows, the second, and so on are added, as if each were one
    long row; then what that gave.
    """
    if len(x) <= 4 * BLOCKS:
        return x.sum(axis=0)
    part = len(x) // BLOCKS
    sums = x[: part * BLOCKS].reshape((BLOCKS, part, *x.shape[1:])).sum(axis=0)
    return _add_rows(sums) + x[part * BLOCKS :].sum(axis=0)


class InBlocks(Faster):
    """A reduction that adds up many rows in blocks."""

    __slots__ = ()
    where = "on the CPU"
    takes = np.ndarray
    add_up = staticmethod(add_up)


class Sum(InBlocks, broadcasting.Sum):
    """The gradient of a large x is a read-only view: dL/ds repeated, not copied."""

    __slots__ = ()

    def backward(self, grad_out: Array) -> Array:
        return repeated_view(grad_out.reshape(self.kept_shape), self.in_shape)


class Mean(InBlocks, reduction.Mean):
    """The gradient of a large x is a read-only view, as that of Sum."""

    __slots__ = ()

    def backward(self, grad_out: Array) -> Array:
        share = narrowed(widened(grad_out) / (self.count() or 1), grad_out)
        return repeated_view(share.reshape(self.kept_shape), self.in_shape)


class Var(InBlocks, reduction.Var):
    """The plain lines, with sums in blocks."""

    __slots__ = ()


class LogSumExp(InBlocks, reduction.LogSumExp):
    """The plain lines, with sums in blocks."""

    __slots__ = ()


class Norm(InBlocks, reduction.Norm):
    """The plain lines, with sums in blocks."""

    __slots__ = ()
