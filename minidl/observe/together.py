"""Together: norms, means and largest values of many small NumPy arrays in few calls.

A call of NumPy takes a microsecond however small its array is, and a network of 20 layers has 40 arrays. So they are
copied one behind the other into a buffer of rows of 256 numbers (each array begins a row, the rest of its last row is
0), and what is wanted comes for all of them at once.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from minidl.observe.statistics import SAFE
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
        self._safe = SAFE[self._dtype]
        self._sizes = list(sizes)
        rows = [-(-size // ROW) for size in sizes]
        nothing = np.zeros(max(ROW, *sizes), dtype=self._dtype)
        self._gaps = [nothing[: count * ROW - size] for count, size in zip(rows, sizes, strict=True)]
        self._absent = [nothing[:size] for size in sizes]
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
        pieces = []
        for array, size, absent, gap in zip(arrays, self._sizes, self._absent, self._gaps, strict=True):
            if array is None:
                pieces.append(absent)
            elif type(array) is np.ndarray and array.dtype == self._dtype and array.size == size:
                pieces.append(array.reshape(-1) if in_order else array.ravel("K"))
            else:
                return False
            pieces.append(gap)
        np.concatenate(pieces, out=buffer)
        return True

    def norms(self, buffer: Any) -> Any:
        """The Euclidean norm of each array, float64."""
        rows = buffer.reshape(-1, ROW)
        with np.errstate(over="ignore", under="ignore", invalid="ignore"):
            sums = np.add.reduceat(np.vecdot(rows, rows), self._row_starts, dtype=np.float64)
        found = np.sqrt(sums)
        low, high = self._safe
        for i in np.flatnonzero(~((sums > low) & (sums < high))):
            found[i] = l2_norm([self._part(buffer, i)])
        return found

    def sums_and_maxima(self, buffer: Any) -> tuple[Any, Any]:
        """The sum of the absolute values of each array, and the largest of them; `buffer` becomes its absolute value."""
        np.abs(buffer, out=buffer)
        with np.errstate(over="ignore", invalid="ignore"):
            sums = np.add.reduceat(buffer, self._starts).astype(np.float64)
        maxima = np.maximum.reduceat(buffer, self._starts).astype(np.float64)
        for i in np.flatnonzero(np.isinf(sums) & np.isfinite(maxima)):
            sums[i] = self._part(buffer, i).sum(dtype=np.float64)
        return sums, maxima

    def _part(self, buffer: Any, i: Any) -> Any:
        return buffer[self._starts[i] : self._starts[i] + self._sizes[i]]
