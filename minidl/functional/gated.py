"""silu and gelu: x times a gate between 0 and 1, which opens smoothly as x grows.

Unlike a rectifier they have a slope everywhere and dip below 0 where x is slightly negative: their slope changes sign
there, at x = -1.28 (silu) and -0.75 (gelu).

>>> import numpy as np, minidl.functional as F
>>> np.round(F.gelu(np.array([-3.0, -0.75, 0.0, 3.0])), 3)
array([-0.004, -0.17 ,  0.   ,  2.996])
"""

from __future__ import annotations

import math
from typing import Any

from minidl.autograd.function import Function
from minidl.checks import choice
from minidl.fast.gpu import kernels
from minidl.functional.activation import sigmoid
from minidl.functional.exponential import erf, exp
from minidl.functional.precision import narrowed, widened


class SiLU(Function):
    """z = x s, with s = sigmoid(x), so dz/dx = s + x s (1 - s)."""

    saves_inputs = True
    __slots__ = ()

    def forward(self, x: Any) -> Any:
        if kernels.on_device(x):
            return kernels.fused("silu", x)
        wide = widened(x)
        return narrowed(wide * sigmoid(wide), x)

    def backward(self, grad_out: Any, x: Any) -> Any:
        if kernels.on_device(grad_out):
            return kernels.fused("silu_gradient", grad_out, x)
        wide = widened(x)
        gate = sigmoid(wide)
        return narrowed(widened(grad_out) * (gate * (1 + wide * (1 - gate))), x)


def silu(x: Any) -> Any:
    """x * sigmoid(x), elementwise, also called swish.

    Elfwing, Uchibe & Doya, Neural Networks 107 (2018), arXiv:1702.03118.
    """
    return SiLU()(x)


def _normal(x: Any) -> Any:
    """How probable it is that a standard normal number is below x, of an array or a Tensor."""
    return 0.5 + 0.5 * erf(x * math.sqrt(0.5))


class GELU(Function):
    """z = x P(x), with P the standard normal distribution and p its density, so dz/dx = P(x) + x p(x).

    P(x) = (1 + erf(x / sqrt 2)) / 2 and p(x) = e^(-x^2 / 2) / sqrt(2 pi).
    """

    saves_inputs = True
    __slots__ = ()

    def forward(self, x: Any) -> Any:
        if kernels.on_device(x):
            return kernels.fused("gelu", x)
        wide = widened(x)
        return narrowed(wide * _normal(wide), x)

    def backward(self, grad_out: Any, x: Any) -> Any:
        if kernels.on_device(grad_out):
            return kernels.fused("gelu_gradient", grad_out, x)
        wide = widened(x)
        density = exp(-0.5 * wide * wide) / math.sqrt(2 * math.pi)
        return narrowed(widened(grad_out) * (_normal(wide) + wide * density), x)


class TanhGELU(Function):
    """z = x s, with s = sigmoid(2u) = (1 + tanh u) / 2 and u = sqrt(2/pi) (x + 0.044715 x^3).

    So dz/dx = s + x s (1 - s) 2 du/dx.
    """

    saves_inputs = True
    __slots__ = ()

    def gate(self, x: Any) -> Any:
        return sigmoid(2 * math.sqrt(2 / math.pi) * x * (1 + 0.044715 * x * x))

    def forward(self, x: Any) -> Any:
        if kernels.on_device(x):
            return kernels.fused("tanh_gelu", x)
        wide = widened(x)
        return narrowed(wide * self.gate(wide), x)

    def backward(self, grad_out: Any, x: Any) -> Any:
        if kernels.on_device(grad_out):
            return kernels.fused("tanh_gelu_gradient", grad_out, x)
        wide = widened(x)
        gate = self.gate(wide)
        slope = 2 * math.sqrt(2 / math.pi) * (1 + 3 * 0.044715 * wide * wide)
        return narrowed(widened(grad_out) * (gate * (1 + wide * (1 - gate) * slope)), x)


FORMS = ("none", "tanh")  # of gelu


def gelu(x: Any, approximate: str = "none") -> Any:
    """x times the standard normal distribution at x, elementwise (Hendrycks & Gimpel, arXiv:1606.08415).

    Args:
        approximate: "none" for the exact function, "tanh" for the paper's approximation, right to about 0.0005, with
            which GPT-2 was trained.

    Raises:
        ValueError: `approximate` is neither.
    """
    return GELU()(x) if choice(approximate, "gelu: approximate", FORMS) == "none" else TanhGELU()(x)
