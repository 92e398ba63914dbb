"""Pooling over one or two spatial axes: the maximum, or the mean, of each window.

A window op is a loop over the places in its window, each place a slice as wide as the input. On the CPU it goes through
the batch in blocks of images (`backend/parallel.py`), so that what one place leaves the next finds in the cache.

>>> import numpy as np, minidl.functional as F
>>> image = np.arange(16.0).reshape(1, 1, 4, 4)
>>> F.max_pool2d(image, 2)[0, 0]
array([[ 5.,  7.],
       [13., 15.]])
>>> F.avg_pool2d(image, 3, stride=2, ceil_mode=True)[0, 0]  # the last windows are cut off at the edge
array([[ 5. ,  6.5],
       [11. , 12.5]])
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import product, repeat
from typing import Any

import numpy as np

from minidl.autograd.function import Function
from minidl.backend import module_of, zero_outside
from minidl.errors import ShapeError, describe
from minidl.fast.cpu.threads import in_blocks
from minidl.fast.gpu import kernels
from minidl.functional.geometry import WORDS, Sizes, no_batch, per_axis
from minidl.functional.precision import narrowed, widened


def lengths(x: Any, n: int) -> Sizes:
    """The lengths of x along its n spatial axes."""
    if getattr(x, "ndim", None) != n + 2:
        raise ShapeError(f"pooling: expected an input of shape {WORDS[n][1]}; got {describe(x)}{no_batch(x, n)}")
    return tuple(x.shape[2:])


def window(
    n: int, kernel_size: Any, stride: Any, padding: Any, ceil_mode: Any, prefix: str = ""
) -> tuple[Sizes, Sizes, Sizes]:
    """Kernel, stride and padding of a pooling window along n axes; `prefix` is how errors begin."""
    kernel = per_axis(kernel_size, n, f"{prefix}kernel_size", 1)
    step = kernel if stride is None else per_axis(stride, n, f"{prefix}stride", 1)
    border = per_axis(padding, n, f"{prefix}padding", 0)
    if any(p > k // 2 for p, k in zip(border, kernel, strict=True)):
        raise ShapeError(f"{prefix}padding: expected at most half of kernel_size {kernel}; got {border}")
    if not isinstance(ceil_mode, (bool, np.bool_)):
        raise ValueError(f"{prefix}ceil_mode: expected True or False (there is no dilation here); got {ceil_mode!r}")
    return kernel, step, border


@dataclass(frozen=True, slots=True)
class Pool:
    """A pooling window on an input of one size.

    Attributes:
        kernel, stride, padding: of the window, one number for each spatial axis.
        size: the input's lengths.
        out: the output's; rounded down, or up with `ceil` (Caffe), but no window starts beyond input and padding.
    """

    kernel: Sizes
    stride: Sizes
    padding: Sizes
    size: Sizes
    out: Sizes

    @classmethod
    def over(cls, x: Any, n: int, kernel: Any, stride: Any, padding: Any, ceil: bool) -> Pool:
        """The window's positions on x (N, C, n lengths)."""
        size = lengths(x, n)
        k, s, p = window(n, kernel, stride, padding, ceil)
        out = []
        for n_i, k_i, s_i, p_i in zip(size, k, s, p, strict=True):
            span = n_i + 2 * p_i - k_i
            count = (-(-span // s_i) if ceil else span // s_i) + 1
            if ceil and (count - 1) * s_i >= n_i + p_i:
                count -= 1
            if n_i == 0 or count < 1:
                what = "an image" if n == 2 else "a sequence"
                raise ShapeError(f"pooling: a window of {k} does not fit {what} of {size} with padding {p}")
            out.append(count)
        return cls(k, s, p, size, tuple(out))

    @property
    def window(self) -> tuple[Sizes, Sizes, Sizes]:
        """Kernel, stride and padding."""
        return self.kernel, self.stride, self.padding

    def has_kernel(self, x: Any) -> bool:
        """Whether the places of a maximum are chosen, and found again, by kernels: all three, or none of them."""
        return kernels.on_device(x) and math.prod(self.kernel) <= kernels.MOST_PLACES

    def reach(self) -> Sizes:
        """How far the last windows reach along each axis, counted from the start of the padding."""
        sides = zip(self.out, self.stride, self.kernel, self.size, self.padding, strict=True)
        return tuple(max((o - 1) * s + k, size + p) for o, s, k, size, p in sides)

    def padded(self, x: Any, value: float) -> Any:
        """x with a border of `value` as wide as the windows reach; in memory in the order x has."""
        padded = self.room(x)
        if padded is not x:
            padded[...] = value
            self.cropped(padded)[...] = x
        return padded

    def room(self, x: Any) -> Any:
        """An uninitialised array as x with a border as wide as the windows reach; x itself where they do not."""
        reach = self.reach()
        return x if reach == self.size else module_of(x).empty_like(x, shape=(*x.shape[:2], *reach))

    def cropped(self, padded: Any) -> Any:
        """The input inside the border."""
        inside = [slice(before, before + size) for before, size in zip(self.padding, self.size, strict=True)]
        return padded[:, :, *inside]

    def first_inside(self) -> Any:
        """For each position the number of the first place in its window that lies inside the input."""
        number: Any = 0
        for k, s, p, o in zip(self.kernel, self.stride, self.padding, self.out, strict=True):
            number = np.add.outer(number * k, np.maximum(p - np.arange(o) * s, 0))
        return number

    def tiled(self) -> bool:
        """Whether every place of the padded input belongs to exactly one window."""
        reach = tuple([o * k for o, k in zip(self.out, self.kernel, strict=True)])
        return self.kernel == self.stride and reach == self.reach()

    def places(self) -> Iterator[tuple[slice, ...]]:
        """For each place in the window: the slice of the padded input that lies there, over all positions at once."""
        sides = zip(self.kernel, self.out, self.stride, strict=True)
        along = [[slice(i, i + (o - 1) * s + 1, s) for i in range(k)] for k, o, s in sides]
        return product([slice(None)], [slice(None)], *along)

    def spread(self, x: Any, shares: Iterable[Any]) -> None:
        """x, uninitialised, becomes what windows give to their places, added up where they overlap.

        `shares` has for each place in the window what all positions give to it.
        """
        padded, tiled = self.room(x), self.tiled()
        if not tiled:
            padded[...] = 0
        for place, share in zip(self.places(), shares, strict=False):
            if tiled:
                padded[place] = share
            else:
                padded[place] += share
        if padded is not x:
            x[...] = self.cropped(padded)


class MaxPool(Function):
    """The largest number in each window; the first of equal ones gets the gradient, as in PyTorch.

    `chosen` is, for each window, the number of the place in it that was the largest.
    """

    __slots__ = ("chosen", "pool")

    def __init__(self, pool: Pool) -> None:
        self.pool = pool

    def forward(self, x: Any) -> Any:
        if self.pool.has_kernel(x):
            best, self.chosen = kernels.max_pool(x, *self.pool.window, self.pool.out)
            return best
        xp, places = module_of(x), math.prod(self.pool.kernel)
        numbers = next(kind for kind in (np.int8, np.int16, np.int32) if places <= np.iinfo(kind).max)
        lowest = -np.inf if x.dtype.kind == "f" else np.iinfo(x.dtype).min
        first = xp.asarray(self.pool.first_inside(), numbers)
        shape = (*x.shape[:2], *self.pool.out)
        best, self.chosen = xp.empty_like(x, shape=shape), xp.empty_like(x, shape=shape, dtype=numbers)
        in_blocks(self._choose, len(x), work_an_image(x), x, best, first, lowest)
        return best

    def _choose(self, images: slice, x: Any, best: Any, first: Any, lowest: float) -> None:
        xp, places = module_of(x), list(self.pool.places())
        padded, best, chosen = self.pool.padded(x[images], lowest), best[images], self.chosen[images]
        best[...] = padded[places[0]]
        chosen[...] = first
        for number, place in enumerate(places[1:], start=1):
            candidate = padded[place].copy(order="K")  # read apart once, then three times in a row
            better = (candidate > best) | (candidate != candidate)  # a NaN wins
            xp.maximum(best, candidate, out=best)
            xp.maximum(chosen, better * chosen.dtype.type(number), out=chosen)  # the numbers grow: the newest wins

    def backward(self, grad_out: Any) -> Any:
        return PutChosen(self.pool, self.chosen)(grad_out)


class PutChosen(Function):
    """dL/dx of max pooling: each window's gradient goes to the place that was chosen in it."""

    __slots__ = ("chosen", "pool")

    def __init__(self, pool: Pool, chosen: Any) -> None:
        self.pool = pool
        self.chosen = chosen

    def forward(self, grad_out: Any) -> Any:
        x_shape = (*grad_out.shape[:2], *self.pool.size)
        if self.pool.has_kernel(grad_out):
            return kernels.put_chosen(grad_out, self.chosen, x_shape, *self.pool.window)
        grad_x = module_of(grad_out).empty_like(grad_out, shape=x_shape)
        in_blocks(self._put, len(grad_x), work_an_image(grad_x), grad_out, grad_x)
        return grad_x

    def _put(self, images: slice, grad_out: Any, grad_x: Any) -> None:
        grad_out, chosen = grad_out[images], self.chosen[images]
        places = range(math.prod(self.pool.kernel))
        self.pool.spread(grad_x[images], (zero_outside(chosen == number, grad_out) for number in places))

    def backward(self, grad_x: Any) -> Any:
        return TakeChosen(self.pool, self.chosen)(grad_x)


class TakeChosen(Function):
    """The transpose of PutChosen: from each window the number at the chosen place."""

    __slots__ = ("chosen", "pool")

    def __init__(self, pool: Pool, chosen: Any) -> None:
        self.pool = pool
        self.chosen = chosen

    def forward(self, x: Any) -> Any:
        if self.pool.has_kernel(x):
            return kernels.take_chosen(x, self.chosen, *self.pool.window)
        out = module_of(x).empty_like(x, shape=self.chosen.shape)
        in_blocks(self._take, len(x), work_an_image(x), x, out)
        return out

    def _take(self, images: slice, x: Any, out: Any) -> None:
        padded, chosen, out = self.pool.padded(x[images], 0), self.chosen[images], out[images]
        out[...] = 0
        for number, place in enumerate(self.pool.places()):
            out += zero_outside(chosen == number, padded[place])

    def backward(self, grad_out: Any) -> Any:
        return PutChosen(self.pool, self.chosen)(grad_out)


def max_pool1d(x: Any, kernel_size: Any, stride: Any = None, padding: Any = 0, ceil_mode: bool = False) -> Any:
    """The maximum over windows of x (N, C, L), each channel by itself: as `max_pool2d`, with one number for two."""
    return MaxPool(Pool.over(x, 1, kernel_size, stride, padding, ceil_mode))(x)


def max_pool2d(x: Any, kernel_size: Any, stride: Any = None, padding: Any = 0, ceil_mode: bool = False) -> Any:
    """The maximum over windows of x (N, C, H, W), each channel by itself.

    Args:
        kernel_size, stride, padding: a number, or one for height and one for width; stride None means kernel_size.
        ceil_mode: round the output's size up instead of down, as Caffe did; the last windows then reach over the
            edge and see only what is there.

    Returns:
        (N, C, OH, OW) with OH = (H + 2 padding - KH) / stride + 1, rounded down or up; no window starts beyond the
        image and its padding.

    Raises:
        ShapeError: a window does not fit the image, or the padding is more than half of it.
    """
    return MaxPool(Pool.over(x, 2, kernel_size, stride, padding, ceil_mode))(x)


class AvgPool(Function):
    """The mean over each window: its sum over `areas`, the number of places counted in it."""

    __slots__ = ("count_padding", "pool")

    def __init__(self, pool: Pool, count_padding: bool) -> None:
        self.pool = pool
        self.count_padding = count_padding

    def forward(self, x: Any) -> Any:
        if kernels.on_device(x):
            return kernels.mean_pool(x, *self.pool.window, self.pool.out, self.count_padding)
        x_wide = widened(x)
        area = areas(self.pool, self.count_padding, x_wide)
        out = module_of(x).empty_like(x_wide, shape=(*x.shape[:2], *self.pool.out))
        in_blocks(self._average, len(x), work_an_image(x_wide), x_wide, area, out)
        return narrowed(out, x)

    def _average(self, images: slice, x: Any, area: Any, out: Any) -> None:
        padded, total = self.pool.padded(x[images], 0), out[images]
        total[...] = 0
        for place in self.pool.places():
            total += padded[place]
        total /= area

    def backward(self, grad_out: Any) -> Any:
        return SpreadMean(self.pool, self.count_padding)(grad_out)


class SpreadMean(Function):
    """dL/dx of average pooling: each window's gradient, over its area, goes to all of its places."""

    __slots__ = ("count_padding", "pool")

    def __init__(self, pool: Pool, count_padding: bool) -> None:
        self.pool = pool
        self.count_padding = count_padding

    def forward(self, grad_out: Any) -> Any:
        x_shape = (*grad_out.shape[:2], *self.pool.size)
        if kernels.on_device(grad_out):
            return kernels.spread_mean(grad_out, x_shape, *self.pool.window, self.count_padding)
        wide = widened(grad_out)
        area = areas(self.pool, self.count_padding, wide)
        grad_x = module_of(grad_out).empty_like(wide, shape=x_shape)
        in_blocks(self._spread, len(grad_x), work_an_image(grad_x), wide, area, grad_x)
        return narrowed(grad_x, grad_out)

    def _spread(self, images: slice, grad_out: Any, area: Any, grad_x: Any) -> None:
        share = grad_out[images] / area
        self.pool.spread(grad_x[images], repeat(share))

    def backward(self, grad_x: Any) -> Any:
        return AvgPool(self.pool, self.count_padding)(grad_x)


def work_an_image(x: Any) -> int:
    """Bytes that a block is to count for one image of x: with what is made of it. On a device there are no blocks."""
    return 2 * x[:1].nbytes if module_of(x) is np else 0


def areas(pool: Pool, count_padding: bool, like: Any) -> Any:
    """How many places of each window count: those inside input + padding, or inside the input alone."""
    area: Any = 1
    for k, s, p, size, o in zip(pool.kernel, pool.stride, pool.padding, pool.size, pool.out, strict=True):
        start = np.arange(o) * s - p
        margin = p if count_padding else 0
        area = np.multiply.outer(area, np.minimum(start + k, size + margin) - np.maximum(start, -margin))
    return module_of(like).asarray(area, dtype=like.dtype)


def avg_pool1d(
    x: Any,
    kernel_size: Any,
    stride: Any = None,
    padding: Any = 0,
    ceil_mode: bool = False,
    count_include_pad: bool = True,
) -> Any:
    """The mean over windows of x (N, C, L), each channel by itself: as `avg_pool2d`, with one number for two."""
    return AvgPool(Pool.over(x, 1, kernel_size, stride, padding, ceil_mode), count_include_pad)(x)


def avg_pool2d(
    x: Any,
    kernel_size: Any,
    stride: Any = None,
    padding: Any = 0,
    ceil_mode: bool = False,
    count_include_pad: bool = True,
) -> Any:
    """The mean over windows of x (N, C, H, W), each channel by itself.

    A window that reaches over the edge is clipped: with `count_include_pad` (the default, and Caffe's rule) to image
    plus padding, otherwise to the image; the mean is over what remains.

    Args:
        kernel_size, stride, padding: a number, or one for height and one for width; stride None means kernel_size.
        ceil_mode: round the output's size up instead of down, as Caffe did.
        count_include_pad: whether the zeros of the padding count in the mean.

    Returns:
        (N, C, OH, OW), as for `max_pool2d`.

    Raises:
        ShapeError: a window does not fit the image, or the padding is more than half of it.
    """
    return AvgPool(Pool.over(x, 2, kernel_size, stride, padding, ceil_mode), count_include_pad)(x)
