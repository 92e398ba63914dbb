"""The transposed convolution layers ConvTranspose1d and ConvTranspose2d."""

from __future__ import annotations

from minidl import functional as F
from minidl.functional.conv_transpose import extra_border
from minidl.functional.geometry import Size, Sizes, per_axis
from minidl.nn.conv import Convolution
from minidl.nn.init import Initializer
from minidl.types import ArrayOrTensor, TensorLike


class TransposedConvolution(Convolution):
    """PyTorch's order of arguments, and output_padding."""

    transposed = True
    padding: Sizes

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: Size,
        stride: Size = 1,
        padding: Size = 0,
        output_padding: Size = 0,
        groups: int = 1,
        bias: bool = True,
        dilation: Size = 1,
        init: Initializer | None = None,
    ) -> None:
        kind = type(self).__name__
        padding = per_axis(padding, self.axes, f"{kind}: padding", 0)  # a number: there is no "same" here
        super().__init__(in_channels, out_channels, kernel_size, stride, padding, dilation, groups, bias, init)
        self.output_padding = extra_border(output_padding, self.stride, self.dilation, f"{kind}: output_padding")

    def forward(self, x: TensorLike) -> ArrayOrTensor:
        window = self.stride, self.padding, self.output_padding, self.groups, self.dilation
        return self.convolve(x, self.weight, self.bias, *window)


class ConvTranspose1d(TransposedConvolution):
    """Transposed convolution of sequences (N, C, L) into (N, F, OL): as `ConvTranspose2d`.

    Attributes:
        weight: (C, F/groups, K).
        bias: (F,), or None.
    """

    axes, convolve = 1, staticmethod(F.conv_transpose1d)


class ConvTranspose2d(TransposedConvolution):
    """Transposed convolution of images (N, C, H, W) into (N, F, OH, OW), OH = (H-1) s - 2p + d (KH-1) + o + 1.

    It enlarges an image s times; o is output_padding, and the meaning of all at `functional.conv_transpose2d`.

    Attributes:
        weight: (C, F/groups, KH, KW).
        bias: (F,), or None.

    Args, Raises: as for `Conv2d`, but padding is of numbers only. Without `init` both parameters start in U(-b, b) with
        b = 1 / sqrt(F/groups * KH * KW), as PyTorch's do.
    """

    axes, convolve = 2, staticmethod(F.conv_transpose2d)
