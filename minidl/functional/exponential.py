"""exp, log, sqrt, and erf.

Infinity and NaN are results, not warnings; a NaN that appears in a backward is found with `md.detect_anomaly()`.
"""

from __future__ import annotations

import math

from minidl import backend
from minidl.autograd.function import Function
from minidl.backend import module_of
from minidl.functional.precision import narrowed, widened
from minidl.functional.selection import clip
from minidl.types import Array, ArrayOrTensor, TensorLike


class Exp(Function):
    """z = e^x, so dz/dx = z."""

    saves_output = True
    __slots__ = ()

    def forward(self, x: Array) -> Array:
        return module_of(x).exp(x)

    def backward(self, grad_out: ArrayOrTensor, out: ArrayOrTensor) -> ArrayOrTensor:
        return grad_out * out


def exp(x: TensorLike) -> TensorLike:
    """e ** x, elementwise; infinity where that is too large for the dtype (float32: x > 88.7)."""
    return Exp()(x)


class Log(Function):
    """z = ln x, so dz/dx = 1/x."""

    saves_inputs = True
    __slots__ = ()

    def forward(self, x: Array) -> Array:
        return module_of(x).log(x)

    def backward(self, grad_out: ArrayOrTensor, x: ArrayOrTensor) -> ArrayOrTensor:
        return grad_out / x


def log(x: TensorLike) -> TensorLike:
    """The natural logarithm, elementwise; -infinity at 0 and NaN below."""
    return Log()(x)


class Sqrt(Function):
    """z = sqrt(x), so dz/dx = 1/(2z)."""

    saves_output = True
    __slots__ = ()

    def forward(self, x: Array) -> Array:
        return module_of(x).sqrt(x)

    def backward(self, grad_out: ArrayOrTensor, out: ArrayOrTensor) -> ArrayOrTensor:
        return grad_out / (2 * out)


def sqrt(x: TensorLike) -> TensorLike:
    """The square root, elementwise; NaN below 0. The slope at 0 is infinite."""
    return Sqrt()(x)


class Erf(Function):
    """z = erf x, the integral of 2/sqrt(pi) e^(-t^2) from 0 to x, so dz/dx = 2/sqrt(pi) e^(-x^2)."""

    saves_inputs = True
    __slots__ = ()

    def forward(self, x: Array) -> Array:
        return narrowed(backend.erf(widened(x)), x)

    def backward(self, grad_out: ArrayOrTensor, x: ArrayOrTensor) -> ArrayOrTensor:
        near = clip(x, -30, 30)  # beyond, e^(-x^2) is 0 in every dtype; an infinite x would make its slope NaN
        return grad_out * (2 / math.sqrt(math.pi) * exp(-near * near))


def erf(x: TensorLike) -> TensorLike:
    """The error function, elementwise: 2/sqrt(pi) times the integral of e^(-t^2) from 0 to x.

    (1 + erf(x / sqrt 2)) / 2 is the cumulative distribution function of the standard normal.
    """
    return Erf()(x)
