"""Activation functions; silu and gelu are in gated.py. What each does to a gradient is its `backward`.

>>> import minidl as md, minidl.functional as F
>>> x = md.tensor([-2.0, 0.0, 2.0], requires_grad=True)
>>> F.relu(x).sum().backward()
>>> x.grad
Tensor([0., 0., 1.])
"""

from __future__ import annotations

import math
from typing import Never

from minidl.autograd.function import Function
from minidl.backend import module_of
from minidl.checks import limits, python_number
from minidl.errors import ShapeError, describe
from minidl.functional.arithmetic import multiply
from minidl.functional.broadcasting import unbroadcast
from minidl.functional.exponential import exp
from minidl.functional.masking import masked
from minidl.functional.precision import narrowed, widened
from minidl.functional.reshaping import array_like, reshape
from minidl.functional.selection import where
from minidl.habits.answers import unknown_option
from minidl.types import Array, ArrayOrTensor, Gradients, TensorLike


class ReLU(Function):
    """z = max(x, 0): the gradient passes where x > 0 and is exactly 0 elsewhere (also at x = 0)."""

    saves_output = True
    __slots__ = ()

    def forward(self, x: Array) -> Array:
        return module_of(x).maximum(x, 0)

    def backward(self, grad_out: ArrayOrTensor, out: ArrayOrTensor) -> ArrayOrTensor:
        return masked(grad_out, out != 0)


def relu(x: TensorLike, **unknown: Never) -> TensorLike:
    """max(x, 0), elementwise."""
    if unknown:
        raise unknown_option("F.relu(x)", unknown)
    return ReLU()(x)


class LeakyReLU(Function):
    """z = x for x > 0, else slope * x: a little of the gradient passes everywhere."""

    saves_inputs = True
    __slots__ = ("slope",)

    def __init__(self, slope: float) -> None:
        self.slope = slope

    def forward(self, x: Array) -> Array:
        return module_of(x).where(x > 0, x, x * self.slope)

    def backward(self, grad_out: ArrayOrTensor, x: ArrayOrTensor) -> ArrayOrTensor:
        return where(x > 0, grad_out, grad_out * self.slope)


def leaky_relu(x: TensorLike, negative_slope: float = 0.01, **unknown: Never) -> TensorLike:
    """x where x > 0, else negative_slope * x, elementwise; with a slope of 0 it is relu."""
    if unknown:
        raise unknown_option("F.leaky_relu(x)", unknown)
    return relu(x) if negative_slope == 0 else LeakyReLU(python_number(negative_slope))(x)  # not 0 times -infinity


class PReLU(Function):
    """z = x where x > 0, else w x, so dz/dx = 1 where x > 0, else w; and dz/dw = 0 where x > 0, else x."""

    saves_inputs = True
    reads = ((0, 1), (0,))
    __slots__ = ()

    def forward(self, x: Array, weight: Array) -> Array:
        xp = module_of(x)
        flat = (weight == 0) & (x < 0)  # where 0 times -infinity would be NaN
        return xp.where(flat, 0, xp.where(x > 0, x, weight * x))

    def backward(self, grad_out: ArrayOrTensor, x: ArrayOrTensor, weight: ArrayOrTensor) -> Gradients:
        grad_x = grad_weight = None
        if self.needs(0):
            grad_x = where(x > 0, grad_out, grad_out * weight)
        if self.needs(1):
            grad_weight = unbroadcast(masked(grad_out * x, ~(x > 0)), weight.shape)
        return grad_x, grad_weight


def prelu(x: TensorLike, weight: TensorLike) -> TensorLike:
    """x where x > 0, else weight * x, elementwise: a leaky relu whose slope is learned (He et al., arXiv:1502.01852).

    Args:
        x: of any shape; with one slope for each channel (N, C, ...).
        weight: the slope for all of x, shape () or (1,), or one for each channel, (C,).

    Raises:
        ShapeError: `weight` has not one slope for each channel, axis 1 of x.
    """
    slopes = getattr(weight, "shape", ())
    if slopes in ((), (1,)):
        return PReLU()(x, reshape(weight, ()) if slopes else weight)
    x = array_like(x)
    if x.ndim < 2 or slopes != x.shape[1:2]:
        raise ShapeError(
            f"prelu: expected a weight of one number, or of one for each channel (axis 1) of x; got {describe(weight)} "
            f"for {describe(x)}"
        )
    return PReLU()(x, reshape(weight, (-1, *(1,) * (x.ndim - 2))))


