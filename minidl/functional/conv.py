"""2-d convolution, and the two ops that are its derivatives.

A convolution is linear in its input and linear in its weight. So its backward needs two more linear ops, and those
three are closed under differentiation, to any order:

    y  = Conv2d(x, w)            every window of x times the filters
    dx = Conv2dInput(dy, w)      every dy spread back over its window (a "transposed convolution")
    dw = Conv2dWeight(x, dy)     every window of x times the dy it produced, summed

All three see x as `columns`: the window under each output position, written out as one column of a matrix.

>>> import numpy as np, minidl.functional as F
>>> image = np.arange(16.0).reshape(1, 1, 4, 4)
>>> F.conv2d(image, np.ones((1, 1, 2, 2)), stride=2)[0, 0]
array([[10., 18.],
       [42., 50.]])
"""

from __future__ import annotations

import math
import operator
from dataclasses import dataclass
from typing import Any

import numpy as np

from minidl.autograd import Function
from minidl.backend import as_strided, module_of
from minidl.errors import DTypeError, ShapeError
from minidl.functional.linear import one_dtype_expected
from minidl.functional.precision import add_up, for_products, narrowed
from minidl.functional.reduction import sum

Pair = tuple[int, int]


def pair(value: Any, name: str, minimum: int) -> Pair:
    """(v, v) for a number v, or the pair itself; whole numbers of at least `minimum`."""
    both = tuple(value) if isinstance(value, (tuple, list)) else (value, value)
    try:
        first, second = (operator.index(v) for v in both)
    except (TypeError, ValueError):  # no whole numbers, or not two
        first, second = -1, -1
    if first < minimum or second < minimum:
        raise ShapeError(f"expected {name} as a whole number of at least {minimum}, or two of them; got {value!r}")
    return first, second


@dataclass(frozen=True, slots=True)
class Geometry:
    """How the window moves over the image: stride, zero padding, dilation, and groups of channels."""

    stride: Pair
    padding: Pair
    dilation: Pair
    groups: int

    def out_size(self, size: int, kernel: int, axis: int) -> int:
        """How many positions the window has along height (axis 0) or width (axis 1)."""
        reach = self.dilation[axis] * (kernel - 1) + 1
        out = (size + 2 * self.padding[axis] - reach) // self.stride[axis] + 1
        if out < 1:
            raise ShapeError(
                f"the window reaches over {reach} but the image with its padding has only "
                f"{size + 2 * self.padding[axis]} in {'height' if axis == 0 else 'width'}"
            )
        return out


def windows(padded: Any, kernel: Pair, out: Pair, geometry: Geometry) -> Any:
    """A view of padded (N, C, H, W) with axes (N, C, KH, KW, OH, OW): what each weight sees at each position."""
    n, c, h, w = padded.strides
    (stride_h, stride_w), (dilation_h, dilation_w) = geometry.stride, geometry.dilation
    shape = (*padded.shape[:2], *kernel, *out)
    return as_strided(padded, shape, (n, c, h * dilation_h, w * dilation_w, h * stride_h, w * stride_w))


def columns(x: Any, kernel: Pair, out: Pair, geometry: Geometry) -> Any:
    """The windows of x (N, C, H, W) as matrices (N, groups, C/groups * KH * KW, OH * OW): one column a position."""
    (pad_h, pad_w), groups = geometry.padding, geometry.groups
    if pad_h or pad_w:
        x = module_of(x).pad(x, ((0, 0), (0, 0), (pad_h, pad_h), (pad_w, pad_w)), mode="constant")
    images, channels = x.shape[:2]
    rows = channels // groups * kernel[0] * kernel[1]
    return windows(x, kernel, out, geometry).reshape((images, groups, rows, out[0] * out[1]))


def add_columns(cols: Any, x_shape: tuple[int, ...], kernel: Pair, out: Pair, geometry: Geometry) -> Any:
    """The transpose of `columns`: add every column back onto the window it came from; gives (N, C, H, W)."""
    images, channels, height, width = x_shape
    (pad_h, pad_w), (stride_h, stride_w) = geometry.padding, geometry.stride
    cols = cols.reshape((images, channels, *kernel, *out))
    padded = module_of(cols).zeros((images, channels, height + 2 * pad_h, width + 2 * pad_w), dtype=cols.dtype)
    for k in range(kernel[0]):
        top = k * geometry.dilation[0]
        for j in range(kernel[1]):
            left = j * geometry.dilation[1]
            # What weight (k, j) saw, at all positions at once; within this slice no place is named twice.
            seen = padded[:, :, top : top + out[0] * stride_h : stride_h, left : left + out[1] * stride_w : stride_w]
            seen += cols[:, :, k, j]
    return padded[:, :, pad_h : pad_h + height, pad_w : pad_w + width]


