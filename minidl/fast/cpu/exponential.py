"""The error function and GELU on the CPU: block by block, so that all steps of a block find it in the cache.

Threads share the elements out. Nor is there more than a block of what comes in between: on whole arrays GELU's backward
has six of the size of x.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import numpy as np

from minidl.backend.special import COEFFICIENTS, LARGEST
from minidl.fast.cpu.threads import get_num_threads, shared_out
from minidl.fast.versions import Faster
from minidl.functional import exponential, gated
from minidl.functional.precision import narrowed, widened
from minidl.types import Array

BLOCK = 2**16  # elements
BESIDE_OTHERS = 4  # times as many where threads share them out: each call of NumPy may wait 50 us for Python's lock


class Erf(Faster, exponential.Erf):
    """The very steps of `backend.erf`, in memory that is used again."""

    __slots__ = ()
    where = "on the CPU"

    def fits(self, x: Array) -> bool:
        return type(x) is np.ndarray

    def forward(self, x: Array) -> Array:
        wide = widened(x)
        out = np.empty(wide.shape, wide.dtype)
        _share(_erf_of, wide, out)
        return narrowed(out, x)


class GELU(Faster, gated.GELU):
    """The very steps of the op, block by block."""

    __slots__ = ()
    where = "on the CPU, float dtypes, C-contiguous"

    def fits(self, x: Array) -> bool:
        return type(x) is np.ndarray and x.dtype.kind == "f" and x.flags.c_contiguous

    def forward(self, x: Array) -> Array:
        out = np.empty_like(x)
        _share(_gelu, x, out)
        return out

    def backward(self, grad_out: Array, x: Array) -> Array:
        grad_x = np.empty_like(x)
        _share(_gelu_gradient, x, grad_out, grad_x)
        return grad_x


def _share(work: Any, x: Array, *operands: Array) -> None:
    """`work` on parts of the elements of all arrays, shared out among the threads."""
    shared_out(work, x.size, x.itemsize, *[array.reshape(-1) for array in (x, *operands)])


def _parts(start: int, stop: int) -> Iterator[slice]:
    size = BLOCK if get_num_threads() == 1 else BESIDE_OTHERS * BLOCK
    for first in range(start, stop, size):
        yield slice(first, min(first + size, stop))


def _erf_of(start: int, stop: int, x: Array, out: Array) -> None:
    for part in _parts(start, stop):
        _erf(x[part], out[part])


def _gelu(start: int, stop: int, x: Array, out: Array) -> None:
    for part in _parts(start, stop):
        wide = np.maximum(widened(x[part]), -gated.FAR)
        cdf = _normal_cdf(wide)
        np.multiply(wide, cdf, out=out[part], casting="same_kind")


def _gelu_gradient(start: int, stop: int, x: Array, grad_out: Array, grad_x: Array) -> None:
    for part in _parts(start, stop):
        wide = np.clip(widened(x[part]), -gated.FAR, gated.FAR)
        density = -0.5 * wide
        density *= wide
        np.exp(density, out=density)
        density /= math.sqrt(2 * math.pi)
        density *= wide
        slope = _normal_cdf(wide)
        slope += density
        np.multiply(widened(grad_out[part]), slope, out=grad_x[part], casting="same_kind")


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
