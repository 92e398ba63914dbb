"""The error function and GELU on the CPU: block by block, so that all steps of a block find it in the cache.

Nor is there more than a block of what comes in between: on whole arrays GELU's backward has six of the size of x.
"""

from __future__ import annotations

import math

import numpy as np

from minidl.backend.special import COEFFICIENTS, LARGEST
from minidl.fast.versions import Faster
from minidl.functional import exponential, gated
from minidl.functional.precision import narrowed, widened
from minidl.types import Array

BLOCK = 2**15  # elements


class Erf(Faster, exponential.Erf):
    """The very steps of `backend.erf`, in memory that is used again."""

    __slots__ = ()
    where = "on the CPU"

    def fits(self, x: Array) -> bool:
        return type(x) is np.ndarray

    def forward(self, x: Array) -> Array:
        wide = widened(x)
        out = np.empty(wide.shape, wide.dtype)
        flat, results = wide.reshape(-1), out.reshape(-1)
        for start in range(0, x.size, BLOCK):
            part = slice(start, start + BLOCK)
            _erf(flat[part], results[part])
        return narrowed(out, x)


class GELU(Faster, gated.GELU):
    """The very steps of the op, block by block."""

    __slots__ = ()
    where = "on the CPU, float dtypes, C-contiguous"

    def fits(self, x: Array) -> bool:
        return type(x) is np.ndarray and x.dtype.kind == "f" and x.flags.c_contiguous

    def forward(self, x: Array) -> Array:
        out = np.empty_like(x)
        flat, results = x.reshape(-1), out.reshape(-1)
        for start in range(0, x.size, BLOCK):
            part = slice(start, start + BLOCK)
            wide = np.maximum(widened(flat[part]), -gated.FAR)
            cdf = _normal_cdf(wide)
            np.multiply(wide, cdf, out=results[part], casting="same_kind")
        return out

    def backward(self, grad_out: Array, x: Array) -> Array:
        grad_x = np.empty_like(x)
        flat, grads, results = x.reshape(-1), grad_out.reshape(-1), grad_x.reshape(-1)
        for start in range(0, x.size, BLOCK):
            part = slice(start, start + BLOCK)
            wide = np.clip(widened(flat[part]), -gated.FAR, gated.FAR)
            density = -0.5 * wide
            density *= wide
            np.exp(density, out=density)
            density /= math.sqrt(2 * math.pi)
            density *= wide
            slope = _normal_cdf(wide)
            slope += density
            np.multiply(widened(grads[part]), slope, out=results[part], casting="same_kind")
        return grad_x


def _normal_cdf(x: Array) -> Array:
    """(1 + erf(x / sqrt 2)) / 2 of a block."""
    found = x * math.sqrt(0.5)
    _erf(found, found)
    found *= 0.5
    found += 0.5
    return found


def _erf(x: Array, out: Array) -> None:
    """erf of a block, which may be `out` itself."""
    block = np.clip(x, -LARGEST, LARGEST)
    square = block * block
    (p, q), *others = COEFFICIENTS[x.dtype.name]
    numerator, denominator = np.full_like(block, p), np.full_like(block, q)
    for p, q in others:
        numerator *= square
        numerator += p
        denominator *= square
        denominator += q
    block *= numerator
    block /= denominator
    np.tanh(block, out=out)