class Conv2d(Function):
    """y[n, f, i, j] = b[f] + sum over c, k, l of w[f, c, k, l] x[n, c, i s + k d - p, j s + l d - p].

    s, p, d are stride, padding and dilation; x is 0 outside the image. As matrices, for each image and group:
    y = W @ columns(x).
    """

    saves_inputs = True
    __slots__ = ("geometry",)

    def __init__(self, geometry: Geometry) -> None:
        self.geometry = geometry

    def forward(self, x: Any, weight: Any, bias: Any = None) -> Any:
        kernel, out = _check(x, weight, bias, self.geometry)
        filters, groups = weight.shape[0], self.geometry.groups
        cols = columns(for_products(x), kernel, out, self.geometry)
        matrix = for_products(weight).reshape((groups, filters // groups, cols.shape[2]))
        y = (matrix @ cols).reshape((x.shape[0], filters, *out))
        return narrowed(y if bias is None else y + bias.reshape((1, filters, 1, 1)), x)

    def backward(self, grad_out: Any, x: Any, weight: Any, bias: Any = None) -> Any:
        grad_x = Conv2dInput(self.geometry, x.shape)(grad_out, weight) if self.needs(0) else None
        grad_weight = Conv2dWeight(self.geometry, weight.shape)(x, grad_out) if self.needs(1) else None
        if bias is None:
            return grad_x, grad_weight
        return grad_x, grad_weight, sum(grad_out, axis=(0, 2, 3)) if self.needs(2) else None


class Conv2dInput(Function):
    """dL/dx of a convolution: columns of W^T @ dL/dy, added back onto their windows."""

    saves_inputs = True
    __slots__ = ("geometry", "x_shape")

    def __init__(self, geometry: Geometry, x_shape: tuple[int, ...]) -> None:
        self.geometry = geometry
        self.x_shape = x_shape

    def forward(self, grad_out: Any, weight: Any) -> Any:
        images, filters, *out = grad_out.shape
        kernel, groups = weight.shape[2:], self.geometry.groups
        matrix = for_products(weight).reshape((groups, filters // groups, math.prod(weight.shape[1:])))
        per_group = for_products(grad_out).reshape((images, groups, filters // groups, math.prod(out)))
        cols = matrix.swapaxes(1, 2) @ per_group
        return narrowed(add_columns(cols, self.x_shape, kernel, (out[0], out[1]), self.geometry), grad_out)

    def backward(self, grad_x: Any, grad_out: Any, weight: Any) -> Any:
        grad_grad_out = Conv2d(self.geometry)(grad_x, weight) if self.needs(0) else None
        grad_weight = Conv2dWeight(self.geometry, weight.shape)(grad_x, grad_out) if self.needs(1) else None
        return grad_grad_out, grad_weight


class Conv2dWeight(Function):
    """dL/dw of a convolution: dL/dy @ columns(x)^T, summed over the images."""

    saves_inputs = True
    __slots__ = ("geometry", "weight_shape")

    def __init__(self, geometry: Geometry, weight_shape: tuple[int, ...]) -> None:
        self.geometry = geometry
        self.weight_shape = weight_shape

    def forward(self, x: Any, grad_out: Any) -> Any:
        images, filters, *out = grad_out.shape
        groups, (_, _, *kernel) = self.geometry.groups, self.weight_shape
        cols = columns(for_products(x), (kernel[0], kernel[1]), (out[0], out[1]), self.geometry)
        per_group = for_products(grad_out).reshape((images, groups, filters // groups, math.prod(out)))
        per_image = per_group @ cols.swapaxes(-1, -2)
        return narrowed(add_up(per_image, (0,)).reshape(self.weight_shape), x)

    def backward(self, grad_weight: Any, x: Any, grad_out: Any) -> Any:
        grad_x = Conv2dInput(self.geometry, x.shape)(grad_out, grad_weight) if self.needs(0) else None
        grad_grad_out = Conv2d(self.geometry)(x, grad_weight) if self.needs(1) else None
        return grad_x, grad_grad_out


def _check(x: Any, weight: Any, bias: Any, geometry: Geometry) -> tuple[Pair, Pair]:
    """The kernel's size and the output's, once all shapes are known to fit."""
    groups = geometry.groups
    if x.ndim != 4 or weight.ndim != 4:
        raise ShapeError(f"expected x (N, C, H, W) and weight (F, C/groups, KH, KW); got {x.shape} and {weight.shape}")
    if x.shape[1] % groups or weight.shape[0] % groups or x.shape[1] // groups != weight.shape[1]:
        raise ShapeError(
            f"expected an input of {weight.shape[1] * groups} channels for a weight of shape {weight.shape} with "
            f"groups={groups}, and filters in a multiple of {groups}; got x {x.shape}"
        )
    if 0 in (weight.shape[0], *weight.shape[2:]):
        raise ShapeError(f"expected at least one filter and a window of at least 1x1; got a weight of {weight.shape}")
    if bias is not None and bias.shape != weight.shape[:1]:
        raise ShapeError(f"expected a bias of shape {weight.shape[:1]}; got {bias.shape}")
    if x.dtype != weight.dtype or (bias is not None and bias.dtype != weight.dtype):
        raise DTypeError(one_dtype_expected(x, weight, bias))
    kernel = (weight.shape[2], weight.shape[3])
    return kernel, (geometry.out_size(x.shape[2], kernel[0], 0), geometry.out_size(x.shape[3], kernel[1], 1))


def conv2d(
    x: Any, weight: Any, bias: Any = None, stride: Any = 1, padding: Any = 0, dilation: Any = 1, groups: int = 1
) -> Any:
    """2-d convolution (a cross-correlation, as everywhere in deep learning).

    Args:
        x: (N, C, H, W).
        weight: (F, C/groups, KH, KW).
        bias: (F,) or None.
        stride, padding, dilation: a number, or one for height and one for width.
        groups: the channels are cut into this many groups, each with F/groups filters of its own.

    Returns:
        (N, F, OH, OW) with OH = (H + 2 padding - dilation (KH - 1) - 1) // stride + 1.

    Raises:
        ShapeError, DTypeError: input, weight, bias, groups or window do not fit together.
    """
    if not isinstance(groups, (int, np.integer)) or groups < 1:
        raise ShapeError(f"conv2d: expected groups as a whole number of at least 1; got {groups!r}")
    step, border, spread = pair(stride, "stride", 1), pair(padding, "padding", 0), pair(dilation, "dilation", 1)
    geometry = Geometry(step, border, spread, int(groups))
    return Conv2d(geometry)(x, weight) if bias is None else Conv2d(geometry)(x, weight, bias)
