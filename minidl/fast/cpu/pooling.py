"""Pooling on the CPU: blocks of images that fit the cache, and what can be done in place.

The loops over the places of a window are those of `functional/pooling.py`. Here they go through the batch block by
block (`threads.py`), so that what one place leaves the next finds in the cache. A result's axes lie in memory as those
of x do: after a convolution the channels last.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from itertools import repeat
from typing import Any

import numpy as np

from minidl.fast.cpu.selection import zero_outside
from minidl.fast.cpu.threads import in_blocks
from minidl.fast.versions import Faster
from minidl.functional import pooling
from minidl.functional.geometry import Window
from minidl.functional.pooling import areas
from minidl.functional.precision import narrowed, widened
from minidl.types import Array

SHARED = 3 << 20  # bytes of work; of less each call of NumPy is over before another thread has Python's lock


class MaxPool(Faster, pooling.MaxPool):
    """The padding is smaller than any number; the first place that is inside is chosen where no number is larger."""

    __slots__ = ()
    where = "on the CPU"

    def fits(self, x: Array) -> bool:
        return type(x) is np.ndarray and x.dtype.kind in "fiu"

    def forward(self, x: Array) -> Array:
        shape, places = (*x.shape[:2], *self.window.out), math.prod(self.window.kernel)
        kind = next(kind for kind in (np.int8, np.int16, np.int32) if places <= np.iinfo(kind).max)
        best, self.chosen = np.empty_like(x, shape=shape), np.empty_like(x, shape=shape, dtype=kind)
        first = _first_inside(self.window).astype(kind)
        lowest = -np.inf if x.dtype.kind == "f" else np.iinfo(x.dtype).min
        _in_blocks(self._choose, len(x), _bytes_an_image(x), x, best, first, lowest)
        return best

    def _choose(self, images: slice, x: Array, best: Array, first: Array, lowest: float) -> None:
        padded, best, chosen = _padded(x[images], self.window, lowest), best[images], self.chosen[images]
        first_place, *others = self.window.places()
        best[...] = padded[first_place]
        chosen[...] = first
        for number, place in enumerate(others, start=1):
            candidate = padded[place].copy(order="K")  # read apart once, then three times in a row
            better = (candidate > best) | (candidate != candidate)  # a NaN wins
            np.maximum(best, candidate, out=best)
            np.maximum(chosen, better * chosen.dtype.type(number), out=chosen)  # the numbers grow: the newest wins


class PutChosen(Faster, pooling.PutChosen):
    """The gradients that a place gets are cut out of all by a mask."""

    __slots__ = ()
    where = "on the CPU, float dtypes"

    def fits(self, grad_out: Array) -> bool:
        return type(grad_out) is np.ndarray and grad_out.dtype.char in "efd"  # float16, float32, float64

    def forward(self, grad_out: Array) -> Array:
        grad_x = np.empty_like(grad_out, shape=(*grad_out.shape[:2], *self.window.size))
        _in_blocks(self._put, len(grad_x), _bytes_an_image(grad_x), grad_out, grad_x)
        return grad_x

    def _put(self, images: slice, grad_out: Array, grad_x: Array) -> None:
        grad_out, chosen = grad_out[images], self.chosen[images]
        numbers = range(math.prod(self.window.kernel))
        _spread(grad_x[images], self.window, (zero_outside(chosen == number, grad_out) for number in numbers))


class TakeChosen(Faster, pooling.TakeChosen):
    """The numbers at a place are cut out of all by a mask."""

    __slots__ = ()
    where = "on the CPU, float dtypes"

    def fits(self, x: Array) -> bool:
        return type(x) is np.ndarray and x.dtype.char in "efd"  # float16, float32, float64

    def forward(self, x: Array) -> Array:
        taken = np.empty_like(x, shape=self.chosen.shape)
        _in_blocks(self._take, len(x), _bytes_an_image(x), x, taken)
        return taken

    def _take(self, images: slice, x: Array, taken: Array) -> None:
        padded, chosen, taken = _padded(x[images], self.window, 0), self.chosen[images], taken[images]
        taken[...] = 0
        for number, place in enumerate(self.window.places()):
            taken += zero_outside(chosen == number, padded[place])


class AvgPool(Faster, pooling.AvgPool):
    """The sums are divided while they are in the cache."""

    __slots__ = ()
    where = "on the CPU"

    def fits(self, x: Array) -> bool:
        return type(x) is np.ndarray

    def forward(self, x: Array) -> Array:
        wide = widened(x)
        mean = np.empty_like(wide, shape=(*x.shape[:2], *self.window.out))
        area = areas(self.window, self.count_padding, wide)
        _in_blocks(self._average, len(x), _bytes_an_image(wide), wide, area, mean)
        return narrowed(mean, x)

    def _average(self, images: slice, x: Array, area: Array, mean: Array) -> None:
        padded, total = _padded(x[images], self.window, 0), mean[images]
        total[...] = 0
        for place in self.window.places():
            total += padded[place]
        total /= area


class SpreadMean(Faster, pooling.SpreadMean):
    """A window's share goes to its places while it is in the cache."""

    __slots__ = ()
    where = "on the CPU"

    def fits(self, grad_out: Array) -> bool:
        return type(grad_out) is np.ndarray

    def forward(self, grad_out: Array) -> Array:
        wide = widened(grad_out)
        grad_x = np.empty_like(wide, shape=(*grad_out.shape[:2], *self.window.size))
        area = areas(self.window, self.count_padding, wide)
        _in_blocks(self._share_out, len(grad_x), _bytes_an_image(grad_x), wide, area, grad_x)
        return narrowed(grad_x, grad_out)

    def _share_out(self, images: slice, grad_out: Array, area: Array, grad_x: Array) -> None:
        _spread(grad_x[images], self.window, repeat(grad_out[images] / area))