class ELU(Function):
    """z = x for x > 0, else a (e^x - 1), so dz/dx = 1 for x > 0, else a e^x.

    Where a is not 1 the slope jumps at x = 0. There it is a, and the second derivative is taken to be 0.
    """

    saves_inputs = True
    __slots__ = ("alpha",)

    def __init__(self, alpha: float) -> None:
        self.alpha = alpha

    def forward(self, x: Array) -> Array:
        xp = module_of(x)
        wide = widened(x)
        return narrowed(xp.maximum(wide, 0) + self.alpha * xp.expm1(xp.minimum(wide, 0)), x)

    def backward(self, grad_out: ArrayOrTensor, x: ArrayOrTensor) -> ArrayOrTensor:
        negative_part = -relu(-x)  # min(x, 0), so that e^x cannot overflow where it is not used
        return grad_out * where(x <= 0, self.alpha * exp(negative_part), 1)


def elu(x: TensorLike, alpha: float = 1.0) -> TensorLike:
    """x where x > 0, else alpha * (exp(x) - 1), elementwise (Clevert, Unterthiner & Hochreiter, arXiv:1511.07289)."""
    return ELU(python_number(alpha))(x)


def selu(x: TensorLike) -> TensorLike:
    """1.0507 * elu(x, 1.6733), elementwise (Klambauer et al., arXiv:1706.02515, eq. 2).

    With these two numbers, and weights of mean 0 and variance 1 / fan_in (`nn.init.lecun_normal_`), the mean of the
    activations moves towards 0 and their variance towards 1 from layer to layer.
    """
    return multiply(elu(x, 1.6732632423543772), 1.0507009873554805)


class Hardtanh(Function):
    """z = x limited to [low, high]: the gradient passes strictly between, and is 0 at the limits (`clip` passes it)."""

    saves_inputs = True
    __slots__ = ("high", "low")

    def __init__(self, low: float, high: float) -> None:
        self.low = low
        self.high = high

    def forward(self, x: Array) -> Array:
        return module_of(x).clip(x, self.low, self.high)

    def backward(self, grad_out: ArrayOrTensor, x: ArrayOrTensor) -> ArrayOrTensor:
        return masked(grad_out, (x > self.low) & (x < self.high))


def hardtanh(x: TensorLike, min_val: float = -1.0, max_val: float = 1.0) -> TensorLike:
    """x limited to [min_val, max_val], elementwise.

    Raises:
        ValueError: min_val is above max_val.
    """
    return Hardtanh(*limits(min_val, max_val, "hardtanh"))(x)


class Sigmoid(Function):
    """z = 1 / (1 + e^-x), so dz/dx = z (1 - z): at most 1/4, and tiny once the unit is saturated."""

    saves_output = True
    __slots__ = ()

    def forward(self, x: Array) -> Array:
        power = module_of(x).exp(-widened(x))  # infinite for a very negative x, which gives the right z = 0
        return narrowed(1 / (1 + power), x)

    def backward(self, grad_out: ArrayOrTensor, out: ArrayOrTensor) -> ArrayOrTensor:
        return grad_out * (out * (1 - out))


def sigmoid(x: TensorLike) -> TensorLike:
    """1 / (1 + exp(-x)), elementwise."""
    return Sigmoid()(x)


class Tanh(Function):
    """z = tanh x, so dz/dx = 1 - z^2: at most 1, and tiny once the unit is saturated."""

    saves_output = True
    __slots__ = ()

    def forward(self, x: Array) -> Array:
        return module_of(x).tanh(x)

    def backward(self, grad_out: ArrayOrTensor, out: ArrayOrTensor) -> ArrayOrTensor:
        return grad_out * (1 - out * out)


def tanh(x: TensorLike) -> TensorLike:
    """The hyperbolic tangent, elementwise."""
    return Tanh()(x)


class Softsign(Function):
    """z = x / (1 + |x|), so dz/dx = 1 / (1 + |x|)^2: it saturates more slowly than tanh."""

    saves_inputs = True
    __slots__ = ()

    def forward(self, x: Array) -> Array:
        xp, wide = module_of(x), widened(x)
        size = abs(wide)
        return narrowed(xp.where(size == math.inf, xp.sign(wide), wide / (1 + size)), x)  # inf / inf would be NaN

    def backward(self, grad_out: ArrayOrTensor, x: ArrayOrTensor) -> ArrayOrTensor:
        size = 1 + abs(x)
        return grad_out / size / size


def softsign(x: TensorLike) -> TensorLike:
    """x / (1 + |x|), elementwise."""
    return Softsign()(x)


class Softplus(Function):
    """z = ln(1 + e^x), a smooth relu, so dz/dx = sigmoid(x).

    Computed as max(x, 0) + ln(1 + e^-|x|): e^x itself would overflow.
    """

    saves_inputs = True
    __slots__ = ()

    def forward(self, x: Array) -> Array:
        xp = module_of(x)
        wide = widened(x)
        return narrowed(xp.maximum(wide, 0) + xp.log1p(xp.exp(-abs(wide))), x)

    def backward(self, grad_out: ArrayOrTensor, x: ArrayOrTensor) -> ArrayOrTensor:
        return grad_out * sigmoid(x)


def softplus(x: TensorLike) -> TensorLike:
    """ln(1 + exp(x)), elementwise, without overflow."""
    return Softplus()(x)
