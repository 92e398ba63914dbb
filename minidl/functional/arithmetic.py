"""Arithmetic with broadcasting: add, subtract, multiply, divide, negative, power, absolute, sign.

Shapes broadcast and dtypes promote as in NumPy, but a number, Python's or NumPy's, never promotes: float32 * 2.5 and
float32 * np.float64(2.5) are float32. A quotient or power that is infinite or NaN is a result, not a warning.

>>> import minidl as md
>>> x = md.tensor([1.0, 2.0], requires_grad=True)
>>> y = x ** 2 / 4
>>> y.backward(md.tensor([1.0, 1.0]))
>>> x.grad
Tensor([0.5, 1. ])
"""

from __future__ import annotations

import math

import numpy as np

from minidl import backend
from minidl.autograd.function import Function
from minidl.errors import DTypeError
from minidl.functional.broadcasting import unbroadcast
from minidl.functional.exponential import log
from minidl.functional.selection import where
from minidl.types import Array, ArrayOrTensor, Gradients, TensorLike


class Add(Function):
    """z = x + y, so dz/dx = dz/dy = 1."""

    __slots__ = ("x_shape", "y_shape")

    def forward(self, x: Array, y: Array) -> Array:
        self.x_shape = getattr(x, "shape", ())  # of a number: ()
        self.y_shape = getattr(y, "shape", ())
        return x + y

    def backward(self, grad_out: ArrayOrTensor) -> Gradients:
        if self.x_shape == self.y_shape:  # nothing was repeated
            return grad_out, grad_out
        grad_x = unbroadcast(grad_out, self.x_shape) if self.needs(0) else None
        grad_y = unbroadcast(grad_out, self.y_shape) if self.needs(1) else None
        return grad_x, grad_y


def add(x: TensorLike, y: TensorLike) -> ArrayOrTensor:
    """x + y, elementwise with broadcasting."""
    return Add()(x, y)


class Sub(Function):
    """z = x - y, so dz/dx = 1 and dz/dy = -1."""

    __slots__ = ("x_shape", "y_shape")

    def forward(self, x: Array, y: Array) -> Array:
        self.x_shape = getattr(x, "shape", ())
        self.y_shape = getattr(y, "shape", ())
        return x - y

    def backward(self, grad_out: ArrayOrTensor) -> Gradients:
        grad_x = unbroadcast(grad_out, self.x_shape) if self.needs(0) else None
        grad_y = unbroadcast(-grad_out, self.y_shape) if self.needs(1) else None
        return grad_x, grad_y


def subtract(x: TensorLike, y: TensorLike) -> ArrayOrTensor:
    """x - y, elementwise with broadcasting."""
    return Sub()(x, y)


class Mul(Function):
    """z = x y, so dz/dx = y and dz/dy = x."""

    saves_inputs = True
    reads = ((1,), (0,))
    __slots__ = ()

    def forward(self, x: Array, y: Array) -> Array:
        return x * y

    def backward(self, grad_out: ArrayOrTensor, x: ArrayOrTensor, y: ArrayOrTensor) -> Gradients:
        grad_x = unbroadcast(grad_out * y, x.shape) if self.needs(0) else None
        grad_y = unbroadcast(grad_out * x, y.shape) if self.needs(1) else None
        return grad_x, grad_y


def multiply(x: TensorLike, y: TensorLike) -> ArrayOrTensor:
    """x * y, elementwise with broadcasting."""
    return Mul()(x, y)


class Div(Function):
    """z = x / y, so dz/dx = 1/y and dz/dy = -x/y^2."""

    saves_inputs = True
    reads = ((1,), (0, 1))
    __slots__ = ()

    def forward(self, x: Array, y: Array) -> Array:
        return x / y

    def backward(self, grad_out: ArrayOrTensor, x: ArrayOrTensor, y: ArrayOrTensor) -> Gradients:
        grad_x = unbroadcast(grad_out / y, x.shape) if self.needs(0) else None
        grad_y = unbroadcast(-grad_out * ((x / y) / y), y.shape) if self.needs(1) else None
        return grad_x, grad_y


def divide(x: TensorLike, y: TensorLike) -> ArrayOrTensor:
    """x / y, elementwise with broadcasting; of integers too it is the true quotient (float64, as NumPy's)."""
    return Div()(x, y)


class Neg(Function):
    """z = -x."""

    __slots__ = ()

    def forward(self, x: Array) -> Array:
        return -x

    def backward(self, grad_out: ArrayOrTensor) -> Gradients:
        return -grad_out


def negative(x: TensorLike) -> ArrayOrTensor:
    """-x, elementwise."""
    return Neg()(x)


