"""Convolution over one or two spatial axes, its transpose, and the three ops they are made of.

A convolution is linear in its input and linear in its weight. So its backward needs two more linear ops, and those
three are closed under differentiation, to any order:

    y  = Conv(x, w)            every window of x times the filters
    dx = ConvInput(dy, w)      every dy spread back over its window (a "transposed convolution")
    dw = ConvWeight(x, dy)     every window of x times the dy it produced, summed

All three see x as columns: the window under each output position, written out as one column of a matrix. How that is
done is in `conv_plain.py`, to read; `conv_blocked.py` is fast on the CPU, and `conv_device.py` on a GPU. Strides,
kernels and sizes are tuples of one number for each spatial axis.

>>> import numpy as np, minidl.functional as F
>>> image = np.arange(16.0).reshape(1, 1, 4, 4)
>>> F.conv2d(image, np.ones((1, 1, 2, 2)), stride=2)[0, 0]
array([[10., 18.],
       [42., 50.]])
>>> F.conv_transpose1d(np.array([[[1.0, 2.0]]]), np.array([[[1.0, 1.0, 1.0]]]), stride=2)
array([[[1., 1., 3., 2., 2.]]])
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from minidl.autograd.function import Function
from minidl.backend import module_of
from minidl.errors import DTypeError, ShapeError, describe
from minidl.fast.cpu import conv as conv_blocked
from minidl.fast.gpu import conv as conv_device
from minidl.fast.gpu import kernels
from minidl.functional import conv_plain
from minidl.functional.geometry import WORDS, Geometry, Sizes, borders, no_batch, per_axis
from minidl.functional.products import one_dtype_expected
from minidl.functional.reduction import sum
from minidl.functional.shape import array_like, pad, reshape


def _products(x: Any) -> Any:
    """Where the products of a convolution of x are computed: the one place that chooses."""
    if module_of(x) is np and x.dtype.kind == "f":
        return conv_blocked
    return conv_device if kernels.on_device(x) else conv_plain


class Conv(Function):
    """y[n, f, i] = b[f] + sum over c, k of w[f, c, k] x[n, c, i s + k d - p].

    i and k are places, s, p, d stride, padding and dilation: one number each for every spatial axis. x is 0 outside.
    `out` is the output's size where it is known: a
    transposed convolution may come from fewer positions than would fit what it leads to.
    """

    saves_inputs = True
    __slots__ = ("geometry", "out")

    def __init__(self, geometry: Geometry, out: Sizes | None = None) -> None:
        self.geometry = geometry
        self.out = out

    def forward(self, x: Any, weight: Any, bias: Any = None) -> Any:
        _check(x, weight, bias, self.geometry)
        out = self.out or self.geometry.positions(x.shape[2:], weight.shape[2:])
        return _products(x).conv(x, weight, bias, out, self.geometry)

    def backward(self, grad_out: Any, x: Any, weight: Any, bias: Any = None) -> Any:
        if kernels.on_device(grad_out):  # one arrangement of dL/dy serves all three
            wanted = [self.needs(0), self.needs(1), bias is not None and self.needs(2)]
            grads = conv_device.gradients(grad_out, x, weight, self.geometry, wanted)
            return grads[:2] if bias is None else grads
        grad_x = ConvInput(self.geometry, x.shape)(grad_out, weight) if self.needs(0) else None
        grad_weight = ConvWeight(self.geometry, weight.shape)(x, grad_out) if self.needs(1) else None
        if bias is None:
            return grad_x, grad_weight
        return grad_x, grad_weight, sum(grad_out, axis=(0, *range(2, x.ndim))) if self.needs(2) else None


class ConvInput(Function):
    """dL/dx of a convolution: every number of dL/dy, times the filters, added back onto its window."""

    saves_inputs = True
    __slots__ = ("geometry", "x_shape")

    def __init__(self, geometry: Geometry, x_shape: tuple[int, ...]) -> None:
        self.geometry = geometry
        self.x_shape = x_shape

    def forward(self, grad_out: Any, weight: Any) -> Any:
        return _products(grad_out).conv_input(grad_out, weight, self.x_shape, self.geometry)

    def backward(self, grad_x: Any, grad_out: Any, weight: Any) -> Any:
        grad_grad_out = Conv(self.geometry, grad_out.shape[2:])(grad_x, weight) if self.needs(0) else None
        grad_weight = ConvWeight(self.geometry, weight.shape)(grad_x, grad_out) if self.needs(1) else None
        return grad_grad_out, grad_weight


class ConvWeight(Function):
    """dL/dw of a convolution: every window of x times the dL/dy that belongs to it, summed."""

    saves_inputs = True
    __slots__ = ("geometry", "weight_shape")

    def __init__(self, geometry: Geometry, weight_shape: tuple[int, ...]) -> None:
        self.geometry = geometry
        self.weight_shape = weight_shape

    def forward(self, x: Any, grad_out: Any) -> Any:
        return _products(x).conv_weight(x, grad_out, self.weight_shape, self.geometry)

    def backward(self, grad_weight: Any, x: Any, grad_out: Any) -> Any:
        grad_x = ConvInput(self.geometry, x.shape)(grad_out, grad_weight) if self.needs(0) else None
        grad_grad_out = Conv(self.geometry, grad_out.shape[2:])(x, grad_weight) if self.needs(1) else None
        return grad_x, grad_grad_out


def _check(x: Any, weight: Any, bias: Any, geometry: Geometry, transposed: bool = False) -> None:
    """Whether the operands fit together; the first axis of a weight counts filters, or channels when transposed."""
    n, groups = len(geometry.stride), geometry.groups
    first, second = ("channel", "F") if transposed else ("filter", "C")
    operands = (x, weight) if bias is None else (x, weight, bias)
    if not all(hasattr(operand, "dtype") for operand in operands):
        name = f"conv_transpose{n}d: " if transposed else ""
        raise DTypeError(f"{name}expected Tensors or arrays; got {', '.join(map(describe, operands))}")
    if x.ndim != n + 2 or weight.ndim != n + 2:
        _, layout, kernel, _ = WORDS[n]
        raise ShapeError(
            f"expected x {layout} and weight ({first[0].upper()}, {second}/groups, {kernel}); got {x.shape} and "
            f"{weight.shape}{no_batch(x, n)}"
        )
    channels, filters = weight.shape[1] * groups, weight.shape[0]
    if transposed:
        channels, filters = filters, channels
    if x.shape[1] != channels or weight.shape[0] % groups:
        raise ShapeError(
            f"expected an input of {channels} channels for a weight of shape {weight.shape} with groups={groups}, and "
            f"{first}s in a multiple of {groups}; got x {x.shape}"
        )
    if 0 in (weight.shape[0], *weight.shape[2:]):
        least = "x".join("1" * n)
        raise ShapeError(
            f"expected at least one {first} and a window of at least {least}; got a weight of {weight.shape}"
        )
    if bias is not None and bias.shape != (filters,):
        raise ShapeError(f"expected a bias of shape {(filters,)}; got {bias.shape}")
    if x.dtype != weight.dtype or (bias is not None and bias.dtype != weight.dtype):
        raise DTypeError(one_dtype_expected(x, weight, bias))


def conv1d(
    x: Any, weight: Any, bias: Any = None, stride: Any = 1, padding: Any = 0, dilation: Any = 1, groups: int = 1
) -> Any:
    """1-d convolution of sequences x (N, C, L) with weight (F, C/groups, K): as `conv2d`, with one number for two."""
    return _convolve(1, x, weight, bias, stride, padding, dilation, groups)


def conv2d(
    x: Any, weight: Any, bias: Any = None, stride: Any = 1, padding: Any = 0, dilation: Any = 1, groups: int = 1
) -> Any:
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
        (N, F, OH, OW) with OH = (H + 2 padding - dilation (KH - 1) - 1) // stride + 1. On the CPU the channels lie last
        in memory, so that a reshape of it copies (and is no view to write through).

    Raises:
        ShapeError, DTypeError: input, weight, bias, groups or window do not fit together.
    """
    return _convolve(2, x, weight, bias, stride, padding, dilation, groups)


