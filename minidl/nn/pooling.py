"""MaxPool2d and AvgPool2d."""

from __future__ import annotations

from typing import Any

from minidl import functional as F
from minidl.functional.conv import pair
from minidl.nn.conv import times
from minidl.nn.module import Module

Size = int | tuple[int, int]


class _Pool2d(Module):
    """The window that both kinds of pooling move over the image."""

    def __init__(self, kernel_size: Size, stride: Size | None, padding: Size, ceil_mode: bool) -> None:
        super().__init__()
        kind = type(self).__name__
        self.kernel_size = pair(kernel_size, f"{kind}: kernel_size", 1)
        self.stride = self.kernel_size if stride is None else pair(stride, f"{kind}: stride", 1)
        self.padding = pair(padding, f"{kind}: padding", 0)
        self.ceil_mode = ceil_mode

    def extra_repr(self) -> str:
        parts = [times(self.kernel_size)]
        parts += [f"stride {times(self.stride)}"] if self.stride != self.kernel_size else []
        parts += [f"padding {times(self.padding)}"] if self.padding != (0, 0) else []
        parts += ["ceil"] if self.ceil_mode else []
        return ", ".join(parts)


class MaxPool2d(_Pool2d):
    """The largest number in each window of images (N, C, H, W).

    Args:
        kernel_size, stride, padding: a number, or one for height and one for width; stride None means kernel_size.
        ceil_mode: round the output's size up instead of down, as Caffe did.
    """

    def __init__(
        self, kernel_size: Size, stride: Size | None = None, padding: Size = 0, ceil_mode: bool = False
    ) -> None:
        super().__init__(kernel_size, stride, padding, ceil_mode)

    def forward(self, x: Any) -> Any:
        return F.max_pool2d(x, self.kernel_size, self.stride, self.padding, self.ceil_mode)


class AvgPool2d(_Pool2d):
    """The mean of each window of images (N, C, H, W).

    Args:
        kernel_size, stride, padding: a number, or one for height and one for width; stride None means kernel_size.
        ceil_mode: round the output's size up instead of down, as Caffe did.
        count_include_pad: whether the zeros of the padding count in the mean.
    """

    def __init__(
        self,
        kernel_size: Size,
        stride: Size | None = None,
        padding: Size = 0,
        ceil_mode: bool = False,
        count_include_pad: bool = True,
    ) -> None:
        super().__init__(kernel_size, stride, padding, ceil_mode)
        self.count_include_pad = count_include_pad

    def forward(self, x: Any) -> Any:
        return F.avg_pool2d(x, self.kernel_size, self.stride, self.padding, self.ceil_mode, self.count_include_pad)
