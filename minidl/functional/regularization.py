"""dropout of single numbers, dropout1d and dropout2d of whole channels.

>>> import numpy as np, minidl as md, minidl.functional as F
>>> md.seed(0)
>>> F.dropout(np.ones(6), p=0.5)
array([2., 2., 0., 0., 0., 2.])
"""

from __future__ import annotations

from typing import Any

from minidl.autograd.function import Function
from minidl.backend import device_seed, device_uniform, module_of
from minidl.checks import number
from minidl.errors import ShapeError, describe
from minidl.fast.gpu import kernels


class Dropout(Function):
    """z = x m / (1 - p), where each m is 0 with probability p and else 1: the expectation of z is x.

    dz/dx = m / (1 - p), with the m of the forward: `scale` is kept for that. There is one m for each position along the
    first `axes` axes (None: all); so with 2 of (N, C, H, W), m drops or keeps a channel of an image as a whole.
    """

    __slots__ = ("axes", "p", "scale")

    def __init__(self, p: float, axes: int | None = None) -> None:
        self.p = p
        self.axes = axes

    def forward(self, x: Any) -> Any:
        if kernels.on_device(x) and self.axes is None:
            z, self.scale = kernels.dropout(x, self.p, *device_seed())
            return z
        own = x.shape[: self.axes]
        keep = device_uniform((*own, *(1 for _ in x.shape[len(own) :])), module_of(x)) >= self.p
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
    return Dropout(p)(x) if number(p, "dropout: p", 0, 1) > 0 and training else x


def dropout1d(x: Any, p: float = 0.5, training: bool = True) -> Any:
    """Set each channel of each sample of x (N, C, L) to 0, as a whole, with probability p; otherwise as `dropout`.

    Neighbours in a channel say nearly the same, so dropping single ones of them takes little away (Tompson et al.,
    arXiv:1411.4280, section 3.2).

    Raises:
        ShapeError: x has other axes.
        ValueError: p is not from 0 to 1.
    """
    return _drop_channels("dropout1d", "(N, C, L)", x, p, training)


def dropout2d(x: Any, p: float = 0.5, training: bool = True) -> Any:
    """Set each channel of each image of x (N, C, H, W) to 0, as a whole, with probability p; see `dropout1d`.

    Raises:
        ShapeError: x has other axes.
        ValueError: p is not from 0 to 1.
    """
    return _drop_channels("dropout2d", "(N, C, H, W)", x, p, training)


def _drop_channels(name: str, axes: str, x: Any, p: float, training: bool) -> Any:
    number(p, f"{name}: p", 0, 1)
    if getattr(x, "ndim", None) != len(axes.split()):
        raise ShapeError(f"{name}: expected x of shape {axes}; got {describe(x)}")
    return Dropout(p, axes=2)(x) if training and p > 0 else x
