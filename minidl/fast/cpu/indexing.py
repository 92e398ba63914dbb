"""Gradients of what index arrays picked out, as of an embedding's rows, on the CPU.

NumPy's `add.at` follows the index anew for every row, and the plain lines have a total in float64 for every number of
the result. Here each place is given a number, and then there are two ways, which both add up in float64, one hit of a
place after the other, and so make what the plain lines make, to the bit.

Short rows: NumPy's `bincount`, which counts how often each number occurs, adds up weights as well. Some columns of the
rows at a time are counted as places of their own, about as many as fit a core's cache. (To sort a million hits takes
seven times as long as to add up their numbers in this way.)

Long rows: sorted, the hits of a place follow each other. The places that are hit m times, whichever they are, give an
array (places, m, columns), which NumPy sums over its middle axis, row by row. There are never many different m: of N
hits at most sqrt(2 N). (`add.reduceat` over the sorted rows goes down column by column, in three times the time.)
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from minidl.fast.cpu.threads import blocks, per_block
from minidl.fast.versions import Faster
from minidl.functional import indexing
from minidl.types import Array, Shape

SMALL = 2000  # numbers that `add.at` adds up before the first is added up here
EMPTY = 32  # numbers of the result for each hit, from where on sorting the hits is quicker than a total for each number
LONG, MANY = 32, 1 << 16  # columns and numbers from where on rows are added up as such
LINE = 16  # columns that are added up together, at the least: in float32 as many share a line of the cache


class AddAt(Faster, indexing.AddAt):
    """Numbered places, and for each what is put there added up in float64."""

    __slots__ = ()
    where = "on the CPU, of 2000 numbers or more"

    def fits(self, x: Array) -> bool:
        large = x.size >= SMALL or math.prod(self.shape) >= SMALL * EMPTY
        return large and type(x) is np.ndarray and np.can_cast(x.dtype, np.float64)

    def forward(self, x: Array) -> Array:
        axes = _axes_named(self.index, len(self.shape))
        places = _numbered(self.index, self.shape[:axes])
        count, length = math.prod(self.shape[:axes]), math.prod(self.shape[axes:])
        out = np.zeros((count, length), x.dtype)
        add_up = _add_rows if length >= LONG and x.size >= MANY else _add_columns
        add_up(out, places, x.reshape((len(places), length)))
        return out.reshape(self.shape)


def _axes_named(index: Any, ndim: int) -> int:
    """How many axes, from the front, the index says something about. Those behind are taken whole: they are a row."""
    parts = index if isinstance(index, tuple) else (index,)
    if any(part is Ellipsis for part in parts):
        return ndim
    # A mask stands for all its axes, None for none.
    axes = [part.ndim if getattr(part, "dtype", None) == np.bool_ else int(part is not None) for part in parts]
    return min(sum(axes), ndim)


def _numbered(index: Any, shape: Shape) -> Array:
    """The places that `index` names in an array of `shape`, in order: the number of each, counted from its front."""
    if type(index) is np.ndarray and index.dtype.kind in "iu":
        places = index.reshape(-1).astype(np.intp)
        places[places < 0] += shape[0]
        return places
    return np.arange(math.prod(shape)).reshape(shape)[index].reshape(-1)


def _add_columns(out: Array, places: Array, x: Array) -> None:
    """out[places] += x, column by column, or some at a time; `out` is 0 at first."""
    (count, length), hits = out.shape, len(places)
    named: Any = slice(None)
    if out.size > EMPTY * hits:  # most places get nothing: only those that are named have totals
        named, places = np.unique(places, return_inverse=True)
        count = len(named)
    # Of each column its numbered places, it in float64, and about as many totals.
    width = max(per_block(24 * hits, length), LINE if length >= LINE else 1)
    numbers = places[:, None] * width + np.arange(width) if width > 1 else places[:, None]
    for start in range(0, length, width):
        part = x[:, start : start + width]
        at = numbers[:, : part.shape[1]]
        totals = np.bincount(at.reshape(-1), part.reshape(-1), count * width).reshape((count, width))
        out[named, start : start + width] = totals[:, : part.shape[1]]


def _add_rows(out: Array, places: Array, x: Array) -> None:
    """out[places] += x, of all places that are hit equally often at once; `out` is 0 at first."""
    order = places.astype(np.min_scalar_type(len(out))).argsort(kind="stable")  # numbers of 16 bits are sorted fastest
    first = np.flatnonzero(np.diff(places[order], prepend=-1))  # where in this order the hits of the next place begin
    times = np.diff(first, append=len(order))
    for m in np.unique(times).tolist():
        hits = order[first[times == m][:, None] + np.arange(m)]  # (places, m)
        for block in blocks(0, len(hits), m * x[0].nbytes):
            out[places[hits[block, 0]]] = x.take(hits[block], axis=0).sum(axis=1, dtype=np.float64)
