"""Rectifiers and masks on the CPU, without NumPy's `where`.

`where` guesses at each element which of two arrays is chosen. On a mask without pattern it guesses wrong half of the
time, and takes five to ten times as long as a product.
"""

from __future__ import annotations

import numpy as np

from minidl.fast.cpu.numbers import ZERO
from minidl.fast.cpu.sums import unbroadcast
from minidl.fast.versions import Faster
from minidl.functional import activation, masking
from minidl.types import Array, DType, Gradients

BITS = {size: np.dtype(f"i{size}") for size in (2, 4, 8)}


def zero_outside(mask: Array, x: Array) -> Array:
    """x where the boolean `mask` holds and exactly 0 elsewhere, also where x is infinite or NaN.

    The two must broadcast to x's shape, and x be of 2, 4 or 8 bytes a number. The bits of x are taken for a whole
    number, of which once is the same bits, and no times none.
    """
    dtype = x.dtype
    return (x.view(BITS[dtype.itemsize]) * mask).view(dtype)


class Masked(Faster, masking.Masked):
    """The mask is multiplied by the bits of the numbers."""

    __slots__ = ()
    where = "on the CPU, float dtypes"

    def fits(self, x: Array) -> bool:
        return type(x) is np.ndarray and x.dtype.kind == "f" and x.dtype.itemsize in (2, 4, 8)

    def forward(self, x: Array) -> Array:
        return zero_outside(self.mask, x)


class LeakyReLU(Faster, activation.LeakyReLU):
    """Where the slope is from 0 to 1, the larger of x and slope * x is the one that is wanted."""

    __slots__ = ()
    where = "on the CPU, float dtypes"

    def fits(self, x: Array) -> bool:
        return type(x) is np.ndarray and x.dtype.kind == "f"

    def forward(self, x: Array) -> Array:
        return np.maximum(x, x * self.slope) if 0 < self.slope <= 1 else super().forward(x)

    def backward(self, grad_out: Array, x: Array) -> Array:
        if not 0 <= self.slope <= 1:
            return super().backward(grad_out, x)
        return grad_out * slopes(x, self.slope, grad_out.dtype)


class PReLU(Faster, activation.PReLU):
    """As LeakyReLU; and the gradient is multiplied by the slope at each element."""

    __slots__ = ()
    where = "on the CPU, float dtypes"

    def fits(self, x: Array, weight: Array) -> bool:
        return type(x) is np.ndarray and x.dtype.kind == "f" and x.dtype.itemsize in (2, 4, 8)

    def forward(self, x: Array, weight: Array) -> Array:
        usual = np.all((weight > 0) & (weight <= 1))
        return np.maximum(x, weight * x) if usual else super().forward(x, weight)

    def backward(self, grad_out: Array, x: Array, weight: Array) -> Gradients:
        if not np.all((weight >= 0) & (weight <= 1)):
            return super().backward(grad_out, x, weight)
        grad_x = grad_out * slopes(x, weight, grad_out.dtype) if self.needs(0) else None
        grad_weight = unbroadcast(zero_outside(~(x > 0), grad_out * x), weight.shape) if self.needs(1) else None
        return grad_x, grad_weight


def slopes(x: Array, slope: float | Array, dtype: DType) -> Array:
    """1 where x > 0, else `slope`, a number or an array, in `dtype`.

    slope + (1 - slope), both rounded to the dtype, is exactly 1 for every slope from 0 to 1.
    """
    slope = np.asarray(slope, dtype)
    return slope + (1 - slope) * (x > 0).astype(dtype)


class ReLU(Faster, activation.ReLU):
    """The mask is multiplied by the bits of the gradient."""

    __slots__ = ()
    where = "on the CPU"
    takes = np.ndarray

    def forward(self, x: Array) -> Array:
        return np.maximum(x, ZERO.get(x.dtype, 0))

    def backward(self, grad_out: Array, out: Array) -> Array:
        dtype = out.dtype
        if dtype.itemsize not in BITS:
            return super().backward(grad_out, out)
        return zero_outside(out != ZERO.get(dtype, 0), grad_out)
