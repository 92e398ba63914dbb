"""Linear: the dense layer."""

from __future__ import annotations

from minidl import functional as F
from minidl.checks import whole, yes_or_no
from minidl.nn.display import options_text
from minidl.nn.init import Initializer, initialize
from minidl.nn.module import Module
from minidl.nn.parameter import Parameter
from minidl.settings import Setting
from minidl.tensors.creation import zeros
from minidl.types import TensorLike


class Linear(Module):
    """y = x W^T + b, the dense (fully connected) layer.

    Attributes:
        weight: (out_features, in_features).
        bias: (out_features,), or None.

    Args:
        in_features, out_features: the lengths of the last axis of x and of y.
        bias: whether there is a bias b.
        init: an initialiser for the weight, such as `nn.init.xavier_caffe_`; the bias then starts at 0. Without it both
            start as in PyTorch: U(-b, b) with b = 1 / sqrt(in_features).

    Raises:
        ValueError: a size is no whole number of at least 1.
        ShapeError, DTypeError: (in the forward) x does not fit.
    """

    weight: Parameter
    bias: Parameter | None
    in_features = Setting(whole)
    out_features = Setting(whole)

    def __init__(self, in_features: int, out_features: int, bias: bool = True, init: Initializer | None = None) -> None:
        super().__init__()
        self.in_features = in_features
        self.out_features = out_features
        self.weight = Parameter(zeros(out_features, in_features))
        self.bias = Parameter(zeros(out_features)) if yes_or_no(bias, "Linear: bias") else None
        initialize(self.weight, self.bias, init)

    def forward(self, x: TensorLike) -> TensorLike:
        return F.linear(x, self.weight, self.bias)

    def extra_repr(self) -> str:
        return options_text(self, f"{self.in_features}->{self.out_features}")
