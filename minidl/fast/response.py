"""Local response normalisation that keeps its scale for the backward."""

from __future__ import annotations

import numpy as np

from minidl.fast.versions import Faster
from minidl.functional import response
from minidl.types import Array


class LocalResponse(Faster, response.LocalResponse):
    """The scale s is computed once, not again in the backward."""

    __slots__ = ()
    where = "on the CPU, and within channels"

    def fits(self, x: Array) -> bool:
        return type(x) is np.ndarray or self.within_channel

    def forward(self, x: Array) -> Array:
        self.kept = self.scale(x)
        return x * self.kept**-self.beta

    def backward(self, grad_out: Array, x: Array, y: Array) -> Array:
        return self.gradient(grad_out, x, y, self.kept)
