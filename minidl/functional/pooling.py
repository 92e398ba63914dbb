"""max_pool2d and avg_pool2d: a window op is a loop over the places in its window, each place an image-wide slice.

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
from typing import Any

import numpy as np

from minidl.autograd import Function
from minidl.backend import module_of, zero_outside
from minidl.errors import ShapeError
from minidl.functional.conv import Pair, pair
from minidl.functional.precision import narrowed, widened


@dataclass(frozen=True, slots=True)
class Pool:
    """A pooling window on an image of one size.

    Attributes:
        kernel, stride, padding: height and width of each.
        size: the image's height and width.
        out: the output's; rounded down, or up with `ceil` (Caffe), but no window starts beyond image and padding.
    """

    kernel: Pair
    stride: Pair
    padding: Pair
    size: Pair
    out: Pair

    @classmethod
    def over(cls, x: Any, kernel: Any, stride: Any, padding: Any, ceil: bool) -> Pool:
        """The window's positions on x (N, C, H, W)."""
        if getattr(x, "ndim", None) != 4:
            raise ShapeError(f"pooling: expected an input of shape (N, C, H, W); got {getattr(x, 'shape', x)}")
        k = pair(kernel, "kernel_size", 1)
        s = k if stride is None else pair(stride, "stride", 1)
        p = pair(padding, "padding", 0)
        if p[0] > k[0] // 2 or p[1] > k[1] // 2:
            raise ShapeError(f"pooling: padding may be at most half of kernel_size {k}; got {p}")
        size = (x.shape[2], x.shape[3])
        out = []
        for n, k_i, s_i, p_i in zip(size, k, s, p, strict=True):
            span = n + 2 * p_i - k_i
            count = (-(-span // s_i) if ceil else span // s_i) + 1
            if ceil and (count - 1) * s_i >= n + p_i:
                count -= 1
            if n == 0 or count < 1:
                raise ShapeError(f"pooling: a window of {k} does not fit an image of {size} with padding {p}")
            out.append(count)
        return cls(k, s, p, size, (out[0], out[1]))

    def reach(self, i: int) -> int:
        """How far the last window reaches along axis i, counted from the start of the padding."""
        return max((self.out[i] - 1) * self.stride[i] + self.kernel[i], self.size[i] + self.padding[i])

    def padded(self, x: Any, value: float) -> Any:
        """x with a border of `value` as wide as the windows reach."""
        after = [self.reach(i) - self.padding[i] - self.size[i] for i in (0, 1)]
        if not any((*self.padding, *after)):
            return x
        widths = ((0, 0), (0, 0), (self.padding[0], after[0]), (self.padding[1], after[1]))
        return module_of(x).pad(x, widths, mode="constant", constant_values=value)

    def cropped(self, padded: Any) -> Any:
        """The image inside the border."""
        (top, left), (height, width) = self.padding, self.size
        return padded[:, :, top : top + height, left : left + width]

    def first_inside(self) -> Any:
        """For each position (OH, OW) the number of the first place in its window that lies inside the image."""
        first = [np.maximum(self.padding[i] - np.arange(self.out[i]) * self.stride[i], 0) for i in (0, 1)]
        return np.add.outer(first[0] * self.kernel[1], first[1])

    def places(self) -> Iterator[tuple[slice, ...]]:
        """For each place in the window: the slice of the padded image that lies there, over all positions at once."""
        for i in range(self.kernel[0]):
            for j in range(self.kernel[1]):
                yield (
                    slice(None),
                    slice(None),
                    slice(i, i + (self.out[0] - 1) * self.stride[0] + 1, self.stride[0]),
                    slice(j, j + (self.out[1] - 1) * self.stride[1] + 1, self.stride[1]),
                )


class MaxPool2d(Function):
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
        shape = (*grad_out.shape[:2], self.pool.reach(0), self.pool.reach(1))
        padded = xp.zeros(shape, dtype=grad_out.dtype)
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
    return MaxPool2d(Pool.over(x, kernel_size, stride, padding, ceil_mode))(x)


class AvgPool2d(Function):
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
        share = widened(grad_out) / areas(self.pool, self.count_padding, grad_out)
        shape = (*grad_out.shape[:2], self.pool.reach(0), self.pool.reach(1))
        padded = module_of(grad_out).zeros(shape, dtype=share.dtype)
        for place in self.pool.places():
            padded[place] += share
        return narrowed(self.pool.cropped(padded), grad_out)

    def backward(self, grad_x: Any) -> Any:
        return AvgPool2d(self.pool, self.count_padding)(grad_x)


def areas(pool: Pool, count_padding: bool, like: Any) -> Any:
    """How many places of each window (OH, OW) count: those inside image + padding, or inside the image alone."""
    counts = []
    for i in (0, 1):
        start = np.arange(pool.out[i]) * pool.stride[i] - pool.padding[i]
        margin = pool.padding[i] if count_padding else 0
        end = np.minimum(start + pool.kernel[i], pool.size[i] + margin)
        counts.append(end - np.maximum(start, -margin))
    return module_of(like).asarray(np.outer(*counts), dtype=like.dtype)


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
    return AvgPool2d(Pool.over(x, kernel_size, stride, padding, ceil_mode), count_include_pad)(x)
