"""dropout.

>>> import numpy as np, minidl as md, minidl.functional as F
>>> md.seed(0)
>>> F.dropout(np.ones(6), p=0.5)
array([2., 2., 0., 0., 0., 2.])
"""

from __future__ import annotations

from typing import Any

import numpy as np

from minidl.autograd import Function
from minidl.backend import device_uniform, module_of


class Dropout(Function):
    """z = x m / (1 - p), where each m is 0 with probability p and else 1: the expectation of z is x.

    dz/dx = m / (1 - p), with the m of the forward: `scale` is kept for that.
    """

    __slots__ = ("p", "scale")

    def __init__(self, p: float) -> None:
        self.p = p

    def forward(self, x: Any) -> Any:
        keep = device_uniform(x.shape, module_of(x)) >= self.p
        self.scale = keep.astype(x.dtype) * (1 / (1 - self.p) if self.p < 1 else 0)
        return x * self.scale

    def backward(self, grad_out: Any) -> Any:
        return grad_out * self.scale


def dropout(x: Any, p: float = 0.5, training: bool = True) -> Any:
    """Set each number to 0 with probability p and scale the others by 1/(1-p); x itself when not training.

    The draws come from the stream that `md.seed` starts, on the device of x.

    Raises:
        ValueError: p is not from 0 to 1.
    """
    if not isinstance(p, (int, float, np.number)) or not 0 <= p <= 1:
        raise ValueError(f"dropout: expected a probability from 0 to 1; got {p!r}")
    return Dropout(p)(x) if training and p > 0 else x
