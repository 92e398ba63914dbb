"""Gradients of the rows that were picked out of a matrix, as by an embedding, on the CPU.

NumPy's `add.at` adds number after number, and the totals that the plain lines keep in float64 are as many as the
numbers of the whole matrix, of which a batch names few rows. So here the rows are sorted: those that belong to one
place then lie one after the other, and are added up in one go.
"""

from __future__ import annotations

import math

import numpy as np

from minidl.fast.versions import Faster
from minidl.functional import indexing
from minidl.types import Array


class AddAt(Faster, indexing.AddAt):
    """Sorted rows, each place's added up in float64."""

    __slots__ = ()
    where = "on the CPU, rows named by one array of whole numbers"

    def fits(self, x: Array) -> bool:
        return type(x) is np.ndarray and type(self.index) is np.ndarray and len(self.shape) > 1

    def forward(self, x: Array) -> Array:
        count, length = self.shape[0], math.prod(self.shape[1:])
        places = self.index.reshape(-1).astype(np.intp) % count
        order = places.argsort(kind="stable")
        places = places[order]
        first = np.flatnonzero(np.diff(places, prepend=-1))  # where the rows of the next place begin
        rows = x.reshape((len(places), length))[order].astype(np.float64)
        out = np.zeros((count, length), x.dtype)
        out[places[first]] = np.add.reduceat(rows, first, axis=0)
        return out.reshape(self.shape)
