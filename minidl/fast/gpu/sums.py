"""Sums on a GPU: one launch, and none for the gradient."""

from __future__ import annotations

import numpy as np

from minidl.backend import module_of
from minidl.fast.versions import Faster
from minidl.functional import broadcasting, reduction
from minidl.functional.precision import HALF, narrowed, widened
from minidl.types import Array, Axis


def add_up(x: Array, axis: Axis, keepdims: bool = False) -> Array:
    """The sum of x over `axis`; of float16 in float32."""
    if x.dtype == HALF:
        return x.sum(axis=axis, keepdims=keepdims, dtype=np.float32).astype(HALF)
    return x.sum(axis=axis, keepdims=keepdims)


class InOneLaunch(Faster):
    """A reduction that leaves it to the GPU to add up, which does so in parallel: float32 loses nothing."""

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
