"""Local response normalisation: each number is divided by the size of its neighbours.

AlexNet and Caffe's networks have it, which are older than batch normalisation. It has no parameters, and each sample is
normalised for itself.

>>> import numpy as np, minidl.functional as F
>>> x = np.array([[[3.0], [4.0], [0.0]]])  # one sample, three channels, one place
>>> F.local_response_norm(x, 3, alpha=3.0, beta=0.5, k=0.0)
array([[[0.6],
        [0.8],
        [0. ]]])
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from minidl.autograd.function import Function
from minidl.backend import at_hand
from minidl.checks import whole, yes_or_no
from minidl.errors import ShapeError, describe
from minidl.functional.pooling import avg_pool2d
from minidl.functional.precision import narrowed, widened
from minidl.functional.reshaping import reshape
from minidl.functional.shape import astype
from minidl.functional.targets import raw
from minidl.types import Array, ArrayOrTensor, Gradients, TensorLike


class LocalResponse(Function):
    """y = x s^-beta with s = k + alpha a, where a is the mean of x^2 over the neighbours.

    Each x is in its own s and in those of its neighbours, which are all places that have it for a neighbour:

        dL/dx = dL/dy s^-beta - 2 alpha beta x a',      a' the mean of dL/dy y / s over these places

    Across channels an even `size` has one neighbour more before than after, and one place more after than before.
    """

    saves_inputs = True
    saves_output = True
    __slots__ = ("alpha", "beta", "k", "size", "within_channel")

    def __init__(self, size: int, alpha: float, beta: float, k: float, within_channel: bool) -> None:
        self.size = size
        self.alpha = alpha
        self.beta = beta
        self.k = k
        self.within_channel = within_channel

    def forward(self, x: Array) -> Array:
        return x * self.scale(x) ** -self.beta

    def backward(self, grad_out: ArrayOrTensor, x: ArrayOrTensor, y: ArrayOrTensor) -> Gradients:
        return self.gradient(grad_out, x, y, self.scale(x))

    def scale(self, x: ArrayOrTensor) -> ArrayOrTensor:
        """s of the formula."""
        return self.k + self.alpha * self.mean_of_neighbours(x * x)

    def gradient(self, grad_out: ArrayOrTensor, x: ArrayOrTensor, y: ArrayOrTensor, s: ArrayOrTensor) -> ArrayOrTensor:
        """dL/dx of the formula."""
        shared = self.mean_of_neighbours(grad_out * y / s, turned=True)
        return grad_out * s**-self.beta - (2 * self.alpha * self.beta) * x * shared

    def mean_of_neighbours(self, a: ArrayOrTensor, turned: bool = False) -> ArrayOrTensor:
        """The mean over each place's neighbours, or (`turned`) over the places that have it for one. Outside is 0."""
        size = self.size
        if self.within_channel:
            return avg_pool2d(a, size, stride=1, padding=size // 2)
        samples, channels, *places = a.shape  # as images whose height is the channels, and a window of size x 1
        images = reshape(a, (samples, 1, channels, math.prod(places)))
        average = avg_pool2d(images, (size, 1), stride=1, padding=(size // 2, 0))
        if size % 2 == 0:  # such a window has a position too many
            average = average[:, :, 1:] if turned else average[:, :, :channels]
        return reshape(average, a.shape)


def local_response_norm(
    x: TensorLike, size: int, alpha: float = 1e-4, beta: float = 0.75, k: float = 1.0, within_channel: bool = False
) -> ArrayOrTensor:
    """x (k + alpha a)^-beta with a the mean of x^2 over `size` neighbours.

    The neighbours of a number are the channels beside it, at the same place (Krizhevsky et al., NIPS 2012, section 3.3;
    their alpha is alpha / size here, as in PyTorch and Caffe); or `within_channel` the size x size places around it
    (Caffe's WITHIN_CHANNEL). Beyond the first and the last there are zeros, which count in the mean.

    Where a square is too large for float32, of 1e20, it is computed in float64. (Not on a GPU, where looking for such
    numbers would mean waiting; in float64 squares end at 1e308.)

    Args:
        x: (N, C, L, ...); within channels (N, C, H, W).
        size: how many channels (if even, one more before than after), or the side of the window, which must be odd.

    Raises:
        ShapeError: x has other axes.
        ValueError: size is no such number.
    """
    yes_or_no(within_channel, "local_response_norm: within_channel")
    ndim = getattr(x, "ndim", 0)
    if ndim < 3 or (within_channel and ndim != 4):
        axes = "(N, C, H, W)" if within_channel else "(N, C, L, ...)"
        raise ShapeError(f"local_response_norm: expected x of shape {axes}; got {describe(x)}")
    neighbours(size, within_channel, "local_response_norm")
    if x.size == 0:
        return x
    op, wide = LocalResponse(size, alpha, beta, k, within_channel), widened(x)
    if _squares_are_too_large(wide):
        return narrowed(astype(op(astype(wide, np.float64)), wide.dtype), x)
    return narrowed(op(wide), x)


def _squares_are_too_large(x: TensorLike) -> bool:
    """Whether x has numbers at hand whose squares add up to more than its dtype, float32, holds."""
    values = raw(x)
    return at_hand(values) and values.dtype == np.float32 and bool(max(values.max(), -values.min()) > 1e17)


def neighbours(size: Any, within_channel: bool, name: str) -> int:
    """The `size` of local_response_norm: a whole number, and odd within channels."""
    if whole(size, f"{name}: size") % 2 == 0 and within_channel:
        raise ValueError(f"{name}: size: expected an odd number within channels, to be centred; got {size}")
    return int(size)
