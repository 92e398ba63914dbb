"""Activation functions; silu and gelu are in gated.py. What each does to a gradient is its `backward`.

>>> import minidl as md, minidl.functional as F
>>> x = md.tensor([-2.0, 0.0, 2.0], requires_grad=True)
>>> F.relu(x).sum().backward()
>>> x.grad
Tensor([0., 0., 1.])
"""

from __future__ import annotations

from typing import Any

from minidl.autograd.function import Function
from minidl.backend import module_of
from minidl.checks import number
from minidl.errors import ShapeError, describe
from minidl.fast.gpu import kernels
from minidl.functional.arithmetic import multiply
from minidl.functional.broadcasting import unbroadcast
from minidl.functional.exponential import exp
from minidl.functional.precision import narrowed, widened
from minidl.functional.selection import masked, where
from minidl.functional.shape import array_like, reshape


class ReLU(Function):
    """z = max(x, 0): the gradient passes where x > 0 and is exactly 0 elsewhere (also at x = 0)."""

    saves_output = True
    __slots__ = ()

    def forward(self, x: Any) -> Any:
        return module_of(x).maximum(x, 0)

    def backward(self, grad_out: Any, out: Any) -> Any:
        if kernels.on_device(grad_out):
            return kernels.fused("relu_gradient", grad_out, out)
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
        if kernels.on_device(x):
            return kernels.fused("leaky_relu", x, self.slope)
        xp = module_of(x)
        if 0 < self.slope <= 1:
            return xp.maximum(x, x * self.slope)  # the same, and much faster than `where`
        return xp.where(x > 0, x, x * self.slope)

    def backward(self, grad_out: Any, x: Any) -> Any:
        if kernels.on_device(grad_out):
            return kernels.fused("leaky_relu_gradient", grad_out, x, self.slope)
        positive = (x > 0).astype(grad_out.dtype)
        return grad_out * (self.slope + (1 - self.slope) * positive)


def leaky_relu(x: Any, negative_slope: float = 0.01) -> Any:
    """x where x > 0, else negative_slope * x, elementwise."""
    return LeakyReLU(negative_slope)(x)


class PReLU(Function):
    """z = x for x > 0, else w x, so dz/dx = 1 or w, and dz/dw = 0 or x."""

    saves_inputs = True
    __slots__ = ()

    def forward(self, x: Any, weight: Any) -> Any:
        xp = module_of(x)
        return xp.maximum(x, 0) + xp.minimum(x, 0) * weight  # the same, and much faster than `where`

    def backward(self, grad_out: Any, x: Any, weight: Any) -> Any:
        grad_x = grad_weight = None
        if self.needs(0):
            grad_x = grad_out * (weight + (1 - weight) * (x > 0).astype(grad_out.dtype))
        if self.needs(1):
            grad_weight = unbroadcast(masked(grad_out * x, ~(x > 0)), weight.shape)
        return grad_x, grad_weight


