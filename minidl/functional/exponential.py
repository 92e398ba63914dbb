"""exp, expm1, log, log1p, log2, log10, sqrt, square, and erf.

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


class Expm1(Function):
    """z = e^x - 1, so dz/dx = z + 1."""

    saves_output = True
    __slots__ = ()

    def forward(self, x: Array) -> Array:
        return module_of(x).expm1(x)

    def backward(self, grad_out: ArrayOrTensor, out: ArrayOrTensor) -> ArrayOrTensor:
        return grad_out * (out + 1)


def expm1(x: TensorLike) -> TensorLike:
    """e ** x - 1, elementwise: exact also for small x, where e ** x rounds to 1."""
    return Expm1()(x)


class Log1p(Function):
    """z = ln(1 + x), so dz/dx = 1/(1 + x)."""

    saves_inputs = True
    __slots__ = ()

    def forward(self, x: Array) -> Array:
        return module_of(x).log1p(x)

    def backward(self, grad_out: ArrayOrTensor, x: ArrayOrTensor) -> ArrayOrTensor:
        return grad_out / (x + 1)


def log1p(x: TensorLike) -> TensorLike:
    """ln(1 + x), elementwise: exact also for small x, where 1 + x rounds to 1; -infinity at -1 and NaN below."""
    return Log1p()(x)


class LogBase(Function):
    """z = ln x / ln b by the library's function for the base b, 2 or 10, so dz/dx = 1/(x ln b)."""

    saves_inputs = True
    __slots__ = ("base",)

    def __init__(self, base: int) -> None:
        self.base = base

    def forward(self, x: Array) -> Array:
        return module_of(x).log2(x) if self.base == 2 else module_of(x).log10(x)

    def backward(self, grad_out: ArrayOrTensor, x: ArrayOrTensor) -> ArrayOrTensor:
        return grad_out / (x * math.log(self.base))


def log2(x: TensorLike) -> TensorLike:
    """The logarithm to base 2, elementwise; -infinity at 0 and NaN below."""
    return LogBase(2)(x)


def log10(x: TensorLike) -> TensorLike:
    """The logarithm to base 10, elementwise; -infinity at 0 and NaN below."""
    return LogBase(10)(x)


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


class Square(Function):
    """z = x^2, so dz/dx = 2x."""

    saves_inputs = True
    __slots__ = ()

    def forward(self, x: Array) -> Array:
        return x * x

    def backward(self, grad_out: ArrayOrTensor, x: ArrayOrTensor) -> ArrayOrTensor:
        return grad_out * (2 * x)


def square(x: TensorLike) -> TensorLike:
    """x * x, elementwise."""
    return Square()(x)


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
