"""Comparisons and logic: booleans, which have no gradient."""

from __future__ import annotations

import operator
from collections.abc import Callable
from typing import Any

from minidl.autograd.function import Function
from minidl.backend import module_of
from minidl.types import Array, ArrayOrTensor, TensorLike


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
