"""Activation functions: relu, leaky_relu, sigmoid, tanh, softplus. What each does to a gradient is its `backward`.

>>> import minidl as md, minidl.functional as F
>>> x = md.tensor([-2.0, 0.0, 2.0], requires_grad=True)
>>> F.relu(x).sum().backward()
>>> x.grad
Tensor([0., 0., 1.])
"""

from __future__ import annotations

from typing import Any

from minidl.autograd import Function
from minidl.backend import module_of
from minidl.functional.precision import narrowed, widened
from minidl.functional.selection import masked


class ReLU(Function):
    """z = max(x, 0): the gradient passes where x > 0 and is exactly 0 elsewhere (also at x = 0)."""

    saves_output = True
    __slots__ = ()

    def forward(self, x: Any) -> Any:
        return module_of(x).maximum(x, 0)

    def backward(self, grad_out: Any, out: Any) -> Any:
        return masked(grad_out, out != 0)


def relu(x: Any) -> Any:
    """max(x, 0), elementwise."""
    return ReLU()(x)


class LeakyReLU(Function):
    """z = x for x > 0, else slope * x: a little of the gradient passes everywhere."""

    saves_inputs = True
    __slots__ = ("slope",)

    def __init__(self, slope: float) -> None:
        self.slope = slope

    def forward(self, x: Any) -> Any:
        xp = module_of(x)
        if 0 < self.slope <= 1:
            return xp.maximum(x, x * self.slope)  # the same, and much faster than `where`
        return xp.where(x > 0, x, x * self.slope)

    def backward(self, grad_out: Any, x: Any) -> Any:
        positive = (x > 0).astype(grad_out.dtype)
        return grad_out * (self.slope + (1 - self.slope) * positive)


def leaky_relu(x: Any, negative_slope: float = 0.01) -> Any:
    """x where x > 0, else negative_slope * x, elementwise."""
    return LeakyReLU(negative_slope)(x)


class Sigmoid(Function):
    """z = 1 / (1 + e^-x), so dz/dx = z (1 - z): at most 1/4, and tiny once the unit is saturated."""

    saves_output = True
    __slots__ = ()

    def forward(self, x: Any) -> Any:
        power = module_of(x).exp(-widened(x))  # may become infinite, which gives the right 0
        return narrowed(1 / (1 + power), x)

    def backward(self, grad_out: Any, out: Any) -> Any:
        return grad_out * (out * (1 - out))


def sigmoid(x: Any) -> Any:
    """1 / (1 + exp(-x)), elementwise."""
    return Sigmoid()(x)


class Tanh(Function):
    """z = tanh x, so dz/dx = 1 - z^2: at most 1, and tiny once the unit is saturated."""

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
    """z = ln(1 + e^x), a smooth relu, so dz/dx = sigmoid(x).

    Computed as max(x, 0) + ln(1 + e^-|x|): e^x itself would overflow.
    """

    saves_inputs = True
    __slots__ = ()

    def forward(self, x: Any) -> Any:
        xp = module_of(x)
        wide = widened(x)
        return narrowed(xp.maximum(wide, 0) + xp.log1p(xp.exp(-abs(wide))), x)

    def backward(self, grad_out: Any, x: Any) -> Any:
        return grad_out * sigmoid(x)


def softplus(x: Any) -> Any:
    """ln(1 + exp(x)), elementwise, without overflow."""
    return Softplus()(x)