def prelu(x: Any, weight: Any) -> Any:
    """x where x > 0, else weight * x, elementwise: a leaky relu that learns its slope (He et al., arXiv:1502.01852).

    Args:
        x: any shape; (N, C, ...) for a slope a channel.
        weight: one number, or C of them: shape (), (1,) or (C,).

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
    """z = x for x > 0, else a (e^x - 1), so dz/dx = 1 or a e^x; at x = 0 it is a, and the second derivative 0."""

    saves_inputs = True
    __slots__ = ("alpha",)

    def __init__(self, alpha: float) -> None:
        self.alpha = alpha

    def forward(self, x: Any) -> Any:
        if kernels.on_device(x):
            return kernels.fused("elu", x, self.alpha)
        xp = module_of(x)
        wide = widened(x)
        return narrowed(xp.maximum(wide, 0) + self.alpha * xp.expm1(xp.minimum(wide, 0)), x)

    def backward(self, grad_out: Any, x: Any) -> Any:
        if kernels.on_device(grad_out):
            return kernels.fused("elu_gradient", grad_out, x, self.alpha)
        # -relu(-x) is min(x, 0): the e^x of a large x is never used, but infinite, and 0 * infinity is no 0.
        return grad_out * where(x <= 0, self.alpha * exp(-relu(-x)), 1)


def elu(x: Any, alpha: float = 1.0) -> Any:
    """x where x > 0, else alpha * (exp(x) - 1), elementwise (Clevert, Unterthiner & Hochreiter, arXiv:1511.07289)."""
    return ELU(alpha)(x)


def selu(x: Any) -> Any:
    """1.0507 * elu(x, 1.6733), elementwise (Klambauer et al., arXiv:1706.02515, eq. 2).

    With these two numbers, and weights of mean 0 and variance 1 / fan_in (`nn.init.lecun_normal_`), activations are
    drawn towards mean 0 and variance 1 from layer to layer.
    """
    return multiply(elu(x, 1.6732632423543772), 1.0507009873554805)


class Hardtanh(Function):
    """z = x limited to [low, high]: the gradient passes strictly between, and is 0 at the limits (`clip` passes it)."""

    saves_inputs = True
    __slots__ = ("high", "low")

    def __init__(self, low: float, high: float) -> None:
        self.low = low
        self.high = high

    def forward(self, x: Any) -> Any:
        return module_of(x).clip(x, self.low, self.high)

    def backward(self, grad_out: Any, x: Any) -> Any:
        if kernels.on_device(grad_out):
            return kernels.fused("hardtanh_gradient", grad_out, x, self.low, self.high)
        return masked(grad_out, (x > self.low) & (x < self.high))


def hardtanh(x: Any, min_val: float = -1.0, max_val: float = 1.0) -> Any:
    """x limited to [min_val, max_val], elementwise.

    Raises:
        ValueError: min_val is above max_val.
    """
    return Hardtanh(*limits(min_val, max_val, "hardtanh"))(x)


def limits(min_val: float, max_val: float, name: str) -> tuple[float, float]:
    """The limits of `hardtanh`: two numbers, the first not above the second."""
    if number(min_val, f"{name}: min_val") > number(max_val, f"{name}: max_val"):
        raise ValueError(f"{name}: expected min_val <= max_val; got {min_val} and {max_val}")
    return min_val, max_val


class Sigmoid(Function):
    """z = 1 / (1 + e^-x), so dz/dx = z (1 - z): at most 1/4, and tiny once the unit is saturated."""

    saves_output = True
    __slots__ = ()

    def forward(self, x: Any) -> Any:
        if kernels.on_device(x):
            return kernels.fused("sigmoid", x)
        power = module_of(x).exp(-widened(x))  # may become infinite, which gives the right 0
        return narrowed(1 / (1 + power), x)

    def backward(self, grad_out: Any, out: Any) -> Any:
        if kernels.on_device(grad_out):
            return kernels.fused("sigmoid_gradient", grad_out, out)
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
        if kernels.on_device(grad_out):
            return kernels.fused("tanh_gradient", grad_out, out)
        return grad_out * (1 - out * out)


def tanh(x: Any) -> Any:
    """The hyperbolic tangent, elementwise."""
    return Tanh()(x)


class Softsign(Function):
    """z = x / (1 + |x|), so dz/dx = 1 / (1 + |x|)^2: it saturates more slowly than tanh."""

    saves_inputs = True
    __slots__ = ()

    def forward(self, x: Any) -> Any:
        if kernels.on_device(x):
            return kernels.fused("softsign", x)
        return x / (1 + abs(x))

    def backward(self, grad_out: Any, x: Any) -> Any:
        if kernels.on_device(grad_out):
            return kernels.fused("softsign_gradient", grad_out, x)
        size = 1 + abs(x)
        return grad_out / size / size


def softsign(x: Any) -> Any:
    """x / (1 + |x|), elementwise."""
    return Softsign()(x)


class Softplus(Function):
    """z = ln(1 + e^x), a smooth relu, so dz/dx = sigmoid(x).

    Computed as max(x, 0) + ln(1 + e^-|x|): e^x itself would overflow.
    """

    saves_inputs = True
    __slots__ = ()

    def forward(self, x: Any) -> Any:
        if kernels.on_device(x):
            return kernels.fused("softplus", x)
        xp = module_of(x)
        wide = widened(x)
        return narrowed(xp.maximum(wide, 0) + xp.log1p(xp.exp(-abs(wide))), x)

    def backward(self, grad_out: Any, x: Any) -> Any:
        if kernels.on_device(grad_out):
            return kernels.fused("softplus_gradient", grad_out, x)
        return grad_out * sigmoid(x)


def softplus(x: Any) -> Any:
    """ln(1 + exp(x)), elementwise, without overflow."""
    return Softplus()(x)
