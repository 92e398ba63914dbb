"""SinusoidalPositions and LearnedPositions: attention does not know in which order its inputs are, so they say it."""

from __future__ import annotations

import math

import numpy as np

from minidl import backend
from minidl.checks import whole
from minidl.errors import ShapeError, describe
from minidl.nn import init
from minidl.nn.display import options_text
from minidl.nn.module import Module
from minidl.nn.parameter import Parameter
from minidl.tensors.array import DEFAULT_DTYPE
from minidl.tensors.creation import tensor, zeros
from minidl.types import Array, TensorLike


class Positions(Module):
    """What both have in common: a vector for each position, added to the vector that is there."""

    def __init__(self, features: int, max_length: int, batch_first: bool) -> None:
        super().__init__()
        self.features = whole(features, f"{type(self).__name__}: features")
        self.max_length = whole(max_length, f"{type(self).__name__}: max_length")
        self.batch_first = bool(batch_first)

    def vectors(self) -> TensorLike:
        """(max_length, features), row t for position t."""
        raise TypeError("Positions is abstract")

    def forward(self, x: TensorLike) -> TensorLike:
        ndim = getattr(x, "ndim", 0)
        time = 1 if self.batch_first and ndim == 3 else 0
        if ndim not in (2, 3) or x.shape[-1] != self.features or x.shape[time] > self.max_length:
            axes = "(N, T, {})" if self.batch_first else "(T, N, {})"
            raise ShapeError(
                f"{type(self).__name__}: expected x {axes.format(self.features)} or (T, {self.features}), with T at "
                f"most {self.max_length}; got {describe(x)}"
            )
        vectors = self.vectors()[: x.shape[time]]
        return x + (vectors[:, None] if ndim == 3 and not self.batch_first else vectors)

    def extra_repr(self) -> str:
        return options_text(self, f"{self.max_length}, {self.features}")


class SinusoidalPositions(Positions):
    """x_t + p_t, where p_t are sines and cosines of the position t, of wavelengths from 2 pi to 10,000 times that.

        p_t[2i] = sin(t / 10000^(2i / E)),  p_t[2i + 1] = cos(t / 10000^(2i / E))

    Nothing is learned. For each distance d, p_{t+d} is the same rotation of p_t whatever t is, so that attention can
    learn to look at what is d places away (Vaswani et al., arXiv:1706.03762, section 3.5).

        embed = nn.Sequential(nn.Embedding(1000, 64), nn.SinusoidalPositions(64, batch_first=True))

    Attributes:
        table: (max_length, features), a buffer.

    Args:
        features: E, the length of the vectors.
        max_length: of how many positions the vectors are kept.
        batch_first: x is (N, T, E), samples first. If it is False it is (T, N, E), as for `nn.MultiheadAttention`.

    Raises:
        ValueError: a size is no whole number of at least 1.
        ShapeError: (in the forward) x has other axes, or more positions.
    """

    table: TensorLike

    def __init__(self, features: int, max_length: int = 5000, batch_first: bool = False) -> None:
        super().__init__(features, max_length, batch_first)
        self.register_buffer("table", tensor(sinusoids(max_length, features), device=backend.current()))

    def vectors(self) -> TensorLike:
        return self.table


def sinusoids(length: int, features: int) -> Array:
    """The sines and cosines of SinusoidalPositions, (length, features)."""
    pairs = np.arange(features) // 2
    angles = np.arange(length)[:, None] * np.exp(-math.log(10_000) * 2 * pairs / features)
    return np.where(np.arange(features) % 2 == 0, np.sin(angles), np.cos(angles)).astype(DEFAULT_DTYPE)


class LearnedPositions(Positions):
    """x_t + p_t, where p_t is a learned vector for each position t, as in GPT-2 and BERT.

    Attributes:
        weight: (max_length, features), drawn from N(0, 0.02^2) at first, as in GPT-2.

    Args:
        features: E, the length of the vectors.
        max_length: how many positions there are: no x can have more.
        batch_first: x is (N, T, E), samples first. If it is False it is (T, N, E), as for `nn.MultiheadAttention`.

    Raises:
        ValueError: a size is no whole number of at least 1.
        ShapeError: (in the forward) x has other axes, or more positions.
    """

    weight: Parameter

    def __init__(self, features: int, max_length: int, batch_first: bool = False) -> None:
        super().__init__(features, max_length, batch_first)
        self.weight = init.normal_(Parameter(zeros(max_length, features)), std=0.02)

    def vectors(self) -> TensorLike:
        return self.weight
