"""Gradients of what index arrays picked out, as of an embedding's rows, on the CPU.

NumPy's `add.at` follows the index anew for every row. Its `bincount`, which counts how often each number occurs, also
adds up weights: total[number] += weight, in float64 and one after the other. So it makes what the plain lines make, to
the bit, in a fifth to a half of the time. (Sorting the hits, to add up all of one place in one go, is no way: to sort a
million of them takes seven times as long as to add up their numbers by `bincount`.)

`bincount` knows one axis only. So each place is given a number, and some columns of the rows at a time are counted as
places of their own, about as many as fit a core's cache.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from minidl.fast.cpu.threads import per_block
from minidl.fast.versions import Faster
from minidl.functional import indexing
from minidl.types import Array, Shape

SMALL = 2000  # numbers that `add.at` adds up before the first is added up here
EMPTY = 32  # numbers of the result for each hit, from where on sorting the hits is quicker than a total for each number
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
        rows: Any = slice(None)
        if count * length > EMPTY * len(places):  # most places get nothing: only those that are named have totals
            rows, places = np.unique(places, return_inverse=True)
            count = len(rows)
        _add_up(x.reshape((len(places), length)), places, count, out, rows)
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


def _add_up(x: Array, places: Array, count: int, out: Array, rows: Any) -> None:
    """out[rows][p] = the sum of all rows x[i] with places[i] = p, for each p < count."""
    hits, length = x.shape
    # Of each column its numbered places, it in float64, and about as many totals.
    width = max(per_block(24 * hits, length), LINE if length >= LINE else 1)
    numbers = places[:, None] * width + np.arange(width) if width > 1 else places[:, None]
    for start in range(0, length, width):
        part = x[:, start : start + width]
        at = numbers[:, : part.shape[1]]
        totals = np.bincount(at.reshape(-1), part.reshape(-1), count * width).reshape((count, width))
        out[rows, start : start + width] = totals[:, : part.shape[1]]
