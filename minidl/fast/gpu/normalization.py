"""Normalisation on a GPU: one kernel each way, which keeps m and 1 / sqrt(v + eps) for the backward."""

from __future__ import annotations

from minidl.fast.gpu import kernels
from minidl.fast.versions import Faster
from minidl.functional import normalization
from minidl.functional.broadcasting import unbroadcast
from minidl.functional.precision import narrowed, widened
from minidl.types import Array, Gradients


class BatchNorm(Faster, normalization.BatchNorm):
    """The kernel also brings the running statistics up to date."""

    __slots__ = ()
    where = "on a GPU"

    def fits(self, x: Array, weight: Array | None, bias: Array | None) -> bool:
        return kernels.on_device(x)

    def forward(self, x: Array, weight: Array | None, bias: Array | None) -> Array:
        self.axis = (0, *range(2, x.ndim))
        y, m, scale = kernels.normalize(x, self.axis, self.eps, weight, bias, self.running)
        self.kept = m, scale
        return y

    def backward(self, grad_out: Array, x: Array, weight: Array | None, bias: Array | None) -> Gradients:
        m, scale = self.kept
        return kernels.normalize_gradient(grad_out, x, m, scale, self.axis, weight)


class Standardize(Faster, normalization.Standardize):
    """The same kernel, and behind it weight and bias, of which there need not be one for each mean."""

    __slots__ = ()
    where = "on a GPU"

    def fits(self, x: Array, weight: Array | None, bias: Array | None) -> bool:
        return kernels.on_device(x)

    def forward(self, x: Array, weight: Array | None, bias: Array | None) -> Array:
        z, m, scale = kernels.normalize(widened(x), self.axis, self.eps)
        self.kept = m, scale, z
        y = z if weight is None else z * widened(weight)
        if bias is not None:
            y = y + widened(bias)
        return narrowed(y, x)

    def backward(self, grad_out: Array, x: Array, weight: Array | None, bias: Array | None) -> Gradients:
        m, scale, z = self.kept
        grad = widened(grad_out)
        grad_x = grad_weight = grad_bias = None
        if self.needs(0):
            grad_z = grad if weight is None else grad * widened(weight)
            grad_x = narrowed(kernels.normalize_gradient(grad_z, widened(x), m, scale, self.axis)[0], x)
        if weight is not None and self.needs(1):
            grad_weight = narrowed(unbroadcast(grad * z, weight.shape), x)
        if bias is not None and self.needs(2):
            grad_bias = narrowed(unbroadcast(grad, bias.shape), x)
        return grad_x, grad_weight, grad_bias
