"""Conv2d: the convolution layer."""

from __future__ import annotations

from typing import Any

from minidl import functional as F
from minidl.functional.conv import pair
from minidl.nn.linear import Init, blank, start, whole
from minidl.nn.module import Module
from minidl.nn.parameter import Parameter


class Conv2d(Module):
    """2-d convolution of images (N, C, H, W) into (N, F, OH, OW), OH = (H + 2p - d (KH - 1) - 1) // s + 1.

    s, p, d are stride, padding (with zeros) and dilation; the formula is at `functional.conv2d`.

    Attributes:
        weight: (F, C/groups, KH, KW).
        bias: (F,), or None.

    Args:
        in_channels, out_channels: C and F.
        kernel_size, stride, padding, dilation: a number, or one for height and one for width.
        groups: the channels are cut into this many groups, each with filters of its own; it must divide C and F.
        bias: whether there is one.
        init: an initialiser for the weight, such as `nn.init.he_normal_`; the bias then starts at 0. Without it both
            start as PyTorch's: U(-b, b) with b = 1 / sqrt(C/groups * KH * KW).

    Raises:
        ValueError, ShapeError: a number is out of range, or groups does not divide the channels.
    """

    weight: Parameter
    bias: Parameter | None

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: int | tuple[int, int],
        stride: int | tuple[int, int] = 1,
        padding: int | tuple[int, int] = 0,
        dilation: int | tuple[int, int] = 1,
        groups: int = 1,
        bias: bool = True,
        init: Init | None = None,
    ) -> None:
        super().__init__()
        self.in_channels = whole(in_channels, "Conv2d: in_channels")
        self.out_channels = whole(out_channels, "Conv2d: out_channels")
        self.kernel_size = pair(kernel_size, "Conv2d: kernel_size", 1)
        self.stride = pair(stride, "Conv2d: stride", 1)
        self.padding = pair(padding, "Conv2d: padding", 0)
        self.dilation = pair(dilation, "Conv2d: dilation", 1)
        self.groups = whole(groups, "Conv2d: groups")
        if in_channels % groups or out_channels % groups:
            raise ValueError(f"Conv2d: groups={groups} must divide the channels; got {in_channels}->{out_channels}")
        self.weight = Parameter(blank(out_channels, in_channels // groups, *self.kernel_size))
        self.bias = Parameter(blank(out_channels)) if bias else None
        start(self.weight, self.bias, init)

    def forward(self, x: Any) -> Any:
        return F.conv2d(x, self.weight, self.bias, self.stride, self.padding, self.dilation, self.groups)

    def extra_repr(self) -> str:
        parts = [f"{self.in_channels}->{self.out_channels}", times(self.kernel_size)]
        parts += [f"stride {times(self.stride)}"] if self.stride != (1, 1) else []
        parts += [f"padding {times(self.padding)}"] if self.padding != (0, 0) else []
        parts += [f"dilation {times(self.dilation)}"] if self.dilation != (1, 1) else []
        parts += [f"{self.groups} groups"] if self.groups != 1 else []
        parts += ["no bias"] if self.bias is None else []
        return ", ".join(parts)


def times(size: tuple[int, int]) -> str:
    """'3x3' for (3, 3)."""
    return f"{size[0]}x{size[1]}"
