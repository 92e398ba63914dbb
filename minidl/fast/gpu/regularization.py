"""Dropout on a GPU: one launch draws the mask and applies it, also in a captured step."""

from __future__ import annotations

from minidl.backend import device_seed, module_of
from minidl.fast.gpu import capturing, kernels
from minidl.fast.versions import Faster
from minidl.functional import regularization
from minidl.types import Array


class Dropout(Faster, regularization.Dropout):
    """The numbers are those that the plain lines draw, from the same seed.

    In a captured step the kernel reads its seed from the device, where each replay finds another one.
    """

    __slots__ = ()
    where = "on a GPU"

    def fits(self, x: Array) -> bool:
        return kernels.on_device(x)

    def forward(self, x: Array) -> Array:
        seed = device_seed()
        live = capturing.place_of_seed(seed, device_seed)
        if self.axes is None:
            z, self.scale = kernels.dropout(x, self.p, seed, live)
            return z
        keep = kernels.uniform(self.mask_shape(x), module_of(x), seed, live) >= self.p
        self.scale = keep.astype(x.dtype) * (1 / (1 - self.p) if self.p < 1 else 0)
        return kernels.fused("dropped", x, self.scale)

    def backward(self, grad_out: Array) -> Array:
        return kernels.fused("dropped", grad_out, self.scale)
