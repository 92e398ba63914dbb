"""Sums on a GPU: one launch, and none for the gradient."""

from __future__ import annotations

import numpy as np

from minidl.backend import module_of
from minidl.fast.versions import Faster
from minidl.functional import broadcasting, reduction
from minidl.functional.precision import HALF, narrowed, widened
from minidl.types import Array, Axis


class Sum(Faster, broadcasting.Sum):
    """A GPU adds up in parallel, so that float32 loses nothing. The gradient is a view in which dL/ds is repeated."""

    __slots__ = ()
    where = "on a GPU"

    def fits(self, x: Array) -> bool:
        return module_of(x) is not np

    def forward(self, x: Array) -> Array:
        self.note_shapes(x)
        return add_up(x, self.axis, self.keepdims)

    def backward(self, grad_out: Array) -> Array:
        return module_of(grad_out).broadcast_to(grad_out.reshape(self.kept_shape), self.in_shape)


class Mean(Faster, reduction.Mean):
    """The gradient is a view in which dL/dm / n is repeated."""

    __slots__ = ()
    where = "on a GPU"

    def fits(self, x: Array) -> bool:
        return module_of(x) is not np

    def backward(self, grad_out: Array) -> Array:
        share = narrowed(widened(grad_out) / (self.count() or 1), grad_out)
        return module_of(share).broadcast_to(share.reshape(self.kept_shape), self.in_shape)


def add_up(x: Array, axis: Axis, keepdims: bool = False) -> Array:
    """The sum of x over `axis`; of float16 in float32."""
    if x.dtype == HALF:
        return x.sum(axis=axis, keepdims=keepdims, dtype=np.float32).astype(HALF)
    return x.sum(axis=axis, keepdims=keepdims)
