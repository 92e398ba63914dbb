"""Rows of numbers that lie side by side in memory: their sums by BLAS, and blocks of rows that stay in the cache.

A step of a loop over blocks reads what the step before wrote. NumPy goes through an array in the cache up to three
times as fast as through one in memory; and the product with a vector of ones, which is BLAS's, adds up twice as fast as
`sum`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from minidl.fast.cpu.threads import shared_out
from minidl.types import Array

BLOCK = 1 << 18  # numbers of each array that one step works on; with fewer, threads wait more for Python's lock
SHARED = 3 << 17  # numbers from which threads share the rows out; of fewer each step is over too soon for that
ROW = 1024  # numbers that BLAS may add up: it adds them one after the other, on a few lanes
SHORT = 256  # numbers in a row below which NumPy's arithmetic takes longer to begin with it than to compute it


def blocks(start: int, stop: int, numbers_each: int) -> Iterator[slice]:
    """Consecutive slices of range(start, stop), each of about BLOCK numbers."""
    size = max(1, BLOCK // numbers_each)
    for first in range(start, stop, size):
        yield slice(first, min(first + size, stop))


def share_rows(work: Callable[..., Any], count: int, numbers_each: int, *operands: Any) -> list[Any]:
    """`work` on parts of so many rows, shared out among the threads from SHARED numbers on."""
    return shared_out(work, count, numbers_each, *operands, least=SHARED)


def row_sums(x: Array) -> Array:
    """The sums over the last axis."""
    length = x.shape[-1]
    if length == 1:
        return x[..., 0]
    if length <= ROW:
        return x @ np.ones(length, x.dtype)
    whole = length - length % ROW
    sums: Array = (_parts(x, whole) @ np.ones(ROW, x.dtype)).sum(axis=-1)
    return sums if whole == length else sums + row_sums(x[..., whole:])


def row_products(x: Array, y: Array) -> Array:
    """The sums of x y over the last axis."""
    length = x.shape[-1]
    if length <= ROW:
        return np.vecdot(x, y)
    whole = length - length % ROW
    sums: Array = np.vecdot(_parts(x, whole), _parts(y, whole)).sum(axis=-1)
    return sums if whole == length else sums + row_products(x[..., whole:], y[..., whole:])


def times_vector(x: Array, w: Array) -> Array:
    """x @ w of a matrix, whose rows may be of any length."""
    return x @ w if len(w) <= ROW else row_products(x, w)


def _parts(x: Array, whole: int) -> Array:
    """The first `whole` numbers of each row, cut into rows of ROW numbers."""
    return x[..., :whole].reshape((*x.shape[:-1], whole // ROW, ROW))


def spread(a: Array, memory: Array) -> Array:
    """`a`, one number for each row of `memory`, to compute with beside it: copied to all of it where rows are short."""
    column = a[..., None]
    if memory.shape[-1] >= SHORT:
        return column
    np.copyto(memory, column)
    return memory
