"""Batch normalisation on the CPU: sums of products in one pass, few new arrays, and moments that the backward keeps.

Large arrays take their time to read and to write. So the mean and the variance of the forward are kept for the
backward, x - m and the gradient are computed in place, what is broadcast over the samples is first made as large as one
sample (`spread`), and threads share the samples out. (Not in blocks that fit the cache: a sum over all samples stands
between one pass and the next.)
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from minidl.fast.cpu.sums import add_products
from minidl.fast.cpu.threads import shared_out
from minidl.fast.versions import Faster
from minidl.functional import normalization
from minidl.functional.normalization import follow, per_channel
from minidl.functional.precision import narrowed, widened
from minidl.types import Array, Gradients

SHARED = 4 << 20  # bytes of x; of less each pass, a call of NumPy, is over too soon beside the wait for Python's lock


class BatchNorm(Faster, normalization.BatchNorm):
    """Keeps the mean and the variance for the backward."""

    __slots__ = ()
    where = "on the CPU"

    def fits(self, x: Array, weight: Array | None, bias: Array | None) -> bool:
        return type(x) is np.ndarray

    def forward(self, x: Array, weight: Array | None, bias: Array | None) -> Array:
        self.axis = (0, *range(2, x.ndim))
        wide, n = widened(x), _count(x, self.axis)
        m = sum(_share(_sums, wide, self.axis)) / n
        y = np.empty_like(wide)
        v = sum(_share(_centred, wide, y, m, self.axis)) / n  # (mean(x^2) - m^2 would cancel where m is large)
        self.kept = m, v
        if not np.isfinite(v).all():  # the plain lines are right where squares overflow
            self.kept = None
            return super().forward(x, weight, bias)
        scale = 1 / np.sqrt(v + self.eps)
        factor = scale if weight is None else scale * per_channel(weight, x)
        _share(_scaled, y, factor, None if bias is None else per_channel(bias, x))
        if self.running is not None:
            follow(self.running, m, v, x)
        return narrowed(y, x)

    def backward(self, grad_out: Array, x: Array, weight: Array | None, bias: Array | None) -> Gradients:
        if self.kept is None:
            return super().backward(grad_out, x, weight, bias)
        grad, wide, n = widened(grad_out), widened(x), _count(x, self.axis)
        m, v = self.kept
        scale = 1 / np.sqrt(v + self.eps)
        z = np.empty_like(wide)
        sums = _share(_standardized, wide, grad, z, m, scale, self.axis)
        grad_bias, grad_weight = (sum(parts) for parts in zip(*sums, strict=True))
        grad_x = None
        if self.needs(0):
            slope = scale if weight is None else scale * per_channel(weight, x)
            _share(_projected, z, grad, grad_bias / n, grad_weight / n, slope)
            grad_x = narrowed(z, x)
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


def _count(x: Array, axis: tuple[int, ...]) -> int:
    return math.prod(x.shape[a] for a in axis)


def _share(work: Any, x: Array, *operands: Any) -> list[Any]:
    """`work` on parts of the samples of x, shared out among the threads, from SHARED bytes on."""
    return shared_out(work, len(x), x[:1].nbytes, x, *operands, least=SHARED)


def _sums(start: int, stop: int, x: Array, axis: tuple[int, ...]) -> Array:
    return add_products(x[start:stop], None, axis)


def _centred(start: int, stop: int, x: Array, y: Array, m: Array, axis: tuple[int, ...]) -> Array:
    """y = x - m; the sums of its squares."""
    c = y[start:stop]
    np.subtract(x[start:stop], spread(m, c), out=c)
    return add_products(c, c, axis)


def _scaled(start: int, stop: int, y: Array, factor: Array, bias: Array | None) -> None:
    """y factor + bias, in place."""
    y = y[start:stop]
    y *= spread(factor, y)
    if bias is not None:
        y += spread(bias, y)


def _standardized(
    start: int, stop: int, x: Array, grad: Array, z: Array, m: Array, scale: Array, axis: tuple[int, ...]
) -> tuple[Array, Array]:
    """z = (x - m) scale; the sums of the gradient, and of its products with z."""
    z, grad = z[start:stop], grad[start:stop]
    np.subtract(x[start:stop], spread(m, z), out=z)
    z *= spread(scale, z)
    return add_products(grad, None, axis), add_products(grad, z, axis)


def _projected(start: int, stop: int, z: Array, grad: Array, shift: Array, along: Array, factor: Array) -> None:
    """(grad - z along - shift) factor, in the memory of z."""
    z = z[start:stop]
    np.multiply(z, spread(along, z), out=z)
    np.subtract(grad[start:stop], z, out=z)
    z -= spread(shift, z)
    z *= spread(factor, z)
