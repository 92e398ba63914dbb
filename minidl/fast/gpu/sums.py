"""Sums on a GPU: one launch, or two of many float32 numbers, and none for the gradient."""

from __future__ import annotations

import math

import numpy as np

from minidl.backend import module_of
from minidl.fast.versions import Faster
from minidl.functional import broadcasting, reduction
from minidl.functional.precision import HALF, narrowed, widened
from minidl.types import Array, Axis

MANY = 1024  # numbers that are added up in float32 without losing a digit


def add_up(x: Array, axis: Axis, keepdims: bool = False) -> Array:
    """The sum of x over `axis`; of float16 in float32.

    Of many float32 numbers in float64. CuPy adds up an array that lies in one piece, to one number, as a tree. For each
    of several sums it has 16 threads or a few more, and each adds its part of the numbers one after the other.
    """
    if x.dtype == HALF:
        return x.sum(axis=axis, keepdims=keepdims, dtype=np.float32).astype(HALF)
    if x.dtype == np.float32 and x.size > MANY and _numbers_of_a_sum(x, axis) > MANY:
        return x.sum(axis=axis, keepdims=keepdims, dtype=np.float64).astype(np.float32)
    return x.sum(axis=axis, keepdims=keepdims)


def _numbers_of_a_sum(x: Array, axis: Axis) -> int:
    """How many numbers there are one after the other in a sum; 1 where a tree adds them up."""
    axes = range(x.ndim) if axis is None else (axis,) if isinstance(axis, int) else axis
    count = math.prod(x.shape[i] for i in axes)
    return 1 if count == x.size and x.flags.c_contiguous else count


class InOneLaunch(Faster):
    """A reduction that leaves it to the GPU to add up, which does so in parallel."""

    __slots__ = ()
    where = "on a GPU"
    add_up = staticmethod(add_up)

    def fits(self, x: Array) -> bool:
        return module_of(x) is not np


class Sum(InOneLaunch, broadcasting.Sum):
    """The gradient is a view in which dL/ds is repeated."""

    __slots__ = ()

    def backward(self, grad_out: Array) -> Array:
        return module_of(grad_out).broadcast_to(grad_out.reshape(self.kept_shape), self.in_shape)


class Mean(InOneLaunch, reduction.Mean):
    """The gradient is a view in which dL/dm / n is repeated."""

    __slots__ = ()

    def backward(self, grad_out: Array) -> Array:
        share = narrowed(widened(grad_out) / (self.count() or 1), grad_out)
        return module_of(share).broadcast_to(share.reshape(self.kept_shape), self.in_shape)


class Var(InOneLaunch, reduction.Var):
    """The plain lines, with each sum in one launch."""

    __slots__ = ()


class LogSumExp(InOneLaunch, reduction.LogSumExp):
    """The plain lines, with the sum in one launch."""

    __slots__ = ()


class Norm(InOneLaunch, reduction.Norm):
    """The plain lines, with the sum in one launch."""

    __slots__ = ()
