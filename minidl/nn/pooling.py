"""The pooling layers MaxPool1d, MaxPool2d, AvgPool1d and AvgPool2d."""

from __future__ import annotations

from collections.abc import Callable
from typing import ClassVar

from minidl import functional as F
from minidl.checks import yes_or_no
from minidl.functional.geometry import Size, pooling_options
from minidl.nn.display import options_text, sizes_text
from minidl.nn.module import Module
from minidl.settings import Setting
from minidl.types import ArrayOrTensor, TensorLike


class Pooling(Module):
    """The window that pooling moves over `axes` spatial axes."""

    axes: ClassVar[int]
    pool: ClassVar[Callable[..., ArrayOrTensor]]

    def __init__(
        self, kernel_size: Size, stride: Size | None = None, padding: Size = 0, ceil_mode: bool = False
    ) -> None:
        super().__init__()
        checked = pooling_options(self.axes, kernel_size, stride, padding, ceil_mode, f"{type(self).__name__}: ")
        self.kernel_size, self.stride, self.padding = checked
        self.ceil_mode = ceil_mode

    def forward(self, x: TensorLike) -> ArrayOrTensor:
        return self.pool(x, self.kernel_size, self.stride, self.padding, self.ceil_mode)

    def extra_repr(self) -> str:
        shown = options_text(self, sizes_text(self.kernel_size))
        return shown.replace(f", stride={sizes_text(self.stride)}", "") if self.stride == self.kernel_size else shown


class MaxPool1d(Pooling):
    """The largest number in each window of sequences (N, C, L). Args: as for `MaxPool2d`, with one number for two."""

    axes, pool = 1, staticmethod(F.max_pool1d)


class MaxPool2d(Pooling):
    """The largest number in each window of images (N, C, H, W).

    Args:
        kernel_size, stride, padding: a number, or one for height and one for width; stride None means kernel_size.
        ceil_mode: round the output's size up instead of down, as Caffe did.
    """

    axes, pool = 2, staticmethod(F.max_pool2d)


class AveragePooling(Pooling):
    """Whether the padding counts."""

    count_include_pad = Setting(yes_or_no)

    def __init__(
        self,
        kernel_size: Size,
        stride: Size | None = None,
        padding: Size = 0,
        ceil_mode: bool = False,
        count_include_pad: bool = True,
    ) -> None:
        super().__init__(kernel_size, stride, padding, ceil_mode)
        self.count_include_pad = yes_or_no(count_include_pad, f"{type(self).__name__}: count_include_pad")

    def forward(self, x: TensorLike) -> ArrayOrTensor:
        return self.pool(x, self.kernel_size, self.stride, self.padding, self.ceil_mode, self.count_include_pad)


class AvgPool1d(AveragePooling):
    """The mean of each window of sequences (N, C, L). Args: as for `AvgPool2d`, with one number for two."""

    axes, pool = 1, staticmethod(F.avg_pool1d)


class AvgPool2d(AveragePooling):
    """The mean of each window of images (N, C, H, W).

    Args: as for `MaxPool2d`, and
        count_include_pad: whether the zeros of the padding count in the mean.
    """

    axes, pool = 2, staticmethod(F.avg_pool2d)