def _convolve(n: int, x: Any, weight: Any, bias: Any, stride: Any, padding: Any, dilation: Any, groups: Any) -> Any:
    geometry = Geometry.of(n, stride, 0 if isinstance(padding, str) else padding, dilation, groups)
    if isinstance(padding, str) and borders(padding, n, geometry.stride, "padding") == "same":
        x, weight = array_like(x), array_like(weight)
        _check(x, weight, None, geometry)  # before it is padded: of what x was given
        x, border = _padded_to_same(x, weight, geometry.dilation)
        geometry = replace(geometry, padding=border)
    return Conv(geometry)(x, weight) if bias is None else Conv(geometry)(x, weight, bias)


def _padded_to_same(x: Any, weight: Any, dilation: Sizes) -> tuple[Any, Sizes]:
    """x and the padding on both sides with which windows that move by one give as many outputs as inputs."""
    totals = [d * (k - 1) for d, k in zip(dilation, weight.shape[2:], strict=True)]
    if any(total % 2 for total in totals):
        x = pad(x, ((0, 0), (0, 0), *((0, total % 2) for total in totals)))
    return x, tuple(total // 2 for total in totals)


def conv_transpose1d(
    x: Any,
    weight: Any,
    bias: Any = None,
    stride: Any = 1,
    padding: Any = 0,
    output_padding: Any = 0,
    groups: int = 1,
    dilation: Any = 1,
) -> Any:
    """Transposed convolution of x (N, C, L) with weight (C, F/groups, K): as `conv_transpose2d`."""
    return _transposed(x, weight, bias, Geometry.of(1, stride, padding, dilation, groups), output_padding)


def conv_transpose2d(
    x: Any,
    weight: Any,
    bias: Any = None,
    stride: Any = 1,
    padding: Any = 0,
    output_padding: Any = 0,
    groups: int = 1,
    dilation: Any = 1,
) -> Any:
    """Transposed 2-d convolution: every number of x, times the filters, is added onto the window it belongs to.

    That is the gradient of `conv2d` with respect to its input, so it leads from the shape of a convolution's output
    back to that of its input. With stride s it enlarges s times.

    Args:
        x: (N, C, H, W).
        weight: (C, F/groups, KH, KW), as of a convolution from F to C channels.
        bias: (F,) or None.
        stride, dilation: of that convolution; a number, or one for height and one for width.
        padding: of that convolution: so much is cut off on each side.
        output_padding: how much less is cut off at the end: a convolution with stride s maps up to s sizes to one.
        groups: of that convolution.

    Returns:
        (N, F, OH, OW) with OH = (H - 1) stride - 2 padding + dilation (KH - 1) + output_padding + 1.

    Raises:
        ShapeError, DTypeError: input, weight, bias or groups do not fit together, nothing is left between the padding,
            or output_padding is as large as stride and dilation.
    """
    return _transposed(x, weight, bias, Geometry.of(2, stride, padding, dilation, groups), output_padding)


def extra_border(value: Any, stride: Sizes, dilation: Sizes, name: str) -> Sizes:
    """What `output_padding` may be: along each axis smaller than stride or dilation."""
    extra = per_axis(value, len(stride), name, 0)
    if any(e >= max(s, d) for e, s, d in zip(extra, stride, dilation, strict=True)):
        raise ShapeError(f"{name}: expected numbers smaller than stride or dilation; got {value}")
    return extra


def _transposed(x: Any, weight: Any, bias: Any, geometry: Geometry, output_padding: Any) -> Any:
    n, stride, border = len(geometry.stride), geometry.stride, geometry.padding
    extra = extra_border(output_padding, stride, geometry.dilation, "output_padding")
    _check(x, weight, bias, geometry, transposed=True)
    lengths = zip(x.shape[2:], stride, border, geometry.reach(weight.shape[2:]), extra, strict=True)
    out = [(size - 1) * s - 2 * p + reach + e for size, s, p, reach, e in lengths]
    if 0 in x.shape[2:] or any(size < 1 for size in out):
        raise ShapeError(f"conv_transpose{n}d: the padding {border} leaves nothing of the output of x {x.shape}")
    y = ConvInput(geometry, (x.shape[0], weight.shape[1] * geometry.groups, *out))(x, weight)
    return y if bias is None else y + reshape(bias, (bias.size, *[1] * n))
