"""Ops that choose between values: where, maximum, minimum, clip.

Where a value was not chosen its gradient is exactly 0, also if the gradient that arrives is infinite or NaN:

>>> import minidl as md, minidl.functional as F
>>> x = md.tensor([-1.0, 4.0], requires_grad=True)
>>> F.sqrt(F.maximum(x, 0)).sum().backward()  # the slope of sqrt at 0 is infinite
>>> x.grad
Tensor([0.  , 0.25])
"""

from __future__ import annotations

from numbers import Number
from typing import Never

import numpy as np

from minidl.autograd.function import Function
from minidl.autograd.variable import Variable
from minidl.backend import as_operands, is_array, module_of
from minidl.errors import DTypeError, GraphError
from minidl.functional.broadcasting import unbroadcast
from minidl.functional.masking import masked
from minidl.habits.answers import unknown_option
from minidl.types import Array, ArrayOrTensor, Gradients, Shape, TensorLike


class Where(Function):
    """z = x where the condition holds, else y: the gradient goes to the one that was chosen."""

    __slots__ = ("chosen", "x_shape", "y_shape")

    def forward(self, condition: Array, x: Array, y: Array) -> Array:
        self.x_shape = getattr(x, "shape", ())
        self.y_shape = getattr(y, "shape", ())
        xp = module_of(condition, x, y)
        # A copy: the caller may go on to use the condition's memory for something else.
        self.chosen = condition.astype(bool) if is_array(condition) else xp.asarray(bool(condition))
        if x is None or y is None:  # NumPy would make an array of objects
            raise DTypeError("expected Tensors, arrays or numbers to choose from; got None")
        return xp.where(self.chosen, x, y)

    def backward(self, grad_out: ArrayOrTensor) -> Gradients:
        grad_x = unbroadcast(masked(grad_out, self.chosen), self.x_shape) if self.needs(1) else None
        grad_y = unbroadcast(masked(grad_out, ~self.chosen), self.y_shape) if self.needs(2) else None
        return None, grad_x, grad_y


def where(condition: TensorLike, x: TensorLike, y: TensorLike) -> ArrayOrTensor:
    """x where `condition` is true, else y, elementwise with broadcasting. The condition gets no gradient.

    Numbers do not promote an array beside them; of two floats, chosen by a Tensor, the result is float32.
    """
    result = Where()(condition, x, y)
    only_numbers = all(isinstance(value, (bool, int, float, np.generic)) for value in (x, y))
    if only_numbers and isinstance(condition, Variable) and result.dtype == np.float64:
        return result.astype(np.float32)
    return result


class _Extremum(Function):
    """The larger or smaller of x and y. The gradient goes to the chosen one; a tie gives half to each.

    Where either is NaN so is the result, and both get the whole gradient, as in PyTorch.
    """

    saves_inputs = True
    __slots__ = ()

    def loses(self, a: ArrayOrTensor, b: ArrayOrTensor) -> ArrayOrTensor:
        raise TypeError("_Extremum is abstract")

    def backward(self, grad_out: ArrayOrTensor, x: ArrayOrTensor, y: ArrayOrTensor) -> Gradients:
        share = where(x == y, grad_out / 2, grad_out)
        grad_x = unbroadcast(masked(share, ~self.loses(x, y)), _shape(x)) if self.needs(0) else None
        grad_y = unbroadcast(masked(share, ~self.loses(y, x)), _shape(y)) if self.needs(1) else None
        return grad_x, grad_y


class Maximum(_Extremum):
    """z = max(x, y)."""

    __slots__ = ()

    def forward(self, x: Array, y: Array) -> Array:
        return module_of(x, y).maximum(x, y)

    def loses(self, a: ArrayOrTensor, b: ArrayOrTensor) -> ArrayOrTensor:
        return a < b


class Minimum(_Extremum):
    """z = min(x, y)."""

    __slots__ = ()

    def forward(self, x: Array, y: Array) -> Array:
        return module_of(x, y).minimum(x, y)

    def loses(self, a: ArrayOrTensor, b: ArrayOrTensor) -> ArrayOrTensor:
        return a > b


def _shape(x: TensorLike) -> Shape:
    return getattr(x, "shape", ())


def maximum(x: TensorLike, y: TensorLike) -> ArrayOrTensor:
    """The larger of x and y, elementwise with broadcasting; where they are equal each gets half of the gradient."""
    return Maximum()(x, y)


def minimum(x: TensorLike, y: TensorLike) -> ArrayOrTensor:
    """The smaller of x and y, elementwise with broadcasting; where they are equal each gets half of the gradient."""
    return Minimum()(x, y)


class Clip(Function):
    """z = x limited to [low, high]: the gradient passes where x lies within, limits included."""

    saves_inputs = True
    __slots__ = ("high", "low", "shape")

    def __init__(self, low: TensorLike, high: TensorLike) -> None:
        self.low = low
        self.high = high

    def forward(self, x: Array) -> Array:
        self.shape = x.shape
        if self.low is None and self.high is None:
            return x.copy()
        return module_of(x).clip(x, self.low, self.high)

    def backward(self, grad_out: ArrayOrTensor, x: ArrayOrTensor) -> Gradients:
        grad_x = grad_out
        if self.low is not None:
            grad_x = masked(grad_x, x >= self.low)
        if self.high is not None:
            grad_x = masked(grad_x, x <= self.high)
        return unbroadcast(grad_x, self.shape)


def clip(x: TensorLike, low: TensorLike = None, high: TensorLike = None, **unknown: Never) -> ArrayOrTensor:
    """x limited to [low, high], elementwise; None leaves a side open. Where low > high the result is high.

    The limits, numbers or arrays that broadcast with x, are constants.

    Raises:
        GraphError: a limit requires a gradient.
    """
    if unknown:
        raise unknown_option("F.clip(x)", unknown)
    limits = []
    for limit in (low, high):
        if isinstance(limit, Variable):
            if limit._requires_grad:
                raise GraphError("clip takes its limits as constants; for their gradients use minimum and maximum")
            limit = limit.shown()
        elif isinstance(limit, np.generic):
            limit = limit.item()  # a number does not promote
        elif isinstance(limit, (list, tuple)):  # nor does a list
            limit = as_operands([x.shown() if isinstance(x, Variable) else x, limit])[1]
        if limit is not None and not is_array(limit) and not isinstance(limit, Number):
            raise DTypeError(f"clip: expected numbers or arrays as limits; got {limit!r}")
        limits.append(limit.copy() if is_array(limit) else limit)
    return Clip(*limits)(x)
