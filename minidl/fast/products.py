"""Matrix products made by a function of their own: what the versions of MatMul and Linear for CPU and GPU share."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import ClassVar

from minidl.fast.versions import Faster
from minidl.functional.broadcasting import unbroadcast
from minidl.functional.products import as_matrices, check_factors, check_layer
from minidl.types import Array, Gradients


class MatMulByProduct(Faster):
    """MatMul, with product(x, y) for x @ y."""

    __slots__ = ()
    product: ClassVar[Callable[..., Array]]
    needs: Callable[[int], bool]  # MatMul has it

    def forward(self, x: Array, y: Array) -> Array:
        check_factors(x, y)
        return self.product(x, y)

    def backward(self, grad_out: Array, x: Array, y: Array) -> Gradients:
        grad_z, rows, columns = as_matrices(grad_out, x, y)
        grad_x = grad_y = None
        if self.needs(0):
            grad_x = unbroadcast(self.product(grad_z, columns.swapaxes(-1, -2)), rows.shape).reshape(x.shape)
        if self.needs(1):
            grad_y = unbroadcast(self.product(rows.swapaxes(-1, -2), grad_z), columns.shape).reshape(y.shape)
        return grad_x, grad_y


class LinearByProduct(Faster):
    """Linear, with product(x, y) for x @ y and add_up(x, axis) for a sum; the bias is added in place."""

    __slots__ = ()
    product: ClassVar[Callable[..., Array]]
    add_up: ClassVar[Callable[..., Array]]
    needs: Callable[[int], bool]  # Linear has it

    def forward(self, x: Array, weight: Array, bias: Array | None = None) -> Array:
        check_layer(x, weight, bias)
        out = self.product(x, weight.T)
        if bias is not None:
            out += bias
        return out

    def backward(self, grad_out: Array, x: Array, weight: Array, bias: Array | None = None) -> Gradients:
        out_features, in_features = weight.shape
        samples = math.prod(x.shape[:-1])
        rows = grad_out.reshape((samples, out_features))
        grad_x = self.product(grad_out, weight) if self.needs(0) else None
        grad_weight = self.product(rows.T, x.reshape((samples, in_features))) if self.needs(1) else None
        if bias is None:
            return grad_x, grad_weight
        return grad_x, grad_weight, self.add_up(rows, (0,)) if self.needs(2) else None
