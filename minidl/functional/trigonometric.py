"""sin, cos, tan and arctan, of angles in radians.

>>> import minidl as md, minidl.functional as F
>>> x = md.tensor(0.0, requires_grad=True)
>>> F.sin(x).backward()
>>> x.grad
Tensor(1.)
"""

from __future__ import annotations

import math

from minidl.autograd.function import Function
from minidl.backend import module_of
from minidl.functional.masking import masked
from minidl.functional.selection import where
from minidl.types import Array, ArrayOrTensor, TensorLike


class Sin(Function):
    """z = sin x, so dz/dx = cos x."""

    saves_inputs = True
    __slots__ = ()

    def forward(self, x: Array) -> Array:
        return module_of(x).sin(x)

    def backward(self, grad_out: ArrayOrTensor, x: ArrayOrTensor) -> ArrayOrTensor:
        return grad_out * cos(x)


def sin(x: TensorLike) -> TensorLike:
    """The sine, elementwise; NaN of an infinite angle."""
    return Sin()(x)


class Cos(Function):
    """z = cos x, so dz/dx = -sin x."""

    saves_inputs = True
    __slots__ = ()

    def forward(self, x: Array) -> Array:
        return module_of(x).cos(x)

    def backward(self, grad_out: ArrayOrTensor, x: ArrayOrTensor) -> ArrayOrTensor:
        return -grad_out * sin(x)


def cos(x: TensorLike) -> TensorLike:
    """The cosine, elementwise; NaN of an infinite angle."""
    return Cos()(x)


class Tan(Function):
    """z = tan x, so dz/dx = 1 + z^2."""

    saves_output = True
    __slots__ = ()

    def forward(self, x: Array) -> Array:
        return module_of(x).tan(x)

    def backward(self, grad_out: ArrayOrTensor, out: ArrayOrTensor) -> ArrayOrTensor:
        return grad_out * (1 + out * out)


def tan(x: TensorLike) -> TensorLike:
    """The tangent, elementwise; NaN of an infinite angle."""
    return Tan()(x)


class Arctan(Function):
    """z = arctan x, so dz/dx = 1/(1 + x^2)."""

    saves_inputs = True
    __slots__ = ()

    def forward(self, x: Array) -> Array:
        return module_of(x).arctan(x)

    def backward(self, grad_out: ArrayOrTensor, x: ArrayOrTensor) -> ArrayOrTensor:
        finite = abs(x) != math.inf
        x = where(finite, x, 0)  # the slope of an infinite x^2 would be NaN, also times 0
        return grad_out * masked(1 / (1 + x * x), finite)


def arctan(x: TensorLike) -> TensorLike:
    """The angle from -pi/2 to pi/2 whose tangent is x, elementwise."""
    return Arctan()(x)
