"""Convolution over one or two spatial axes, and the three ops it is made of.

A convolution is linear in its input and linear in its weight. So its backward needs two more linear ops, and those
three are closed under differentiation, to any order:

    y  = Conv(x, w)            every window of x times the filters
    dx = ConvInput(dy, w)      every number of dy, times the filters, added back onto its window
    dw = ConvWeight(x, dy)     every window of x times the dy it produced, summed

All three are products of matrices. `columns` writes the window under each output position out as one column of a
matrix (im2col), `add_columns` is its transpose (col2im), and then, for each image,

    y = W columns(x)           dx = add_columns(W^T dy)         dW = dy columns(x)^T

where W has one row for each filter, and y and dy have one column for each position. With several groups of channels
there is such a product for each group. `geometry.py` says where the windows lie.

>>> import numpy as np, minidl.functional as F
>>> image = np.arange(16.0).reshape(1, 1, 4, 4)
>>> F.conv2d(image, np.ones((1, 1, 2, 2)), stride=2)[0, 0]
array([[10., 18.],
       [42., 50.]])
"""

from __future__ import annotations

import math

import numpy as np

from minidl.autograd.function import Function
from minidl.backend import module_of
from minidl.functional.broadcasting import sum
from minidl.functional.geometry import Geometry, Size, Sizes, Window, borders, check_operands, same_size
from minidl.functional.precision import HALF, narrowed
from minidl.functional.reshaping import array_like
from minidl.types import Array, ArrayOrTensor, Gradients, Shape, TensorLike


