"""Products of numbers on the CPU: where nothing was repeated, nothing is asked of each factor by itself."""

from __future__ import annotations

import numpy as np

from minidl.fast.versions import Faster
from minidl.functional import arithmetic
from minidl.types import Array, Gradients


class Mul(Faster, arithmetic.Mul):
    """Two products for factors of one shape."""

    __slots__ = ()
    where = "on the CPU, factors of one shape"
    takes = np.ndarray

    def backward(self, grad_out: Array, x: Array, y: Array) -> Gradients:
        if self.needed == 3 and x.shape == y.shape:
            return grad_out * y, grad_out * x
        return super().backward(grad_out, x, y)
