"""Transposed convolution over one or two spatial axes: the gradient of a convolution, used as an op of its own.

>>> import numpy as np, minidl.functional as F
>>> F.conv_transpose1d(np.array([[[1.0, 2.0]]]), np.array([[[1.0, 1.0, 1.0]]]), stride=2)
array([[[1., 1., 3., 2., 2.]]])
"""

from __future__ import annotations

from typing import Any

from minidl.backend import native
from minidl.errors import ShapeError
from minidl.functional.conv import ConvInput
from minidl.functional.geometry import Geometry, Size, Sizes, check_operands, per_axis
from minidl.functional.reshaping import reshape
from minidl.types import ArrayOrTensor, TensorLike


def conv_transpose1d(
    x: TensorLike,
    weight: TensorLike,
    bias: TensorLike | None = None,
    stride: Size = 1,
    padding: Size = 0,
    output_padding: Size = 0,
    groups: int = 1,
    dilation: Size = 1,
) -> ArrayOrTensor:
    """Transposed convolution of x (N, C, L) with weight (C, F/groups, K): as `conv_transpose2d`."""
    return _transposed(x, weight, bias, Geometry.of(1, stride, padding, dilation, groups), output_padding)


def conv_transpose2d(
    x: TensorLike,
    weight: TensorLike,
    bias: TensorLike | None = None,
    stride: Size = 1,
    padding: Size = 0,
    output_padding: Size = 0,
    groups: int = 1,
    dilation: Size = 1,
) -> ArrayOrTensor:
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


def _transposed(
    x: TensorLike, weight: TensorLike, bias: TensorLike | None, geometry: Geometry, output_padding: Size
) -> ArrayOrTensor:
    n, stride, border = len(geometry.stride), geometry.stride, geometry.padding
    extra = extra_border(output_padding, stride, geometry.dilation, "output_padding")
    x = native(x)
    check_operands(x, weight, bias, geometry, transposed=True)
    lengths = zip(x.shape[2:], stride, border, geometry.reach(weight.shape[2:]), extra, strict=True)
    out = [(size - 1) * s - 2 * p + reach + e for size, s, p, reach, e in lengths]
    if 0 in x.shape[2:] or any(size < 1 for size in out):
        raise ShapeError(f"conv_transpose{n}d: the padding {border} leaves nothing of the output of x {x.shape}")
    y = ConvInput(geometry, (x.shape[0], weight.shape[1] * geometry.groups, *out))(x, weight)
    return y if bias is None else y + reshape(bias, (bias.size, *[1] * n))
