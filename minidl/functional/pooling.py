"""Pooling over one or two spatial axes: the maximum, or the mean, of each window.

A window op is a loop over the places in its window, each place a slice as wide as the input.

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

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import product
from typing import Any

import numpy as np

from minidl.autograd import Function
from minidl.backend import module_of, zero_outside
from minidl.errors import ShapeError, describe
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

    def reach(self) -> Sizes:
        """How far the last windows reach along each axis, counted from the start of the padding."""
        sides = zip(self.out, self.stride, self.kernel, self.size, self.padding, strict=True)
        return tuple(max((o - 1) * s + k, size + p) for o, s, k, size, p in sides)

    def padded(self, x: Any, value: float) -> Any:
        """x with a border of `value` as wide as the windows reach."""
        sides = zip(self.padding, self.reach(), self.size, strict=True)
        widths = [(before, reach - before - size) for before, reach, size in sides]
        if not any(map(any, widths)):
            return x
        return module_of(x).pad(x, ((0, 0), (0, 0), *widths), mode="constant", constant_values=value)

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

    def places(self) -> Iterator[tuple[slice, ...]]:
        """For each place in the window: the slice of the padded input that lies there, over all positions at once."""
        sides = zip(self.kernel, self.out, self.stride, strict=True)
        along = [[slice(i, i + (o - 1) * s + 1, s) for i in range(k)] for k, o, s in sides]
        return product([slice(None)], [slice(None)], *along)


class MaxPool(Function):
    """The largest number in each window; the first of equal ones gets the gradient, as in PyTorch.

    `chosen` is, for each window, the number of the place in it that was the largest.
    """

    __slots__ = ("chosen", "pool")

    def __init__(self, pool: Pool) -> None:
        self.pool = pool

    def forward(self, x: Any) -> Any:
        xp = module_of(x)
        padded = self.pool.padded(x, -np.inf if x.dtype.kind == "f" else np.iinfo(x.dtype).min)
        places = list(self.pool.places())
        best = padded[places[0]]
        numbers = np.int16 if len(places) < 2**15 else np.int32
        self.chosen = xp.zeros(best.shape, numbers) + xp.asarray(self.pool.first_inside(), numbers)
        for number, place in enumerate(places[1:], start=1):
            candidate = padded[place]
            better = (candidate > best) | (candidate != candidate)  # a NaN wins
            best = xp.maximum(best, candidate)
            self.chosen = xp.maximum(self.chosen, better * numbers(number))  # the numbers grow: the newest wins
        return best if len(places) > 1 else best.copy()

    def backward(self, grad_out: Any) -> Any:
        return PutChosen(self.pool, self.chosen)(grad_out)


class PutChosen(Function):
    """dL/dx of max pooling: each window's gradient goes to the place that was chosen in it."""

    __slots__ = ("chosen", "pool")

    def __init__(self, pool: Pool, chosen: Any) -> None:
        self.pool = pool
        self.chosen = chosen

    def forward(self, grad_out: Any) -> Any:
        xp = module_of(grad_out)
        padded = xp.zeros((*grad_out.shape[:2], *self.pool.reach()), dtype=grad_out.dtype)
        for number, place in enumerate(self.pool.places()):
            padded[place] += zero_outside(self.chosen == number, grad_out)
        return self.pool.cropped(padded)

    def backward(self, grad_x: Any) -> Any:
        return TakeChosen(self.pool, self.chosen)(grad_x)


class TakeChosen(Function):
    """The transpose of PutChosen: from each window the number at the chosen place."""

    __slots__ = ("chosen", "pool")

    def __init__(self, pool: Pool, chosen: Any) -> None:
        self.pool = pool
        self.chosen = chosen

    def forward(self, x: Any) -> Any:
        xp = module_of(x)
        padded = self.pool.padded(x, 0)
        out = xp.zeros(self.chosen.shape, dtype=x.dtype)
        for number, place in enumerate(self.pool.places()):
            out += zero_outside(self.chosen == number, padded[place])
        return out

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
        padded = self.pool.padded(widened(x), 0)
        total: Any = 0
        for place in self.pool.places():
            total = total + padded[place]
        return narrowed(total / areas(self.pool, self.count_padding, padded), x)

    def backward(self, grad_out: Any) -> Any:
        return SpreadMean(self.pool, self.count_padding)(grad_out)


class SpreadMean(Function):
    """dL/dx of average pooling: each window's gradient, over its area, goes to all of its places."""

    __slots__ = ("count_padding", "pool")

    def __init__(self, pool: Pool, count_padding: bool) -> None:
        self.pool = pool
        self.count_padding = count_padding

    def forward(self, grad_out: Any) -> Any:
        wide = widened(grad_out)
        share = wide / areas(self.pool, self.count_padding, wide)
        padded = module_of(grad_out).zeros((*grad_out.shape[:2], *self.pool.reach()), dtype=share.dtype)
        for place in self.pool.places():
            padded[place] += share
        return narrowed(self.pool.cropped(padded), grad_out)

    def backward(self, grad_x: Any) -> Any:
        return AvgPool(self.pool, self.count_padding)(grad_x)


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
