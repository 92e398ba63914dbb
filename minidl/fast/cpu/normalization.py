"""Batch normalisation on the CPU: sums of products in one pass, few new arrays, and moments that the backward keeps.

Large arrays take their time to read and to write. So the mean and the variance of the forward are kept for the
backward, x - m and the gradient are computed in place, and what is broadcast over the samples is first made as large as
one sample (`spread`).
"""

from __future__ import annotations

import math

import numpy as np

from minidl.fast.cpu.sums import add_products
from minidl.fast.versions import Faster
from minidl.functional import normalization
from minidl.functional.normalization import follow, per_channel
from minidl.functional.precision import narrowed, widened
from minidl.types import Array, Gradients


class BatchNorm(Faster, normalization.BatchNorm):
    """Keeps the mean and the variance for the backward."""

    __slots__ = ()
    where = "on the CPU"

    def fits(self, x: Array, weight: Array | None, bias: Array | None) -> bool:
        return type(x) is np.ndarray

    def forward(self, x: Array, weight: Array | None, bias: Array | None) -> Array:
        self.axis = (0, *range(2, x.ndim))
        wide = widened(x)
        m, v, y = moments(wide, self.axis)
        self.kept = m, v
        if not np.isfinite(v).all():  # the plain lines are right where squares overflow
            self.kept = None
            return super().forward(x, weight, bias)
        scale = 1 / np.sqrt(v + self.eps)
        y *= spread(scale if weight is None else scale * per_channel(weight, x), wide)
        if bias is not None:
            y += spread(per_channel(bias, x), wide)
        if self.running is not None:
            follow(self.running, m, v, x)
        return narrowed(y, x)

    def backward(self, grad_out: Array, x: Array, weight: Array | None, bias: Array | None) -> Gradients:
        if self.kept is None:
            return super().backward(grad_out, x, weight, bias)
        grad, wide, n = widened(grad_out), widened(x), _count(x, self.axis)
        m, v = self.kept
        scale = 1 / np.sqrt(v + self.eps)
        z = (wide - spread(m, wide)) * spread(scale, wide)
        grad_bias = add_products(grad, None, self.axis)
        grad_weight = add_products(grad, z, self.axis)
        grad_x = None
        if self.needs(0):
            slope = scale if weight is None else scale * per_channel(weight, x)
            grad_x = narrowed(_projected(grad, z, grad_bias / n, grad_weight / n, slope), x)
        return grad_x, narrowed(grad_weight.reshape(-1), x), narrowed(grad_bias.reshape(-1), x)


def spread(a: Array, x: Array) -> Array:
    """`a`, which is to be broadcast over x (N, ...), as a whole sample of x if it is the same for all samples.

    Beside x (64, 32, 8, 8) NumPy meets an `a` of (32, 1, 1) in loops over 64 numbers, and of (1, 32, 8, 8) over 2048,
    which takes half the time.
    """
    if x.ndim < 3 or (a.ndim == x.ndim and len(a) > 1):
        return a
    sample = np.empty_like(x[:1], dtype=a.dtype)  # its axes lie in memory as x's do
    sample[...] = a
    return sample


def moments(x: Array, axis: tuple[int, ...]) -> tuple[Array, Array, Array]:
    """The mean m of x over `axis`, the variance, and x - m. (mean(x^2) - m^2 would cancel where m is large.)"""
    n = _count(x, axis)
    m = add_products(x, None, axis) / n
    centred = x - spread(m, x)
    return m, add_products(centred, centred, axis) / n, centred


def _count(x: Array, axis: tuple[int, ...]) -> int:
    return math.prod(x.shape[a] for a in axis)


def _projected(grad: Array, z: Array, shift: Array, along: Array, factor: Array) -> Array:
    """(grad - z along - shift) factor, in the memory of z."""
    np.multiply(z, spread(along, z), out=z)
    np.subtract(grad, z, out=z)
    z -= spread(shift, z)
    z *= spread(factor, z)
    return z
