"""softmax and log_softmax: from scores to probabilities.

>>> import numpy as np, minidl.functional as F
>>> F.softmax(np.array([1000.0, 1000.0, -1000.0]))
array([0.5, 0.5, 0. ])
"""

from __future__ import annotations

import math
from typing import Never

from minidl.autograd.function import Function
from minidl.backend import module_of
from minidl.functional.axes import all_axes
from minidl.functional.broadcasting import sum
from minidl.functional.exponential import exp
from minidl.functional.precision import narrowed, widened
from minidl.habits.answers import unknown_option
from minidl.types import Array, ArrayOrTensor, Axis, TensorLike


class Softmax(Function):
    """p_i = e^x_i / sum_j e^x_j, so dL/dx_i = p_i (dL/dp_i - sum_j dL/dp_j p_j).

    An x_i of infinity has all of the probability; several share it. All p_i are NaN where all x_i are -infinity.
    """

    saves_output = True
    __slots__ = ("axis",)

    def __init__(self, axis: Axis) -> None:
        self.axis = axis

    def forward(self, x: Array) -> Array:
        self.axis = all_axes(self.axis, x.ndim)
        powers = module_of(x).exp(less_maximum(widened(x), self.axis))
        return narrowed(powers / powers.sum(axis=self.axis, keepdims=True), x)

    def backward(self, grad_out: ArrayOrTensor, out: ArrayOrTensor) -> ArrayOrTensor:
        weighted = grad_out * out
        return weighted - out * sum(weighted, self.axis, keepdims=True)


def less_maximum(x: Array, axis: Axis) -> Array:
    """x less its maximum, which changes no softmax: the largest exponent is then 0, and no e^x overflows."""
    if x.size == 0:
        return x
    shifted = x - x.max(axis=axis, keepdims=True)
    return module_of(x).where(x == math.inf, 0, shifted)  # infinity less infinity would be NaN


def softmax(x: TensorLike, axis: int = -1, **unknown: Never) -> TensorLike:
    """e^x over its sum along `axis`: positive numbers that add up to 1."""
    if unknown:
        raise unknown_option("F.softmax(x)", unknown)
    return Softmax(axis)(x)


class LogSoftmax(Function):
    """l_i = x_i - ln sum_j e^x_j, so dL/dx_i = dL/dl_i - e^l_i sum_j dL/dl_j."""

    saves_output = True
    __slots__ = ("axis",)

    def __init__(self, axis: Axis) -> None:
        self.axis = axis

    def forward(self, x: Array) -> Array:
        self.axis = all_axes(self.axis, x.ndim)
        xp = module_of(x)
        shifted = less_maximum(widened(x), self.axis)
        return narrowed(shifted - xp.log(xp.exp(shifted).sum(axis=self.axis, keepdims=True)), x)

    def backward(self, grad_out: ArrayOrTensor, out: ArrayOrTensor) -> ArrayOrTensor:
        return grad_out - exp(out) * sum(grad_out, self.axis, keepdims=True)


def log_softmax(x: TensorLike, axis: int = -1, **unknown: Never) -> TensorLike:
    """ln softmax(x) along `axis`, computed without the logarithm of a tiny number."""
    if unknown:
        raise unknown_option("F.log_softmax(x)", unknown)
    return LogSoftmax(axis)(x)
