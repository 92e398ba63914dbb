"""Kept: an array as a tape keeps it: whole if it is small, else a sample of it; its statistics are of all of it."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from minidl import backend
from minidl.autograd.variable import Variable
from minidl.types import Shape

ELEMENTS = 4096  # of which array more is sampled, unless somebody says otherwise


@dataclass(frozen=True, eq=False, slots=True)
class Kept:
    """What an array held at one moment, on the host.

    Attributes:
        shape, dtype: of the array.
        values: the array itself, or the sample.
        index: for each axis which of its indices are in `values`; None for all.
        low, high, mean: of its finite numbers; NaN if there are none.
        norm: the Euclidean norm of all of it (NaN or infinity if it holds such).
        zeros, nan, infinite: how many of its numbers are 0, NaN, infinite.
    """

    shape: Shape
    dtype: str
    values: Any
    index: tuple[Any, ...]
    low: float
    high: float
    mean: float
    norm: float
    zeros: int
    nan: int
    infinite: int

    @property
    def size(self) -> int:
        """How many numbers the array has."""
        return math.prod(self.shape)

    @property
    def sampled(self) -> bool:
        """Whether `values` is only a part of it."""
        return any(kept is not None for kept in self.index)

    def at(self, place: tuple[int, ...]) -> Any:
        """The number at `place` of the array, as Python's; None if the sample does not hold it.

        Raises:
            IndexError: the array has no such place.
        """
        if len(place) != len(self.shape) or any(not -n <= i < n for i, n in zip(place, self.shape, strict=True)):
            raise IndexError(f"expected an index into shape {self.shape}; got {place}")
        found = []
        for i, n, kept in zip(place, self.shape, self.index, strict=True):
            i = i % n
            if kept is not None:
                j = int(np.searchsorted(kept, i))
                if j == len(kept) or kept[j] != i:
                    return None
                i = j
            found.append(i)
        return self.values[tuple(found)].item()

    def places(self) -> tuple[Any, ...]:
        """For each axis the indices that `values` has."""
        return tuple(np.arange(n) if kept is None else kept for n, kept in zip(self.shape, self.index, strict=True))

    def sampled_to(self, elements: int) -> Kept:
        """The same with at most about so many `values`."""
        if self.values.size <= elements:
            return self
        chosen = sample_of(self.values.shape, elements)
        values = self.values[np.ix_(*[range(n) if c is None else c for n, c in zip(self.values.shape, chosen)])]  # noqa: B905
        index = tuple(k if c is None else (c if k is None else k[c]) for k, c in zip(self.index, chosen, strict=True))
        return Kept(
            self.shape, self.dtype, np.ascontiguousarray(values), index, self.low, self.high, self.mean, self.norm,
            self.zeros, self.nan, self.infinite,
        )  # fmt: skip

    def __repr__(self) -> str:
        whole = f", {self.values.size} of {self.size} kept" if self.sampled else ""
        return f"Kept({self.shape}, {self.dtype}, {self.low:.4g} to {self.high:.4g}, norm {self.norm:.4g}{whole})"


def sample_of(shape: Shape, elements: int) -> tuple[Any, ...]:
    """For each axis the indices to keep, None for all, so that at most about `elements` numbers are left.

    Leading axes (examples, channels) are cut to their first indices, so that what is left of an image stays an image;
    the last two are thinned out evenly if they alone are too large.
    """
    if math.prod(shape) <= elements:
        return (None,) * len(shape)
    kept: list[Any] = [None] * len(shape)
    inner = shape[-2:]
    left = max(1, elements // max(1, math.prod(inner)))
    for axis in reversed(range(len(shape) - 2)):
        n = min(shape[axis], left)
        if n < shape[axis]:
            kept[axis] = np.arange(n)
        left = max(1, left // n)
    if math.prod(inner) > elements:
        first = max(0, len(shape) - 2)
        sides = _sides(inner, elements)
        for axis, side in zip(range(first, len(shape)), sides, strict=True):
            if side < shape[axis]:
                kept[axis] = np.linspace(0, shape[axis] - 1, side).astype(np.int64)
    return tuple(kept)


def _sides(shape: Shape, elements: int) -> tuple[int, ...]:
    """How much to keep of one axis, or of two: of a long thin matrix the short side whole, if that can be."""
    if len(shape) == 1:
        return (min(shape[0], elements),)
    rows, columns = shape
    side = math.isqrt(elements)
    if rows <= side:
        return rows, max(1, elements // rows)
    if columns <= side:
        return max(1, elements // columns), columns
    return side, side


def keep(array: Any, elements: int = ELEMENTS) -> Kept:
    """What `array`, raw or a Tensor's, a number or an array on a device, holds now."""
    if isinstance(array, Variable):
        array = array._data
    if not backend.is_array(array):
        array = np.asarray(array)
    shape, size, xp = tuple(array.shape), int(array.size), backend.module_of(array)
    if size <= elements:
        values = backend.to_numpy(array)
        values = values.copy() if values is array or values.base is not None else values
        index: tuple[Any, ...] = (None,) * len(shape)
        array, xp = values, np
    else:
        index = sample_of(shape, elements)
        sample = array[
            tuple(slice(None) if k is None else slice(0, len(k)) if k[-1] == len(k) - 1 else slice(None) for k in index)
        ]
        for axis, k in enumerate(index):
            if k is not None and k[-1] != len(k) - 1:
                sample = xp.take(sample, xp.asarray(k), axis=axis)
        values = np.ascontiguousarray(backend.to_numpy(sample))
        values = values.copy() if values.base is not None else values
    return Kept(shape, str(array.dtype), values, index, *_statistics(array, xp, size))


def _statistics(array: Any, xp: Any, size: int) -> tuple[float, float, float, float, int, int, int]:
    """low, high, mean, norm, zeros, nan, infinite."""
    if size == 0:
        return math.nan, math.nan, math.nan, 0.0, 0, 0, 0
    if array.dtype.kind not in "fiub":
        return math.nan, math.nan, math.nan, math.nan, 0, 0, 0
    flat = array.ravel()
    zeros = size - int(xp.count_nonzero(flat))
    if array.dtype.kind != "f" or array.dtype.itemsize < 4:
        flat = flat.astype(np.float64)
    with np.errstate(all="ignore"):
        low, high = float(flat.min()), float(flat.max())
        nan = infinite = 0
        if not (math.isfinite(low) and math.isfinite(high)):
            flat = flat.astype(np.float64)
            nan, infinite = int(xp.isnan(flat).sum()), int(xp.isinf(flat).sum())
            finite = flat[xp.isfinite(flat)]
            norm = math.nan if nan else math.inf
            if not finite.size:
                return math.nan, math.nan, math.nan, norm, zeros, nan, infinite
            return float(finite.min()), float(finite.max()), float(finite.mean()), norm, zeros, nan, infinite
        largest = max(abs(low), abs(high))
        squares = float(xp.dot(flat, flat)) if 1e-15 < largest < 1e15 else 0.0
        norm = math.sqrt(squares) if squares else largest * math.sqrt(float(((flat / (largest or 1.0)) ** 2).sum()))
        return low, high, float(flat.mean()), norm, zeros, nan, infinite
