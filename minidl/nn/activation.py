"""Activation functions as modules; their formulas are beside the functions in `minidl.functional`."""

from __future__ import annotations

from typing import Any

from minidl import functional as F
from minidl.checks import choice, limits, number, whole
from minidl.functional.gated import FORMS
from minidl.nn.display import options_text
from minidl.nn.module import Module
from minidl.nn.parameter import Parameter
from minidl.tensors.creation import full


class _Activation(Module):
    """One that has options, and shows them."""

    def extra_repr(self) -> str:
        return options_text(self)


class ReLU(Module):
    """max(x, 0), elementwise."""

    def forward(self, x: Any) -> Any:
        return F.relu(x)


class LeakyReLU(_Activation):
    """x where x > 0, else negative_slope * x, elementwise."""

    def __init__(self, negative_slope: float = 0.01) -> None:
        super().__init__()
        self.negative_slope = number(negative_slope, "LeakyReLU: negative_slope")

    def forward(self, x: Any) -> Any:
        return F.leaky_relu(x, self.negative_slope)


class PReLU(_Activation):
    """x where x > 0, else weight * x, elementwise: a LeakyReLU that learns its slope.

    Attributes:
        weight: (num_parameters,).

    Args:
        num_parameters: 1 for one slope, or C for one for each channel of x (N, C, ...).
        init: the slopes at the start.
    """

    weight: Parameter

    def __init__(self, num_parameters: int = 1, init: float = 0.25) -> None:
        super().__init__()
        self.num_parameters = whole(num_parameters, "PReLU: num_parameters")
        self.weight = Parameter(full(num_parameters, number(init, "PReLU: init")))

    def forward(self, x: Any) -> Any:
        return F.prelu(x, self.weight)


class ELU(_Activation):
    """x where x > 0, else alpha * (exp(x) - 1), elementwise."""

    def __init__(self, alpha: float = 1.0) -> None:
        super().__init__()
        self.alpha = number(alpha, "ELU: alpha")

    def forward(self, x: Any) -> Any:
        return F.elu(x, self.alpha)


class SELU(Module):
    """1.0507 * elu(x, 1.6733), elementwise; its weights start from `nn.init.lecun_normal_`."""

    def forward(self, x: Any) -> Any:
        return F.selu(x)


class SiLU(Module):
    """x * sigmoid(x), elementwise."""

    def forward(self, x: Any) -> Any:
        return F.silu(x)


class GELU(_Activation):
    """x times the cumulative distribution function of the standard normal at x: see `functional.gelu`."""

    def __init__(self, approximate: str = "none") -> None:
        super().__init__()
        self.approximate = choice(approximate, "GELU: approximate", FORMS)

    def forward(self, x: Any) -> Any:
        return F.gelu(x, self.approximate)


class Hardtanh(_Activation):
    """x limited to [min_val, max_val], elementwise."""

    def __init__(self, min_val: float = -1.0, max_val: float = 1.0) -> None:
        super().__init__()
        self.min_val, self.max_val = limits(min_val, max_val, "Hardtanh")

    def forward(self, x: Any) -> Any:
        return F.hardtanh(x, self.min_val, self.max_val)


class Sigmoid(Module):
    """1 / (1 + exp(-x)), elementwise."""

    def forward(self, x: Any) -> Any:
        return F.sigmoid(x)


class Tanh(Module):
    """The hyperbolic tangent, elementwise."""

    def forward(self, x: Any) -> Any:
        return F.tanh(x)


class Softsign(Module):
    """x / (1 + |x|), elementwise."""

    def forward(self, x: Any) -> Any:
        return F.softsign(x)


class Softplus(Module):
    """ln(1 + exp(x)), elementwise."""

    def forward(self, x: Any) -> Any:
        return F.softplus(x)


class Softmax(_Activation):
    """exp(x) over its sum along `axis`. A model that is trained with cross_entropy ends without it."""

    def __init__(self, axis: int = -1) -> None:
        super().__init__()
        self.axis = axis

    def forward(self, x: Any) -> Any:
        return F.softmax(x, self.axis)


class LogSoftmax(_Activation):
    """ln softmax(x) along `axis`."""

    def __init__(self, axis: int = -1) -> None:
        super().__init__()
        self.axis = axis

    def forward(self, x: Any) -> Any:
        return F.log_softmax(x, self.axis)
