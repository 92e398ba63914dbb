"""Layers that pool into a given number of windows: AdaptiveAvgPool1d/2d, AdaptiveMaxPool1d/2d, GlobalAvgPool."""

from __future__ import annotations

from collections.abc import Callable
from typing import ClassVar

from minidl import functional as F
from minidl.functional.adaptive_pooling import bins
from minidl.nn.module import Module
from minidl.types import ArrayOrTensor, TensorLike


class AdaptivePooling(Module):
    """Pooling into `output_size` windows, whatever the input's size."""

    axes: ClassVar[int]
    pool: ClassVar[Callable[..., ArrayOrTensor]]

    def __init__(self, output_size: int | tuple[int | None, ...] | None) -> None:
        super().__init__()
        bins(output_size, (1,) * self.axes, f"{type(self).__name__}: output_size")  # refuse now what fits no input
        self.output_size = output_size

    def forward(self, x: TensorLike) -> ArrayOrTensor:
        return self.pool(x, self.output_size)

    def extra_repr(self) -> str:
        return f"output_size={self.output_size}"


class AdaptiveAvgPool1d(AdaptivePooling):
    """The means of `output_size` windows that cover sequences (N, C, L)."""

    axes, pool = 1, staticmethod(F.adaptive_avg_pool1d)


class AdaptiveAvgPool2d(AdaptivePooling):
    """The means of OH * OW windows that cover images (N, C, H, W); None in place of one keeps the image's length."""

    axes, pool = 2, staticmethod(F.adaptive_avg_pool2d)


class AdaptiveMaxPool1d(AdaptivePooling):
    """The maxima of `output_size` windows that cover sequences (N, C, L)."""

    axes, pool = 1, staticmethod(F.adaptive_max_pool1d)


class AdaptiveMaxPool2d(AdaptivePooling):
    """The maxima of OH * OW windows that cover images (N, C, H, W); output_size as for `AdaptiveAvgPool2d`."""

    axes, pool = 2, staticmethod(F.adaptive_max_pool2d)


class GlobalAvgPool(Module):
    """The mean over all places: (N, C, L) or (N, C, H, W) becomes (N, C)."""

    def forward(self, x: TensorLike) -> ArrayOrTensor:
        return F.global_avg_pool(x)
