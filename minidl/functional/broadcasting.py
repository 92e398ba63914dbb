"""Broadcasting and summing: each is the gradient of the other.

Broadcasting copies one number to many places. Each copy contributes to the loss, so in the backward the gradients of
all copies are added up. A sum does the opposite: in the backward every number it added gets the gradient of the sum.

>>> import minidl as md, minidl.functional as F
>>> x = md.tensor([1.0, 2.0], requires_grad=True)
>>> F.sum(F.broadcast_to(x, (3, 2))).backward()
>>> x.grad
Tensor([3., 3.])
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, ClassVar, Never

from minidl.autograd.function import Function
from minidl.autograd.variable import Variable, to_share
from minidl.backend import module_of
from minidl.checks import yes_or_no
from minidl.functional.axes import all_axes, as_shape
from minidl.functional.precision import add_up
from minidl.habits.answers import unknown_option
from minidl.types import Array, ArrayOrTensor, Axis, Gradients, Shape, ShapeLike, TensorLike


class Reduction(Function):
    """An op that makes one number of all numbers along some axes.

    Attributes:
        axis: the reduced axes, counted from the front, or None for all.
        keepdims: whether they stay in the result with length 1.
        in_shape: the shape of x.
        kept_shape: the same with length 1 on the reduced axes, so that it broadcasts with x.
        add_up: the function that sums a raw array.
    """

    __slots__ = ("axis", "in_shape", "keepdims", "kept_shape")

    add_up: ClassVar[Callable[..., Array]] = staticmethod(add_up)
    axis: Any
    in_shape: Shape
    kept_shape: Shape

    def __init__(self, axis: Axis, keepdims: bool) -> None:
        self.axis = axis
        self.keepdims = keepdims if keepdims is False else yes_or_no(keepdims, f"{type(self).__name__}: keepdims")

    def note_shapes(self, x: Array) -> None:
        """Set `axis` and the shapes, now that x is known. (None stays None: NumPy reduces all axes fastest so.)"""
        self.in_shape = x.shape
        if self.axis is None:
            self.kept_shape = (1,) * x.ndim
            return
        self.axis = all_axes(self.axis, x.ndim)
        kept = list(x.shape)
        for i in self.axis:
            kept[i] = 1
        self.kept_shape = tuple(kept)

    def count(self) -> int:
        """How many numbers went into each result."""
        return math.prod([n for n, kept in zip(self.in_shape, self.kept_shape, strict=True) if kept == 1])


class Sum(Reduction):
    """s = sum of x_i, so ds/dx_i = 1."""

    __slots__ = ()

    def forward(self, x: Array) -> Array:
        self.note_shapes(x)
        return self.add_up(x, self.axis, self.keepdims)

    def backward(self, grad_out: ArrayOrTensor) -> Gradients:
        return repeated(grad_out.reshape(self.kept_shape), self.in_shape)


def sum(x: TensorLike, axis: Axis = None, keepdims: bool = False, **unknown: Never) -> ArrayOrTensor:
    """The sum over `axis`; 0 of no numbers.

    Raises:
        AxisError, DTypeError, ShapeError: x has no such axis, it is no whole number, or one is named twice.
    """
    if unknown:
        raise unknown_option("F.sum(x)", unknown)
    return Sum(axis, keepdims)(x)


class BroadcastTo(Function):
    """The same numbers repeated along new axes and along axes of length 1."""

    __slots__ = ("in_shape", "shape")

    def __init__(self, shape: Shape) -> None:
        self.shape = shape

    def forward(self, x: Array) -> Array:
        self.in_shape = x.shape
        return module_of(x).broadcast_to(x, self.shape)

    def backward(self, grad_out: ArrayOrTensor) -> Gradients:
        return unbroadcast(grad_out, self.in_shape)


def broadcast_to(x: TensorLike, shape: ShapeLike) -> ArrayOrTensor:
    """x repeated, without copying, to `shape`. The result is read-only, as NumPy's.

    Raises:
        ShapeError: x does not broadcast to `shape`.
        DTypeError: a length is no whole number.
    """
    return BroadcastTo(as_shape(shape))(to_share(x))


def repeated(x: ArrayOrTensor, shape: Shape) -> ArrayOrTensor:
    """x repeated along its axes of length 1 to `shape`, as an array of its own. For the backwards of reductions."""
    if isinstance(x, Variable):
        return BroadcastTo(shape)(x)
    out = module_of(x).empty(shape, x.dtype)
    out[...] = x
    return out


def unbroadcast(grad: ArrayOrTensor, shape: Shape) -> ArrayOrTensor:
    """Sum `grad` over the axes along which an input of `shape` was repeated.

    For grad of shape (5, 3, 4) and shape (3, 1): summed over axes 0 and 2.
    """
    if grad.shape == shape:
        return grad
    added = grad.ndim - len(shape)
    stretched = [added + i for i, n in enumerate(shape) if n == 1]
    return Sum((*range(added), *stretched), keepdims=True)(grad).reshape(shape)
