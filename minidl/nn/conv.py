"""The convolution layers Conv1d and Conv2d; their transposes are in `conv_transpose.py`."""

from __future__ import annotations

from collections.abc import Callable
from typing import ClassVar

from minidl import functional as F
from minidl.checks import whole, yes_or_no
from minidl.functional.geometry import Size, borders, per_axis
from minidl.nn.display import options_text, sizes_text
from minidl.nn.init import Initializer, initialize
from minidl.nn.module import Module
from minidl.nn.parameter import Parameter
from minidl.settings import Setting
from minidl.tensors.creation import zeros
from minidl.types import ArrayOrTensor, TensorLike


class Convolution(Module):
    """What the layers share: a window that moves over `axes` spatial axes, and a weight and a bias for it."""

    axes: ClassVar[int]
    convolve: ClassVar[Callable[..., ArrayOrTensor]]
    transposed: ClassVar[bool] = False
    weight: Parameter
    bias: Parameter | None
    in_channels = Setting(whole)
    out_channels = Setting(whole)
    groups = Setting(whole)

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: Size,
        stride: Size = 1,
        padding: Size | str = 0,
        dilation: Size = 1,
        groups: int = 1,
        bias: bool = True,
        init: Initializer | None = None,
    ) -> None:
        super().__init__()
        kind, n = type(self).__name__, self.axes
        self.in_channels = in_channels
        self.out_channels = out_channels
        self.kernel_size = per_axis(kernel_size, n, f"{kind}: kernel_size", 1)
        self.stride = per_axis(stride, n, f"{kind}: stride", 1)
        self.padding = borders(padding, n, self.stride, f"{kind}: padding")
        self.dilation = per_axis(dilation, n, f"{kind}: dilation", 1)
        self.groups = groups
        if in_channels % groups or out_channels % groups:
            raise ValueError(f"{kind}: groups={groups} must divide the channels; got {in_channels}->{out_channels}")
        first, second = (in_channels, out_channels) if self.transposed else (out_channels, in_channels)
        self.weight = Parameter(zeros(first, second // groups, *self.kernel_size))
        self.bias = Parameter(zeros(out_channels)) if yes_or_no(bias, f"{kind}: bias") else None
        initialize(self.weight, self.bias, init)

    def forward(self, x: TensorLike) -> ArrayOrTensor:
        return self.convolve(x, self.weight, self.bias, self.stride, self.padding, self.dilation, self.groups)

    def extra_repr(self) -> str:
        return options_text(self, f"{self.in_channels}->{self.out_channels}", sizes_text(self.kernel_size))


class Conv1d(Convolution):
    """1-d convolution of sequences (N, C, L) into (N, F, OL): as `Conv2d`, with one number for two.

    Attributes:
        weight: (F, C/groups, K).
        bias: (F,), or None.
    """

    axes, convolve = 1, staticmethod(F.conv1d)


class Conv2d(Convolution):
    """2-d convolution of images (N, C, H, W) into (N, F, OH, OW), OH = (H + 2p - d (KH - 1) - 1) // s + 1.

    s, p, d are stride, padding (with zeros) and dilation; the formula is at `functional.conv2d`.

    Attributes:
        weight: (F, C/groups, KH, KW).
        bias: (F,), or None.

    Args:
        in_channels, out_channels: C and F.
        kernel_size, stride, padding, dilation: a number, or one for height and one for width. `padding` may be
            "valid", which is 0, or "same": the output is as large as the input (only for stride 1).
        groups: the channels are cut into this many groups, each with filters of its own; it must divide C and F.
        bias: whether there is one.
        init: an initialiser for the weight, such as `nn.init.he_normal_`; the bias then starts at 0. Without it both
            start as PyTorch's: U(-b, b) with b = 1 / sqrt(C/groups * KH * KW).

    Raises:
        ValueError, ShapeError: a number is out of range, or groups does not divide the channels.
    """

    axes, convolve = 2, staticmethod(F.conv2d)
