"""Pooling over one or two spatial axes: the maximum, or the mean, of each window.

Each op is a loop over the places in the window. `window.places()` gives for each of them the slice of the padded input
that lies there at all positions at once, as large as the output.

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

import numpy as np

from minidl.autograd.function import Function
from minidl.backend import module_of
from minidl.checks import yes_or_no
from minidl.functional.geometry import Size, Window, pooling_window
from minidl.functional.precision import narrowed, widened
from minidl.types import Array, ArrayOrTensor, TensorLike


class MaxPool(Function):
    """y = the largest number in each window: the gradient goes to the place where it was found.

    Of equal numbers the first is taken. A NaN counts as larger than any number, and of several the last is taken, as in
    PyTorch. `chosen` (N, C, *out) is, for each window, the number of that place in it, counted row by row from 0.
    """

    __slots__ = ("chosen", "window")

    def __init__(self, window: Window) -> None:
        self.window = window

    def forward(self, x: Array) -> Array:
        xp, shape = module_of(x), (*x.shape[:2], *self.window.out)
        padded = self.window.padded(x)
        inside = self.window.padded(xp.ones((1, 1, *self.window.size), dtype=bool))  # the padding is never chosen
        best, self.chosen = xp.zeros(shape, dtype=x.dtype), xp.full(shape, -1, dtype=np.int32)
        for number, place in enumerate(self.window.places()):
            candidate = padded[place]
            is_nan = candidate != candidate
            better = inside[place] & ((candidate > best) | is_nan | (self.chosen < 0))
            best = xp.where(better, candidate, best)
            self.chosen = xp.where(better, number, self.chosen)
        return best

    def backward(self, grad_out: ArrayOrTensor) -> ArrayOrTensor:
        return PutChosen(self.window, self.chosen)(grad_out)


class PutChosen(Function):
    """dL/dx of max pooling: each window's gradient is added to the place that was chosen in it."""

    __slots__ = ("chosen", "window")

    def __init__(self, window: Window, chosen: Array) -> None:
        self.window = window
        self.chosen = chosen

    def forward(self, grad_out: Array) -> Array:
        xp = module_of(grad_out)
        padded = self.window.padded(xp.zeros((*grad_out.shape[:2], *self.window.size), dtype=grad_out.dtype))
        for number, place in enumerate(self.window.places()):
            padded[place] += xp.where(self.chosen == number, grad_out, 0)
        return self.window.cropped(padded)

    def backward(self, grad_x: ArrayOrTensor) -> ArrayOrTensor:
        return TakeChosen(self.window, self.chosen)(grad_x)


class TakeChosen(Function):
    """The transpose of PutChosen: from each window the number at the chosen place."""

    __slots__ = ("chosen", "window")

    def __init__(self, window: Window, chosen: Array) -> None:
        self.window = window
        self.chosen = chosen

    def forward(self, x: Array) -> Array:
        xp, padded = module_of(x), self.window.padded(x)
        taken = xp.zeros(self.chosen.shape, dtype=x.dtype)
        for number, place in enumerate(self.window.places()):
            taken = xp.where(self.chosen == number, padded[place], taken)
        return taken

    def backward(self, grad_out: ArrayOrTensor) -> ArrayOrTensor:
        return PutChosen(self.window, self.chosen)(grad_out)


class AvgPool(Function):
    """y = the sum over each window, divided by how many of its places count (`areas`)."""

    __slots__ = ("count_padding", "window")

    def __init__(self, window: Window, count_padding: bool) -> None:
        self.window = window
        self.count_padding = yes_or_no(count_padding, "average pooling: count_include_pad")

    def forward(self, x: Array) -> Array:
        padded = self.window.padded(widened(x))
        total = module_of(x).zeros((*x.shape[:2], *self.window.out), dtype=padded.dtype)
        for place in self.window.places():
            total += padded[place]
        return narrowed(total / areas(self.window, self.count_padding, total), x)

    def backward(self, grad_out: ArrayOrTensor) -> ArrayOrTensor:
        return SpreadMean(self.window, self.count_padding)(grad_out)


class SpreadMean(Function):
    """dL/dx of average pooling: each window's gradient, divided by its area, is added to all of its places."""

    __slots__ = ("count_padding", "window")

    def __init__(self, window: Window, count_padding: bool) -> None:
        self.window = window
        self.count_padding = count_padding

    def forward(self, grad_out: Array) -> Array:
        wide = widened(grad_out)
        share = wide / areas(self.window, self.count_padding, wide)
        padded = self.window.padded(
            module_of(grad_out).zeros((*grad_out.shape[:2], *self.window.size), dtype=wide.dtype)
        )
        for place in self.window.places():
            padded[place] += share
        return narrowed(self.window.cropped(padded), grad_out)

    def backward(self, grad_x: ArrayOrTensor) -> ArrayOrTensor:
        return AvgPool(self.window, self.count_padding)(grad_x)


def areas(window: Window, count_padding: bool, like: Array) -> Array:
    """How many places of each window count (*out), as `like` in dtype: those in input + padding, or in the input."""
    area = np.array(1)
    axes = zip(window.kernel, window.stride, window.padding, window.size, window.out, strict=True)
    for k, s, p, size, out in axes:
        start, margin = np.arange(out) * s - p, p if count_padding else 0
        area = np.multiply.outer(area, np.minimum(start + k, size + margin) - np.maximum(start, -margin))
    return module_of(like).asarray(area, dtype=like.dtype)


def max_pool1d(
    x: TensorLike, kernel_size: Size, stride: Size | None = None, padding: Size = 0, ceil_mode: bool = False
) -> ArrayOrTensor:
    """The maximum over windows of x (N, C, L), each channel by itself: as `max_pool2d`, with one number for two."""
    return MaxPool(pooling_window(1, x, kernel_size, stride, padding, ceil_mode))(x)


def max_pool2d(
    x: TensorLike, kernel_size: Size, stride: Size | None = None, padding: Size = 0, ceil_mode: bool = False
) -> ArrayOrTensor:
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
    return MaxPool(pooling_window(2, x, kernel_size, stride, padding, ceil_mode))(x)


def avg_pool1d(
    x: TensorLike,
    kernel_size: Size,
    stride: Size | None = None,
    padding: Size = 0,
    ceil_mode: bool = False,
    count_include_pad: bool = True,
) -> ArrayOrTensor:
    """The mean over windows of x (N, C, L), each channel by itself: as `avg_pool2d`, with one number for two."""
    return AvgPool(pooling_window(1, x, kernel_size, stride, padding, ceil_mode), count_include_pad)(x)


def avg_pool2d(
    x: TensorLike,
    kernel_size: Size,
    stride: Size | None = None,
    padding: Size = 0,
    ceil_mode: bool = False,
    count_include_pad: bool = True,
) -> ArrayOrTensor:
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
    return AvgPool(pooling_window(2, x, kernel_size, stride, padding, ceil_mode), count_include_pad)(x)
