"""The same numbers, in the same order, under another shape: reshape, flatten, squeeze, expand_dims.

>>> import numpy as np, minidl.functional as F
>>> F.flatten(np.ones((2, 3, 4)), 1).shape
(2, 12)
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Never

from minidl.autograd.function import Function
from minidl.autograd.variable import to_share
from minidl.backend import asarray
from minidl.errors import ShapeError
from minidl.functional.axes import all_axes, as_shape, one_axis
from minidl.habits.answers import unknown_option
from minidl.types import Array, ArrayOrTensor, Axis, Gradients, Shape, ShapeLike, TensorLike


class Reshape(Function):
    """The same numbers in the same (C) order under another shape."""

    __slots__ = ("in_shape", "shape")

    def __init__(self, shape: Shape) -> None:
        self.shape = shape

    def forward(self, x: Array) -> Array:
        self.in_shape = x.shape
        return x.reshape(self.shape)

    def backward(self, grad_out: ArrayOrTensor) -> Gradients:
        return grad_out.reshape(self.in_shape)


def reshape(x: TensorLike, shape: ShapeLike) -> ArrayOrTensor:
    """x under another shape with as many elements; one length may be -1. A view where NumPy gives a view.

    Raises:
        ShapeError: x has another number of elements.
        DTypeError: a length is no whole number.
    """
    return Reshape(as_shape(shape))(to_share(x))


def array_like(x: TensorLike) -> ArrayOrTensor:
    """x if it has a shape (a Tensor or an array), else the array of it."""
    return x if hasattr(x, "shape") else asarray(x)


def flatten(x: TensorLike, start_axis: int = 0, end_axis: int = -1, **unknown: Never) -> ArrayOrTensor:
    """Merge the axes `start_axis` to `end_axis` into one: (N, C, H, W) from 1 on becomes (N, C*H*W); () is (1,).

    Raises:
        AxisError: there is no such axis.
        ShapeError: the last is before the first.
    """
    if unknown:
        raise unknown_option("F.flatten(x)", unknown)
    x = array_like(x)
    if x.ndim == 0:
        return reshape(x, (1,))
    start, end = one_axis(start_axis, x.ndim), one_axis(end_axis, x.ndim) + 1
    if end <= start:
        raise ShapeError(f"flatten: expected start_axis before end_axis; got {start_axis} and {end_axis}")
    return reshape(x, (*x.shape[:start], math.prod(x.shape[start:end]), *x.shape[end:]))


def squeeze(x: TensorLike, axis: Axis = None, **unknown: Never) -> ArrayOrTensor:
    """x without those of its axes that have length 1, or only without the ones named: (2, 1, 3) becomes (2, 3).

    Raises:
        ShapeError: an axis that is named has another length.
        AxisError: there is no such axis.
    """
    if unknown:
        raise unknown_option("F.squeeze(x)", unknown)
    x = array_like(x)
    gone = [i for i, n in enumerate(x.shape) if n == 1] if axis is None else all_axes(axis, x.ndim)
    if any(x.shape[i] != 1 for i in gone):
        raise ShapeError(f"squeeze: expected axes of length 1; got axis={axis} for shape {x.shape}")
    return reshape(x, [n for i, n in enumerate(x.shape) if i not in gone])


def expand_dims(x: TensorLike, axis: int | Sequence[int], **unknown: Never) -> ArrayOrTensor:
    """x with new axes of length 1, which are then number `axis` of the result: axis=1 makes (2, 1, 3) of (2, 3).

    Raises:
        AxisError: the result has no such axis.
        ShapeError: an axis is named twice.
    """
    if unknown:
        raise unknown_option("F.expand_dims(x)", unknown)
    x = array_like(x)
    several: Sequence[int] = axis if isinstance(axis, (tuple, list)) else (axis,)
    new = all_axes(several, x.ndim + len(several))
    lengths = iter(x.shape)
    return reshape(x, [1 if i in new else next(lengths) for i in range(x.ndim + len(several))])
