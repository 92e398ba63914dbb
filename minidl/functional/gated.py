"""silu and gelu: x times a gate between 0 and 1, which opens smoothly as x grows.

Unlike a rectifier they have a slope everywhere and dip below 0 where x is slightly negative: their slope changes sign
there, at x = -1.28 (silu) and -0.75 (gelu).

Far from 0 the gate is 0 or 1 to the last bit. So each formula is computed at an x that goes no farther than `FAR`: what
it approaches at infinity is then what comes out, where 0 times infinity, or an infinite x^2, would give NaN.

>>> import numpy as np, minidl.functional as F
>>> np.round(F.gelu(np.array([-3.0, -0.75, 0.0, 3.0])), 3)
array([-0.004, -0.17 ,  0.   ,  2.996])
"""

from __future__ import annotations

import math

from minidl.autograd.function import Function
from minidl.backend import module_of
from minidl.checks import choice
from minidl.functional.activation import sigmoid
from minidl.functional.exponential import erf, exp
from minidl.functional.precision import narrowed, widened
from minidl.functional.selection import clip
from minidl.types import Array, ArrayOrTensor, TensorLike

FAR = 800.0  # e^-800 and all that is smaller is 0 in every dtype


class SiLU(Function):
    """z = x s, with s = sigmoid(x), so dz/dx = s + x s (1 - s)."""

    saves_inputs = True
    __slots__ = ()

    def forward(self, x: Array) -> Array:
        wide = module_of(x).maximum(widened(x), -FAR)
        return narrowed(wide * sigmoid(wide), x)

    def backward(self, grad_out: ArrayOrTensor, x: ArrayOrTensor) -> ArrayOrTensor:
        wide = clip(widened(x), -FAR, FAR)
        gate = sigmoid(wide)
        return narrowed(widened(grad_out) * (gate * (1 + wide * (1 - gate))), x)


def silu(x: TensorLike) -> TensorLike:
    """x * sigmoid(x), elementwise, also called swish.

    Elfwing, Uchibe & Doya, Neural Networks 107 (2018), arXiv:1702.03118.
    """
    return SiLU()(x)


class GELU(Function):
    """z = x P(x), where P is the cumulative distribution function of the standard normal, p its density.

    So dz/dx = P(x) + x p(x), with P(x) = (1 + erf(x / sqrt 2)) / 2 and p(x) = e^(-x^2 / 2) / sqrt(2 pi).
    """

    saves_inputs = True
    __slots__ = ()

    def forward(self, x: Array) -> Array:
        wide = module_of(x).maximum(widened(x), -FAR)
        return narrowed(wide * normal_cdf(wide), x)

    def backward(self, grad_out: ArrayOrTensor, x: ArrayOrTensor) -> ArrayOrTensor:
        wide = clip(widened(x), -FAR, FAR)
        density = exp(-0.5 * wide * wide) / math.sqrt(2 * math.pi)
        return narrowed(widened(grad_out) * (normal_cdf(wide) + wide * density), x)


def normal_cdf(x: ArrayOrTensor) -> ArrayOrTensor:
    """The cumulative distribution function of the standard normal, elementwise."""
    return 0.5 + 0.5 * erf(x * math.sqrt(0.5))


class TanhGELU(Function):
    """z = x s, with s = sigmoid(2u) = (1 + tanh u) / 2 and u = sqrt(2/pi) (x + 0.044715 x^3).

    So dz/dx = s + x s (1 - s) 2 du/dx. s approximates the P of GELU.
    """

    saves_inputs = True
    __slots__ = ()

    def gate(self, x: ArrayOrTensor) -> ArrayOrTensor:
        return sigmoid(2 * math.sqrt(2 / math.pi) * x * (1 + 0.044715 * x * x))

    def forward(self, x: Array) -> Array:
        wide = module_of(x).maximum(widened(x), -FAR)
        return narrowed(wide * self.gate(wide), x)

    def backward(self, grad_out: ArrayOrTensor, x: ArrayOrTensor) -> ArrayOrTensor:
        wide = clip(widened(x), -FAR, FAR)
        gate = self.gate(wide)
        slope = 2 * math.sqrt(2 / math.pi) * (1 + 3 * 0.044715 * wide * wide)
        return narrowed(widened(grad_out) * (gate * (1 + wide * (1 - gate) * slope)), x)


FORMS = ("none", "tanh")  # what gelu's option `approximate` may be


def gelu(x: TensorLike, approximate: str = "none") -> TensorLike:
    """x times the cumulative distribution function of the standard normal at x, elementwise.

    Hendrycks & Gimpel, arXiv:1606.08415.

    Args:
        approximate: "none" for the exact function; "tanh" for the paper's approximation, with which GPT-2 was trained.
            Its values differ by at most about 0.0005.

    Raises:
        ValueError: `approximate` is neither.
    """
    choice(approximate, "gelu: approximate", FORMS)
    return GELU()(x) if approximate == "none" else TanhGELU()(x)
