"""Modules that change the shape and no number: Flatten, Reshape; and Identity, which changes nothing at all."""

from __future__ import annotations

import math
from typing import Any

from minidl import functional as F
from minidl.checks import whole
from minidl.errors import ShapeError, describe
from minidl.nn.module import Module
from minidl.settings import Setting
from minidl.types import TensorLike


class Flatten(Module):
    """Joins the axes `start_dim` to `end_dim` into one: (N, C, H, W) becomes (N, C*H*W), which a dense layer takes."""

    start_dim = Setting(whole, -math.inf)
    end_dim = Setting(whole, -math.inf)

    def __init__(self, start_dim: int = 1, end_dim: int = -1) -> None:
        super().__init__()
        self.start_dim = start_dim
        self.end_dim = end_dim

    def forward(self, x: TensorLike) -> TensorLike:
        return F.flatten(x, self.start_dim, self.end_dim)


def lengths(value: Any, name: str) -> tuple[int, ...]:
    """Lengths of axes: whole numbers of at least 1, of which a single one may stand alone."""
    return tuple(whole(n, name) for n in (value if isinstance(value, (tuple, list)) else (value,)))


class Reshape(Module):
    """Gives each sample another shape: (N, ...) becomes (N, *shape), for example rows of 64 pixels images (1, 8, 8).

    Raises:
        ShapeError: (in the forward) a sample has another number of elements.
    """

    shape = Setting(lengths)

    def __init__(self, *shape: int) -> None:
        super().__init__()
        self.shape = shape

    def forward(self, x: TensorLike) -> TensorLike:
        if x.ndim < 1 or math.prod(x.shape[1:]) != math.prod(self.shape):
            raise ShapeError(
                f"expected samples of {math.prod(self.shape)} elements, to be seen as {self.shape}; got {describe(x)}"
            )
        return F.reshape(x, (x.shape[0], *self.shape))

    def extra_repr(self) -> str:
        return "to " + "x".join(str(n) for n in self.shape)


class Identity(Module):
    """Returns x itself: a placeholder for a layer. It takes any arguments, as in PyTorch, and uses none."""

    def __init__(self, *_: Any, **__: Any) -> None:
        super().__init__()

    def forward(self, x: TensorLike) -> TensorLike:
        return x