class Pow(Function):
    """z = x^y with an array as exponent, so dz/dx = y x^(y-1) and dz/dy = x^y ln x.

    Where x = 0 = y dz/dx is 0, and where x = 0 and y >= 0 dz/dy is 0, as in PyTorch; the bare formulas would give NaN.
    So they would where a power of 0 meets an infinite y or ln x: there the slopes are 0 too, which is the limit.
    """

    saves_inputs = True
    __slots__ = ()

    def forward(self, x: Array, y: Array) -> Array:
        return _power(x, y)

    def backward(self, grad_out: ArrayOrTensor, x: ArrayOrTensor, y: ArrayOrTensor) -> Gradients:
        grad_x = grad_y = None
        if self.needs(0):
            steep = (y == 0) & ~(abs(1 / x) < math.inf)  # 0 times an infinite power
            flat = steep | ((abs(y) == math.inf) & ((abs(x) - 1) * y < 0))  # an infinite y times a power of 0
            slope_x = where(flat, 0, y) * x ** where(flat, 0, y - 1)
            grad_x = unbroadcast(grad_out * slope_x, x.shape)
        if self.needs(1):
            flat = ((x == 0) & (y >= 0)) | ((x == math.inf) & (y < 0))
            slope_y = where(flat, 0, x**y * log(where(flat, 1, x)))
            grad_y = unbroadcast(grad_out * slope_y, y.shape)
        return grad_x, grad_y


class PowNumber(Function):
    """z = x^n for a plain number n, so dz/dx = n x^(n-1), and 0 for n = 0."""

    saves_inputs = True
    __slots__ = ("n",)

    def __init__(self, n: float) -> None:
        self.n = n

    def forward(self, x: Array) -> Array:
        return _power(x, self.n)

    def backward(self, grad_out: ArrayOrTensor, x: ArrayOrTensor) -> Gradients:
        if self.n == 0:
            return grad_out * 0
        one_less = x if self.n == 2 else x ** (self.n - 1)  # x^1 may be a unit off in the last place on a GPU
        return grad_out * (self.n * one_less)


class NumberPow(Function):
    """z = b^y for a plain number b, so dz/dy = z ln b; for b = 0 that is 0 where y >= 0, for b = inf where y < 0."""

    saves_inputs = True
    saves_output = True
    __slots__ = ("b",)

    def __init__(self, b: float) -> None:
        self.b = b

    def forward(self, y: Array) -> Array:
        return _power(self.b, y)

    def backward(self, grad_out: ArrayOrTensor, y: ArrayOrTensor, out: ArrayOrTensor) -> Gradients:
        if self.b == 0:
            return grad_out * where(y >= 0, 0.0, where(y < 0, -math.inf, math.nan)).astype(out.dtype)
        if self.b == math.inf:
            return grad_out * where(y < 0, 0.0, where(y < 0, 1.0, out) * math.inf).astype(out.dtype)
        return grad_out * (out * float(np.log(self.b)))


def _power(x: TensorLike, y: TensorLike) -> Array:
    """x ** y of raw arrays or numbers."""
    try:
        return backend.power(x, y)
    except ValueError as error:
        if "negative integer powers" not in str(error):
            raise
        raise DTypeError("a negative power of an integer is no integer; use x.astype('float32') ** y") from error


def power(x: TensorLike, y: TensorLike) -> ArrayOrTensor:
    """x ** y, elementwise with broadcasting. NaN where x < 0 and y is no whole number.

    Raises:
        DTypeError: integers raised to negative integers. (On a GPU, where looking would mean waiting, an array of
            exponents may hold such; they give 0, and 1 and -1 their powers.)
    """
    if isinstance(y, (int, float, np.generic)):
        n = y.item() if isinstance(y, np.generic) else y
        if abs(n) != math.inf:
            return PowNumber(n)(x)
    if isinstance(x, (int, float, np.generic)):
        return NumberPow(x.item() if isinstance(x, np.generic) else x)(y)
    return Pow()(x, y)


class Abs(Function):
    """z = |x|, so dz/dx = sign(x), 0 at x = 0."""

    saves_inputs = True
    __slots__ = ()

    def forward(self, x: Array) -> Array:
        return abs(x)

    def backward(self, grad_out: ArrayOrTensor, x: ArrayOrTensor) -> Gradients:
        return grad_out * sign(x)


def absolute(x: TensorLike) -> ArrayOrTensor:
    """|x|, elementwise."""
    return Abs()(x)


class Sign(Function):
    """z = -1, 0 or 1; its derivative is 0 everywhere it exists."""

    __slots__ = ()

    def forward(self, x: Array) -> Array:
        return backend.module_of(x).sign(x)

    def backward(self, grad_out: ArrayOrTensor) -> Gradients:
        return grad_out * 0


def sign(x: TensorLike) -> ArrayOrTensor:
    """-1, 0 or 1 after the sign of x, elementwise."""
    return Sign()(x)
