"""floor, ceil, trunc, round: steps, whose derivative is 0; and what is left over: floor_divide, remainder.

>>> import minidl as md, minidl.functional as F
>>> x = md.tensor([1.75, -1.75], requires_grad=True)
>>> F.remainder(x, 1)
Tensor([0.75, 0.25], op=Remainder)
"""

from __future__ import annotations

from minidl.autograd.function import Function
from minidl.backend import module_of
from minidl.functional.broadcasting import unbroadcast
from minidl.types import Array, ArrayOrTensor, Gradients, TensorLike


class _Step(Function):
    """z is x rounded in some way: its derivative is 0 everywhere it exists."""

    __slots__ = ()

    def backward(self, grad_out: ArrayOrTensor) -> Gradients:
        return grad_out * 0


class Floor(_Step):
    """z is the largest whole number that is at most x."""

    __slots__ = ()

    def forward(self, x: Array) -> Array:
        return module_of(x).floor(x)


def floor(x: TensorLike) -> ArrayOrTensor:
    """The largest whole number that is at most x, elementwise, in x's dtype."""
    return Floor()(x)


class Ceil(_Step):
    """z is the smallest whole number that is at least x."""

    __slots__ = ()

    def forward(self, x: Array) -> Array:
        return module_of(x).ceil(x)


def ceil(x: TensorLike) -> ArrayOrTensor:
    """The smallest whole number that is at least x, elementwise, in x's dtype."""
    return Ceil()(x)


class Trunc(_Step):
    """z is x without what stands after the point."""

    __slots__ = ()

    def forward(self, x: Array) -> Array:
        return module_of(x).trunc(x)


def trunc(x: TensorLike) -> ArrayOrTensor:
    """x without what stands after the point, elementwise: the next whole number towards 0."""
    return Trunc()(x)


class Round(_Step):
    """z is x with so many digits after the point."""

    __slots__ = ("decimals",)

    def __init__(self, decimals: int) -> None:
        self.decimals = decimals

    def forward(self, x: Array) -> Array:
        return x.round(self.decimals)


def round(x: TensorLike, decimals: int = 0) -> ArrayOrTensor:
    """x with `decimals` digits after the point, elementwise; a half goes to the even side: 0.5 to 0, 1.5 to 2."""
    return Round(decimals)(x)


class FloorDivide(Function):
    """z = floor(x / y), whose derivatives are 0 everywhere they exist."""

    __slots__ = ("x_shape", "y_shape")

    def forward(self, x: Array, y: Array) -> Array:
        self.x_shape = getattr(x, "shape", ())
        self.y_shape = getattr(y, "shape", ())
        return x // y

    def backward(self, grad_out: ArrayOrTensor) -> Gradients:
        grad_x = unbroadcast(grad_out * 0, self.x_shape) if self.needs(0) else None
        grad_y = unbroadcast(grad_out * 0, self.y_shape) if self.needs(1) else None
        return grad_x, grad_y


def floor_divide(x: TensorLike, y: TensorLike) -> ArrayOrTensor:
    """x // y: the largest whole number that is at most x / y, elementwise with broadcasting."""
    return FloorDivide()(x, y)


class Remainder(Function):
    """z = x - y floor(x / y), so dz/dx = 1 and dz/dy = -floor(x / y)."""

    saves_inputs = True
    reads = ((), (0, 1))
    __slots__ = ()

    def forward(self, x: Array, y: Array) -> Array:
        return x % y

    def backward(self, grad_out: ArrayOrTensor, x: ArrayOrTensor, y: ArrayOrTensor) -> Gradients:
        grad_x = unbroadcast(grad_out, x.shape) if self.needs(0) else None
        grad_y = unbroadcast(-grad_out * floor_divide(x, y), y.shape) if self.needs(1) else None
        return grad_x, grad_y


def remainder(x: TensorLike, y: TensorLike) -> ArrayOrTensor:
    """x % y: what is left over of x / y, with the sign of y, elementwise with broadcasting."""
    return Remainder()(x, y)
