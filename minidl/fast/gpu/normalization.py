"""Normalisation on a GPU: one kernel each way, which keeps m and 1 / sqrt(v + eps) for the backward."""

from __future__ import annotations

from minidl.fast.gpu import kernels
from minidl.fast.versions import Faster
from minidl.functional import normalization
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
    """The same kernel without weight and bias."""

    __slots__ = ()
    where = "on a GPU"

    def fits(self, x: Array) -> bool:
        return kernels.on_device(x)

    def forward(self, x: Array) -> Array:
        z, m, scale = kernels.normalize(x, self.axis, self.eps)
        self.kept = m, scale
        return z

    def backward(self, grad_out: Array, x: Array, out: Array) -> Array:
        m, scale = self.kept
        return kernels.normalize_gradient(grad_out, x, m, scale, self.axis)[0]
