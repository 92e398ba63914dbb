"""Activation functions: relu, leaky_relu, sigmoid, tanh, softplus. What each does to a gradient is its `backward`."""

from __future__ import annotations

from typing import Any

import numpy as np

from minidl.autograd import Function
from minidl.backend import module_of


class ReLU(Function):
    """z = max(x, 0): the gradient passes where x > 0 and is exactly 0 elsewhere (also at x = 0)."""

    saves_output = True
    __slots__ = ()

    def forward(self, x: Any) -> Any:
        return module_of(x).maximum(x, 0)

    def backward(self, grad_out: Any, out: Any) -> Any:
        return grad_out * step(out)


def relu(x: Any) -> Any:
    """max(x, 0), elementwise."""
    return ReLU()(x)


class Step(Function):
    """z = 1 where x > 0, else 0; its derivative is 0 everywhere it exists."""

    __slots__ = ()

    def forward(self, x: Any) -> Any:
        return (x > 0).astype(x.dtype)

    def backward(self, grad_out: Any) -> Any:
        return grad_out * 0


def step(x: Any) -> Any:
    """1 where x > 0 and 0 elsewhere, in x's dtype."""
    return Step()(x)


class LeakyReLU(Function):
    """z = x for x > 0, else slope * x: a little of the gradient passes everywhere."""

    saves_inputs = True
    __slots__ = ("slope",)

    def __init__(self, slope: float) -> None:
        self.slope = slope

    def forward(self, x: Any) -> Any:
        return module_of(x).where(x > 0, x, x * self.slope)

    def backward(self, grad_out: Any, x: Any) -> Any:
        return grad_out * (self.slope + (1 - self.slope) * step(x))


def leaky_relu(x: Any, negative_slope: float = 0.01) -> Any:
    """x where x > 0, else negative_slope * x, elementwise."""
    return LeakyReLU(negative_slope)(x)


class Sigmoid(Function):
    """z = 1 / (1 + e^-x), so dz/dx = z (1 - z): at most 1/4, and tiny once the unit is saturated."""

    saves_output = True
    __slots__ = ()

    def forward(self, x: Any) -> Any:
        xp = module_of(x)
        with np.errstate(over="ignore"):  # e^-x may become inf, which gives the right 0
            return 1 / (1 + xp.exp(-x))

    def backward(self, grad_out: Any, out: Any) -> Any:
        return grad_out * (out * (1 - out))


def sigmoid(x: Any) -> Any:
    """1 / (1 + exp(-x)), elementwise."""
    return Sigmoid()(x)


class Tanh(Function):
    """z = tanh x, so dz/dx = 1 - z^2."""

    saves_output = True
    __slots__ = ()

    def forward(self, x: Any) -> Any:
        return module_of(x).tanh(x)

    def backward(self, grad_out: Any, out: Any) -> Any:
        return grad_out * (1 - out * out)


def tanh(x: Any) -> Any:
    """The hyperbolic tangent, elementwise."""
    return Tanh()(x)


class Softplus(Function):
    """z = ln(1 + e^x), a smooth relu, so dz/dx = sigmoid(x)."""

    saves_inputs = True
    __slots__ = ()

    def forward(self, x: Any) -> Any:
        xp = module_of(x)
        return xp.maximum(x, 0) + xp.log1p(xp.exp(-abs(x)))  # e^x itself would overflow

    def backward(self, grad_out: Any, x: Any) -> Any:
        return grad_out * sigmoid(x)


def softplus(x: Any) -> Any:
    """ln(1 + exp(x)) without overflow, elementwise."""
    return Softplus()(x)
