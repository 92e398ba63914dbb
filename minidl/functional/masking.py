"""masked: what a backward does where nothing of a gradient may pass."""

from __future__ import annotations

from minidl.autograd.function import Function
from minidl.autograd.variable import Variable
from minidl.backend import module_of
from minidl.types import Array, ArrayOrTensor, Gradients, TensorLike


class Masked(Function):
    """z = x where the mask is true, else exactly 0; the gradient likewise."""

    __slots__ = ("mask",)

    def __init__(self, mask: ArrayOrTensor) -> None:
        self.mask = mask._data if isinstance(mask, Variable) else mask

    def forward(self, x: Array) -> Array:
        return module_of(x).where(self.mask, x, 0)

    def backward(self, grad_out: ArrayOrTensor) -> Gradients:
        return masked(grad_out, self.mask)


def masked(x: TensorLike, mask: TensorLike) -> ArrayOrTensor:
    """x where the boolean `mask` is true, else exactly 0 (0 times infinity would be NaN). For the backwards of ops.

    The mask, which broadcasts to x's shape, is kept as it is: nobody may write to it any more.
    """
    return Masked(mask)(x)