def columns(x: Array, window: Window, groups: int) -> Array:
    """im2col: x (N, C, *size) as matrices (N, groups, C/groups * prod(kernel), prod(out)), a column for each position.

    A row holds what one number of the filters meets: place k of the window, in channel c, at all positions.
    """
    images, channels = x.shape[:2]
    padded = window.padded(x)
    cols = module_of(x).empty((images, channels, math.prod(window.kernel), *window.out), dtype=x.dtype)
    for k, place in enumerate(window.places()):
        cols[:, :, k] = padded[place]
    return cols.reshape((images, groups, channels // groups * math.prod(window.kernel), math.prod(window.out)))


def add_columns(cols: Array, x_shape: Shape, window: Window) -> Array:
    """col2im, the transpose of `columns`: every number is added back onto the place it came from; (N, C, *size)."""
    images, channels = x_shape[:2]
    cols = cols.reshape((images, channels, math.prod(window.kernel), *window.out))
    padded = window.padded(module_of(cols).zeros(x_shape, dtype=cols.dtype))
    for k, place in enumerate(window.places()):
        padded[place] += cols[:, :, k]
    return window.cropped(padded)


def for_products(x: Array) -> Array:
    """x in the dtype in which products are added up: float32 for float16, else its own."""
    return x.astype(np.float32) if x.dtype == HALF else x


class Conv(Function):
    """y[n, f, i] = b[f] + sum over c, k of w[f, c, k] x[n, c, i s + k d - p].

    i and k are places, s, p, d stride, padding and dilation: one number each for every spatial axis. x is 0 outside.
    The bias may be None. `out` is the number of positions i along each axis, where it is known; else as many as fit.
    """

    saves_inputs = True
    reads = ((1,), (0,), ())
    __slots__ = ("geometry", "out")

    def __init__(self, geometry: Geometry, out: Sizes | None = None) -> None:
        self.geometry = geometry
        self.out = out

    def forward(self, x: Array, weight: Array, bias: Array | None) -> Array:
        check_operands(x, weight, bias, self.geometry)
        window, groups = self.geometry.window(x.shape[2:], weight.shape[2:], self.out), self.geometry.groups
        images, filters = len(x), len(weight)
        cols = columns(for_products(x), window, groups)
        matrices = for_products(weight).reshape((groups, filters // groups, cols.shape[2]))
        # (groups, F/groups, C/groups K) times (N, groups, C/groups K, positions) is (N, groups, F/groups, positions)
        y = (matrices @ cols).reshape((images, filters, *window.out))
        if bias is not None:
            y = y + bias.reshape((filters, *[1] * len(window.out)))
        return narrowed(y, x)

    def backward(
        self, grad_out: ArrayOrTensor, x: ArrayOrTensor, weight: ArrayOrTensor, bias: ArrayOrTensor | None
    ) -> Gradients:
        grad_x = grad_weight = grad_bias = None
        if self.needs(0):
            grad_x = ConvInput(self.geometry, x.shape)(grad_out, weight)
        if self.needs(1):
            grad_weight = ConvWeight(self.geometry, weight.shape)(x, grad_out)
        if self.needs(2):  # a filter's bias was added in all images, at all positions
            grad_bias = sum(grad_out, axis=(0, *range(2, grad_out.ndim)))
        return grad_x, grad_weight, grad_bias


class ConvInput(Function):
    """dL/dx of a convolution: dx[n, c, j] = sum over f, i, k of w[f, c, k] dy[n, f, i], where i s + k d - p = j."""

    saves_inputs = True
    reads = ((1,), (0,))
    __slots__ = ("geometry", "x_shape")

    def __init__(self, geometry: Geometry, x_shape: Shape) -> None:
        self.geometry = geometry
        self.x_shape = x_shape

    def forward(self, grad_out: Array, weight: Array) -> Array:
        (images, filters, *out), groups = grad_out.shape, self.geometry.groups
        window = self.geometry.window(self.x_shape[2:], weight.shape[2:], tuple(out))
        matrices = for_products(weight).reshape((groups, filters // groups, math.prod(weight.shape[1:])))
        by_group = for_products(grad_out).reshape((images, groups, filters // groups, math.prod(out)))
        return narrowed(add_columns(matrices.swapaxes(1, 2) @ by_group, self.x_shape, window), grad_out)

    def backward(self, grad_x: ArrayOrTensor, grad_out: ArrayOrTensor, weight: ArrayOrTensor) -> Gradients:
        grad_grad_out = Conv(self.geometry, grad_out.shape[2:])(grad_x, weight, None) if self.needs(0) else None
        grad_weight = ConvWeight(self.geometry, weight.shape)(grad_x, grad_out) if self.needs(1) else None
        return grad_grad_out, grad_weight


class ConvWeight(Function):
    """dL/dw of a convolution: dw[f, c, k] = sum over n, i of x[n, c, i s + k d - p] dy[n, f, i]."""

    saves_inputs = True
    reads = ((1,), (0,))
    __slots__ = ("geometry", "weight_shape")

    def __init__(self, geometry: Geometry, weight_shape: Shape) -> None:
        self.geometry = geometry
        self.weight_shape = weight_shape

    def forward(self, x: Array, grad_out: Array) -> Array:
        (images, filters, *out), groups = grad_out.shape, self.geometry.groups
        window = self.geometry.window(x.shape[2:], self.weight_shape[2:], tuple(out))
        cols = columns(for_products(x), window, groups)
        by_group = for_products(grad_out).reshape((images, groups, filters // groups, math.prod(out)))
        per_image = by_group @ cols.swapaxes(2, 3)
        return narrowed(per_image.sum(axis=0).reshape(self.weight_shape), x)

    def backward(self, grad_weight: ArrayOrTensor, x: ArrayOrTensor, grad_out: ArrayOrTensor) -> Gradients:
        grad_x = ConvInput(self.geometry, x.shape)(grad_out, grad_weight) if self.needs(0) else None
        grad_grad_out = Conv(self.geometry, grad_out.shape[2:])(x, grad_weight, None) if self.needs(1) else None
        return grad_x, grad_grad_out


def conv1d(
    x: TensorLike,
    weight: TensorLike,
    bias: TensorLike | None = None,
    stride: Size = 1,
    padding: Size | str = 0,
    dilation: Size = 1,
    groups: int = 1,
) -> ArrayOrTensor:
    """1-d convolution of sequences x (N, C, L) with weight (F, C/groups, K): as `conv2d`, with one number for two."""
    return _convolve(1, x, weight, bias, stride, padding, dilation, groups)


def conv2d(
    x: TensorLike,
    weight: TensorLike,
    bias: TensorLike | None = None,
    stride: Size = 1,
    padding: Size | str = 0,
    dilation: Size = 1,
    groups: int = 1,
) -> ArrayOrTensor:
    """2-d convolution (a cross-correlation, as everywhere in deep learning).

    Args:
        x: (N, C, H, W).
        weight: (F, C/groups, KH, KW).
        bias: (F,) or None.
        stride, padding, dilation: a number, or one for height and one for width. `padding` may also be "valid", which
            is 0, or "same", with which the output is as large as the input (only for stride 1); where that takes an
            odd number of rows or columns, the odd one goes to the end.
        groups: the channels are cut into this many groups, each with F/groups filters of its own.

    Returns:
        (N, F, OH, OW) with OH = (H + 2 padding - dilation (KH - 1) - 1) // stride + 1.

    Raises:
        ShapeError, DTypeError: input, weight, bias, groups or window do not fit together.
    """
    return _convolve(2, x, weight, bias, stride, padding, dilation, groups)


def _convolve(
    n: int,
    x: TensorLike,
    weight: TensorLike,
    bias: TensorLike | None,
    stride: Size,
    padding: Size | str,
    dilation: Size,
    groups: int,
) -> ArrayOrTensor:
    if not isinstance(padding, str):
        return Conv(Geometry.of(n, stride, padding, dilation, groups))(x, weight, bias)
    geometry, out = Geometry.of(n, stride, 0, dilation, groups), None
    if borders(padding, n, geometry.stride, "padding") == "same":
        x, weight = array_like(x), array_like(weight)  # a list has no shape
        geometry, out = same_size(geometry, x, weight)
    return Conv(geometry, out)(x, weight, bias)
