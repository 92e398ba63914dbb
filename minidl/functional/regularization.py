"""dropout of single numbers, dropout1d and dropout2d of whole channels.

>>> import numpy as np, minidl as md, minidl.functional as F
>>> md.seed(0)
>>> F.dropout(np.ones(6), p=0.5)
array([2., 2., 0., 0., 0., 2.])
"""

from __future__ import annotations

from typing import Never

from minidl.autograd.function import Function
from minidl.backend import at_hand, device_uniform, module_of
from minidl.checks import number, yes_or_no
from minidl.errors import ShapeError, describe
from minidl.functional.masking import masked
from minidl.functional.targets import raw
from minidl.habits.answers import unknown_option
from minidl.types import Array, ArrayOrTensor, Shape, TensorLike


class Dropout(Function):
    """z = x m / (1 - p), where each m is 0 with probability p and else 1: the expectation of z is x.

    dz/dx = m / (1 - p), with the m of the forward: m / (1 - p) is kept as `scale`. What is dropped is 0, and so is its
    gradient, also where x or dL/dz is infinite or NaN.

    Args:
        p: from 0 to 1; where it is 1 all of z is 0.
        axes: draw one m for each position along so many axes, the first ones, and use it for all that the others hold
            there; None for one m for each number. With axes=2 a channel of an image in (N, C, H, W) is dropped or kept
            as a whole.
    """

    __slots__ = ("axes", "p", "scale")

    def __init__(self, p: float, axes: int | None = None) -> None:
        self.p = p
        self.axes = axes

    def forward(self, x: Array) -> Array:
        keep = device_uniform(self.mask_shape(x), module_of(x)) >= self.p
        self.scale = keep.astype(x.dtype) * (1 / (1 - self.p) if self.p < 1 else 0)
        return self.scaled(x)

    def backward(self, grad_out: ArrayOrTensor) -> ArrayOrTensor:
        return self.scaled(grad_out)

    def scaled(self, x: ArrayOrTensor) -> ArrayOrTensor:
        """x times `scale`, and 0 where that is 0. Only beside an x that is not finite does the product differ."""
        product = x * self.scale
        values = raw(product)
        if at_hand(values) and module_of(values).isfinite(values).all():
            return product
        return masked(product, self.scale != 0)

    def mask_shape(self, x: Array) -> Shape:
        """The shape of m: that of x, with length 1 along the axes that share one m."""
        return x.shape if self.axes is None else x.shape[: self.axes] + (1,) * (x.ndim - self.axes)


def dropout(x: TensorLike, p: float = 0.5, training: bool = True, **unknown: Never) -> TensorLike:
    """Set each number to 0 with probability p and multiply the others by 1 / (1 - p); x itself when not training.

    The random numbers come from the stream that `md.seed` starts, and are drawn on the device of x.

    Raises:
        ValueError: p is not from 0 to 1.
    """
    if unknown:
        raise unknown_option("F.dropout(x)", unknown)
    p = number(p, "dropout: p", 0, 1)
    return Dropout(p)(x) if yes_or_no(training, "dropout: training") and p > 0 else x


def dropout1d(x: TensorLike, p: float = 0.5, training: bool = True) -> TensorLike:
    """Set each channel of each sample of x (N, C, L) to 0, as a whole, with probability p; otherwise as `dropout`.

    Neighbouring numbers of a channel are nearly equal, so where single ones are dropped the others still tell the
    network what they were (Tompson et al., arXiv:1411.4280, section 3.2).

    Raises:
        ShapeError: x has other axes.
        ValueError: p is not from 0 to 1.
    """
    return _drop_channels("dropout1d", "(N, C, L)", x, p, training)


def dropout2d(x: TensorLike, p: float = 0.5, training: bool = True) -> TensorLike:
    """Set each channel of each image of x (N, C, H, W) to 0, as a whole, with probability p; see `dropout1d`.

    Raises:
        ShapeError: x has other axes.
        ValueError: p is not from 0 to 1.
    """
    return _drop_channels("dropout2d", "(N, C, H, W)", x, p, training)


def _drop_channels(name: str, shape: str, x: TensorLike, p: float, training: bool) -> TensorLike:
    p = number(p, f"{name}: p", 0, 1)
    if getattr(x, "ndim", None) != len(shape.split()):
        raise ShapeError(f"{name}: expected x of shape {shape}; got {describe(x)}")
    return Dropout(p, axes=2)(x) if yes_or_no(training, f"{name}: training") and p > 0 else x
