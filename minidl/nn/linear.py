"""Linear: the dense layer; and how layers make their first weights."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from minidl import backend
from minidl import functional as F
from minidl.holder import DEFAULT_DTYPE
from minidl.nn import init as initialisers
from minidl.nn.module import Module
from minidl.nn.parameter import Parameter

Init = Callable[[Parameter], Any]


class Linear(Module):
    """y = x W^T + b, the dense (fully connected) layer.

    Attributes:
        weight: (out_features, in_features).
        bias: (out_features,), or None.

    Args:
        in_features, out_features: lengths of the last axis of x and of y.
        bias: whether there is one.
        init: an initialiser for the weight, such as `nn.init.xavier_caffe_`; the bias then starts at 0. Without it both
            start as PyTorch's: U(-b, b) with b = 1 / sqrt(in_features).
    """

    weight: Parameter
    bias: Parameter | None

    def __init__(self, in_features: int, out_features: int, bias: bool = True, init: Init | None = None) -> None:
        super().__init__()
        self.in_features = whole(in_features, "Linear: in_features")
        self.out_features = whole(out_features, "Linear: out_features")
        self.weight = Parameter(blank(out_features, in_features))
        self.bias = Parameter(blank(out_features)) if bias else None
        start(self.weight, self.bias, init)

    def forward(self, x: Any) -> Any:
        return F.linear(x, self.weight, self.bias)

    def extra_repr(self) -> str:
        return f"{self.in_features}->{self.out_features}" + ("" if self.bias is not None else ", no bias")


def blank(*shape: int) -> Any:
    """Zeros of `shape` on the current backend, to be initialised."""
    return backend.to_device(np.zeros(shape, DEFAULT_DTYPE), backend.current())


def start(weight: Parameter, bias: Parameter | None, init: Init | None) -> None:
    """Initialise a layer: with `init` its weight, the bias staying 0; without, as PyTorch."""
    if init is None:
        initialisers.layer_default_(weight, bias)
    elif callable(init):
        init(weight)
    else:
        raise TypeError(f"expected init as a function of the weight, such as nn.init.he_normal_; got {init!r}")


def whole(value: int, name: str, minimum: int = 1) -> int:
    """`value` if it is a whole number of at least `minimum`."""
    if isinstance(value, bool) or not isinstance(value, (int, np.integer)) or value < minimum:
        raise ValueError(f"{name}: expected a whole number of at least {minimum}; got {value!r}")
    return int(value)