def _in_blocks(work: Callable[..., None], count: int, bytes_each: int, *operands: Any) -> None:
    """`work(images, *operands)` for blocks of images, which threads share out where that is worth it."""
    in_blocks(work, count, bytes_each, *operands, least=SHARED)


def _bytes_an_image(x: Array) -> int:
    """How much a block is to count for one image of x: with what is made of it, twice the image."""
    return 2 * x[:1].nbytes


def _room(x: Array, window: Window) -> Array:
    """An uninitialised array as x with its padding; x itself where there is none. Its axes lie in memory as x's."""
    size = window.padded_size()
    return x if size == window.size else np.empty_like(x, shape=(*x.shape[:2], *size))


def _padded(x: Array, window: Window, value: float) -> Array:
    """x with a padding of `value`; x itself where there is none."""
    padded = _room(x, window)
    if padded is not x:
        padded[...] = value
        window.cropped(padded)[...] = x
    return padded


def _first_inside(window: Window) -> Array:
    """For each position the number of the first place in the window that lies inside the input."""
    number = np.array(0)
    for k, s, p, o in zip(window.kernel, window.stride, window.padding, window.out, strict=True):
        number = np.add.outer(number * k, np.maximum(p - np.arange(o) * s, 0))
    return number


def _spread(x: Array, window: Window, shares: Iterable[Array]) -> None:
    """x, uninitialised, becomes what all positions give to their places, added up where windows overlap.

    `shares` has for each place in the window what the positions give to it.
    """
    padded = _room(x, window)
    covered = tuple([o * k for o, k in zip(window.out, window.kernel, strict=True)])
    tiled = window.kernel == window.stride and covered == padded.shape[2:]  # each place is in exactly one window
    if not tiled:
        padded[...] = 0
    for place, share in zip(window.places(), shares, strict=False):
        if tiled:
            padded[place] = share
        else:
            padded[place] += share
    if padded is not x:
        x[...] = window.cropped(padded)
