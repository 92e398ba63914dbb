"""Ops that choose between values: where, maximum, minimum, clip. And the comparisons, which have no gradient."""

from __future__ import annotations

import operator
from collections.abc import Callable
from typing import Any

from minidl.autograd import Function, Variable
from minidl.backend import is_array, module_of
from minidl.errors import GraphError
from minidl.functional.broadcasting import unbroadcast


class Where(Function):
    """z = x where the condition holds, else y: the gradient goes to the one that was chosen."""

    __slots__ = ("condition", "x_shape", "y_shape")

    def forward(self, condition: Any, x: Any, y: Any) -> Any:
        self.x_shape = getattr(x, "shape", ())
        self.y_shape = getattr(y, "shape", ())
        # A copy: the caller may go on to use the mask's memory for something else.
        self.condition = condition.copy() if is_array(condition) else condition
        return module_of(condition, x, y).where(condition, x, y)

    def backward(self, grad_out: Any) -> Any:
        grad_x = unbroadcast(where(self.condition, grad_out, 0), self.x_shape) if self.needs(1) else None
        grad_y = unbroadcast(where(self.condition, 0, grad_out), self.y_shape) if self.needs(2) else None
        return None, grad_x, grad_y


def where(condition: Any, x: Any, y: Any) -> Any:
    """x where `condition` is true, else y, elementwise with broadcasting. The condition gets no gradient."""
    return Where()(condition, x, y)


class _Extremum(Function):
    """The larger or smaller of x and y. The gradient goes to the chosen one; a tie gives half to each."""

    saves_inputs = True
    __slots__ = ()

    def loses(self, a: Any, b: Any) -> Any:
        raise TypeError("_Extremum is abstract")

    def backward(self, grad_out: Any, x: Any, y: Any) -> Any:
        half = where(x == y, grad_out / 2, grad_out)
        grad_x = unbroadcast(where(self.loses(x, y), 0, half), _shape(x)) if self.needs(0) else None
        grad_y = unbroadcast(where(self.loses(y, x), 0, half), _shape(y)) if self.needs(1) else None
        return grad_x, grad_y


class Maximum(_Extremum):
    """z = max(x, y), NaN if either is."""

    __slots__ = ()

    def forward(self, x: Any, y: Any) -> Any:
        return module_of(x, y).maximum(x, y)

    def loses(self, a: Any, b: Any) -> Any:
        return a < b


class Minimum(_Extremum):
    """z = min(x, y), NaN if either is."""

    __slots__ = ()

    def forward(self, x: Any, y: Any) -> Any:
        return module_of(x, y).minimum(x, y)

    def loses(self, a: Any, b: Any) -> Any:
        return a > b


def _shape(x: Any) -> tuple[int, ...]:
    return getattr(x, "shape", ())


def maximum(x: Any, y: Any) -> Any:
    """The larger of x and y, elementwise with broadcasting; where they are equal each gets half of the gradient."""
    return Maximum()(x, y)


def minimum(x: Any, y: Any) -> Any:
    """The smaller of x and y, elementwise with broadcasting; where they are equal each gets half of the gradient."""
    return Minimum()(x, y)


class Clip(Function):
    """z = x limited to [low, high]: the gradient passes where x lies within, limits included."""

    saves_inputs = True
    __slots__ = ("high", "low", "shape")

    def __init__(self, low: Any, high: Any) -> None:
        self.low = low
        self.high = high

    def forward(self, x: Any) -> Any:
        self.shape = x.shape
        return module_of(x).clip(x, self.low, self.high)

    def backward(self, grad_out: Any, x: Any) -> Any:
        grad_x = grad_out
        if self.low is not None:
            grad_x = where(x >= self.low, grad_x, 0)
        if self.high is not None:
            grad_x = where(x <= self.high, grad_x, 0)
        return unbroadcast(grad_x, self.shape)


def clip(x: Any, low: Any = None, high: Any = None) -> Any:
    """x limited to [low, high], elementwise; None leaves a side open. The limits are constants."""
    limits = []
    for limit in (low, high):
        if isinstance(limit, Variable):
            if limit._requires_grad:
                raise GraphError("clip takes its limits as constants; for their gradients use minimum and maximum")
            limit = limit._data
        limits.append(limit.copy() if is_array(limit) else limit)
    return Clip(*limits)(x)


class Compare(Function):
    """A comparison or a logical operator: a Tensor of booleans, without gradient."""

    differentiable = False
    __slots__ = ("compare",)

    def __init__(self, compare: Callable[..., Any]) -> None:
        self.compare = compare

    def forward(self, *operands: Any) -> Any:
        return self.compare(*operands)


def equal(x: Any, y: Any) -> Any:
    """x == y, elementwise with broadcasting."""
    return Compare(operator.eq)(x, y)


def not_equal(x: Any, y: Any) -> Any:
    """x != y, elementwise with broadcasting."""
    return Compare(operator.ne)(x, y)


def less(x: Any, y: Any) -> Any:
    """x < y, elementwise with broadcasting."""
    return Compare(operator.lt)(x, y)


def less_equal(x: Any, y: Any) -> Any:
    """x <= y, elementwise with broadcasting."""
    return Compare(operator.le)(x, y)


def greater(x: Any, y: Any) -> Any:
    """x > y, elementwise with broadcasting."""
    return Compare(operator.gt)(x, y)


def greater_equal(x: Any, y: Any) -> Any:
    """x >= y, elementwise with broadcasting."""
    return Compare(operator.ge)(x, y)


def logical_and(x: Any, y: Any) -> Any:
    """x & y of booleans (or bits of integers), elementwise with broadcasting."""
    return Compare(operator.and_)(x, y)


def logical_or(x: Any, y: Any) -> Any:
    """x | y of booleans (or bits of integers), elementwise with broadcasting."""
    return Compare(operator.or_)(x, y)


def logical_not(x: Any) -> Any:
    """~x of booleans (or bits of integers), elementwise."""
    return Compare(operator.invert)(x)
