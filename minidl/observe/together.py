"""Together: norms, means and largest values of many small NumPy arrays in few calls.

A call of NumPy takes a microsecond however small its array is, and a network of 20 layers has 40 arrays. So they are
copied one behind the other into a buffer of rows of 256 numbers (each array begins a row, the rest of its last row is
0), and what is wanted comes for all of them at once.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from minidl.backend import SILENT, reset_errors, set_errors
from minidl.observe.statistics import LIFT, SAFE
from minidl.optim.norms import l2_norm

ROW = 256


class Together:
    """Arrays that are measured together.

    Args:
        sizes: how many elements each array has, at least one.
        dtype: of all of them, float32 or float64.

    Attributes:
        length: how many numbers a buffer has.
    """

    def __init__(self, sizes: Sequence[int], dtype: Any) -> None:
        self._dtype = np.dtype(dtype)
        self._sizes = list(sizes)
        low, self._high = SAFE[self._dtype]
        self._low = low * np.array(sizes)
        rows = [-(-size // ROW) for size in sizes]
        nothing = np.zeros(max(ROW, *sizes), dtype=self._dtype)
        self._absent = [nothing[:size] for size in sizes]
        gaps = [nothing[: count * ROW - size] for count, size in zip(rows, sizes, strict=True)]
        self._layout = [piece for pair in zip(self._absent, gaps, strict=True) for piece in pair]
        self._row_starts = np.concatenate([[0], np.cumsum(rows)[:-1]])
        self._starts = self._row_starts * ROW
        self.length = sum(rows) * ROW

    def new_buffer(self) -> Any:
        """Room for all arrays."""
        return np.empty(self.length, dtype=self._dtype)

    def load(self, arrays: Sequence[Any], buffer: Any, in_order: bool = True) -> bool:
        """Copy `arrays` into `buffer`; one that is None counts as zeros.

        Args:
            arrays: what to copy.
            buffer: where to.
            in_order: whether an array's elements must come in C order; if not, as they lie in memory, which is faster.

        Returns:
            False, and nothing is copied, where they are no longer what was announced, such as on a device.
        """
        if not all(array is None or type(array) is np.ndarray for array in arrays):
            return False
        pieces = self._layout.copy()
        pieces[::2] = [
            absent if array is None else array.reshape(-1) if in_order else array.ravel("K")
            for array, absent in zip(arrays, self._absent, strict=True)
        ]
        try:
            np.concatenate(pieces, out=buffer, casting="no")
        except (TypeError, ValueError):  # another dtype, or another size
            return False
        return True

    def norms(self, buffer: Any) -> Any:
        """The Euclidean norm of each array, float64."""
        sums = self._sums_of_squares(buffer)
        found = np.sqrt(sums)
        small = sums <= self._low
        if small.any() and self._dtype == np.float32:
            found[small] = np.sqrt(self._sums_of_squares(buffer * LIFT)[small]) / LIFT
            small[:] = False
        for i in np.flatnonzero(small | ~(sums < self._high)):
            found[i] = l2_norm([self._part(buffer, i)])
        return found

    def _sums_of_squares(self, buffer: Any) -> Any:
        rows = buffer.reshape(-1, ROW)
        loud = set_errors(SILENT)
        try:
            return np.add.reduceat(np.vecdot(rows, rows), self._row_starts, dtype=np.float64)
        finally:
            reset_errors(loud)

    def sums_and_maxima(self, buffer: Any) -> tuple[Any, Any]:
        """The sum of the absolute values of each array, and the largest one; `buffer` becomes its absolute value."""
        np.abs(buffer, out=buffer)
        loud = set_errors(SILENT)
        try:
            sums = np.add.reduceat(buffer, self._starts).astype(np.float64)
        finally:
            reset_errors(loud)
        maxima = np.maximum.reduceat(buffer, self._starts).astype(np.float64)
        for i in np.flatnonzero(np.isinf(sums) & np.isfinite(maxima)):
            sums[i] = self._part(buffer, i).sum(dtype=np.float64)
        return sums, maxima

    def _part(self, buffer: Any, i: Any) -> Any:
        return buffer[self._starts[i] : self._starts[i] + self._sizes[i]]
