"""Local response normalisation across channels on a GPU: one kernel each way."""

from __future__ import annotations

from minidl.fast.gpu import kernels
from minidl.fast.versions import Faster
from minidl.functional import response
from minidl.types import Array


class LocalResponse(Faster, response.LocalResponse):
    """One kernel each way, which keeps the scale s for the backward."""

    __slots__ = ()
    where = "on a GPU, across channels"

    def fits(self, x: Array) -> bool:
        return not self.within_channel and kernels.on_device(x)

    def forward(self, x: Array) -> Array:
        y, self.kept = kernels.respond(x, self.size, self.alpha, self.beta, self.k)
        return y

    def backward(self, grad_out: Array, x: Array, y: Array) -> Array:
        return kernels.respond_gradient(grad_out, x, y, self.kept, self.size, self.alpha, self.beta)
