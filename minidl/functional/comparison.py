"""Comparisons and logic: booleans, which have no gradient."""

from __future__ import annotations

import operator
from collections.abc import Callable
from typing import Any, Never

from minidl.autograd.function import Function
from minidl.backend import module_of
from minidl.checks import yes_or_no
from minidl.functional.axes import all_axes
from minidl.habits.answers import unknown_option
from minidl.types import Array, ArrayOrTensor, Axis, TensorLike


class Compare(Function):
    """A comparison: booleans, without gradient."""

    differentiable = False
    __slots__ = ("compare",)

    def __init__(self, compare: Callable[..., Any]) -> None:
        self.compare = compare

    def forward(self, x: Array, y: Array) -> Array:
        return self.compare(x, y)


def equal(x: TensorLike, y: TensorLike) -> ArrayOrTensor:
    """x == y, elementwise with broadcasting."""
    return Compare(operator.eq)(x, y)


def not_equal(x: TensorLike, y: TensorLike) -> ArrayOrTensor:
    """x != y, elementwise with broadcasting."""
    return Compare(operator.ne)(x, y)


def less(x: TensorLike, y: TensorLike) -> ArrayOrTensor:
    """x < y, elementwise with broadcasting."""
    return Compare(operator.lt)(x, y)


def less_equal(x: TensorLike, y: TensorLike) -> ArrayOrTensor:
    """x <= y, elementwise with broadcasting."""
    return Compare(operator.le)(x, y)


def greater(x: TensorLike, y: TensorLike) -> ArrayOrTensor:
    """x > y, elementwise with broadcasting."""
    return Compare(operator.gt)(x, y)


def greater_equal(x: TensorLike, y: TensorLike) -> ArrayOrTensor:
    """x >= y, elementwise with broadcasting."""
    return Compare(operator.ge)(x, y)


class Logical(Function):
    """A logical or bitwise operation by its NumPy name: no gradient."""

    differentiable = False
    __slots__ = ("name",)

    def __init__(self, name: str) -> None:
        self.name = name

    def forward(self, *operands: Array) -> Array:
        return getattr(module_of(*operands), self.name)(*operands)


def logical_and(x: TensorLike, y: TensorLike) -> ArrayOrTensor:
    """Whether both are true (not 0), elementwise with broadcasting."""
    return Logical("logical_and")(x, y)


def logical_or(x: TensorLike, y: TensorLike) -> ArrayOrTensor:
    """Whether one or both are true (not 0), elementwise with broadcasting."""
    return Logical("logical_or")(x, y)


def logical_not(x: TensorLike) -> ArrayOrTensor:
    """Whether x is false (0), elementwise."""
    return Logical("logical_not")(x)


def bitwise_and(x: TensorLike, y: TensorLike) -> ArrayOrTensor:
    """x & y: of booleans whether both are true, of integers bit by bit."""
    return Logical("bitwise_and")(x, y)


def bitwise_or(x: TensorLike, y: TensorLike) -> ArrayOrTensor:
    """x | y: of booleans whether one or both are true, of integers bit by bit."""
    return Logical("bitwise_or")(x, y)


def bitwise_xor(x: TensorLike, y: TensorLike) -> ArrayOrTensor:
    """x ^ y: of booleans whether just one is true, of integers bit by bit."""
    return Logical("bitwise_xor")(x, y)


def invert(x: TensorLike) -> ArrayOrTensor:
    """~x: of booleans the opposite, of integers bit by bit."""
    return Logical("invert")(x)


class Holds(Function):
    """Whether each element is so, by the library's function of that name: booleans, without gradient."""

    differentiable = False
    __slots__ = ("name",)

    def __init__(self, name: str) -> None:
        self.name = name

    def forward(self, x: Array) -> Array:
        return getattr(module_of(x), self.name)(x)


def isnan(x: TensorLike) -> ArrayOrTensor:
    """Whether x is NaN, elementwise."""
    return Holds("isnan")(x)


def isinf(x: TensorLike) -> ArrayOrTensor:
    """Whether x is infinity or -infinity, elementwise."""
    return Holds("isinf")(x)


def isfinite(x: TensorLike) -> ArrayOrTensor:
    """Whether x is neither infinite nor NaN, elementwise."""
    return Holds("isfinite")(x)


class Together(Function):
    """Whether some element, or every element, along axes is true: booleans, without gradient."""

    differentiable = False
    __slots__ = ("axis", "keepdims", "name")

    def __init__(self, name: str, axis: Axis, keepdims: bool) -> None:
        self.name = name
        self.axis = axis
        self.keepdims = yes_or_no(keepdims, f"{name}: keepdims")

    def forward(self, x: Array) -> Array:
        axes = None if self.axis is None else all_axes(self.axis, x.ndim)
        return getattr(module_of(x), self.name)(x, axis=axes, keepdims=self.keepdims)


def any(x: TensorLike, axis: Axis = None, keepdims: bool = False, **unknown: Never) -> ArrayOrTensor:
    """Whether some element along `axis` is true (not 0); False of none."""
    if unknown:
        raise unknown_option("F.any(x)", unknown)
    return Together("any", axis, keepdims)(x)


def all(x: TensorLike, axis: Axis = None, keepdims: bool = False, **unknown: Never) -> ArrayOrTensor:
    """Whether every element along `axis` is true (not 0); True of none."""
    if unknown:
        raise unknown_option("F.all(x)", unknown)
    return Together("all", axis, keepdims)(x)


class Close(Function):
    """Whether two numbers differ by little: booleans, without gradient."""

    differentiable = False
    __slots__ = ("atol", "rtol")

    def __init__(self, rtol: float, atol: float) -> None:
        self.rtol = rtol
        self.atol = atol

    def forward(self, x: Array, y: Array) -> Array:
        xp = module_of(x, y)
        y = 1.0 * y  # integers as float64: the difference of two narrow ones would wrap around
        return (x == y) | (xp.isfinite(y) & (abs(x - y) <= self.atol + self.rtol * abs(y)))


def isclose(x: TensorLike, y: TensorLike, rtol: float = 1e-5, atol: float = 1e-8) -> ArrayOrTensor:
    """Whether |x - y| <= atol + rtol |y|, elementwise with broadcasting; equal infinities are close, NaN never is."""
    return Close(rtol, atol)(x, y)


def allclose(x: TensorLike, y: TensorLike, rtol: float = 1e-5, atol: float = 1e-8) -> bool:
    """Whether all of x and y are close: see `isclose`. A Python bool (waits for the device)."""
    return bool(all(isclose(x, y, rtol, atol)))
