"""Activation functions as modules. Formulas, errors and sources are at the functions in `minidl.functional`."""

from __future__ import annotations

import math

from minidl import functional as F
from minidl.checks import choice, limits, number, whole
from minidl.functional.gated import FORMS
from minidl.nn.display import options_text
from minidl.nn.module import Module
from minidl.nn.parameter import Parameter
from minidl.settings import Setting
from minidl.tensors.creation import full
from minidl.types import TensorLike


class _Activation(Module):
    """An activation function with options, which it shows in its repr."""

    def extra_repr(self) -> str:
        return options_text(self)


class ReLU(Module):
    """max(x, 0), elementwise."""

    def forward(self, x: TensorLike) -> TensorLike:
        return F.relu(x)


class LeakyReLU(_Activation):
    """x where x > 0, else negative_slope * x, elementwise."""

    negative_slope = Setting(number)

    def __init__(self, negative_slope: float = 0.01) -> None:
        super().__init__()
        self.negative_slope = negative_slope

    def forward(self, x: TensorLike) -> TensorLike:
        return F.leaky_relu(x, self.negative_slope)


class PReLU(_Activation):
    """x where x > 0, else weight * x, elementwise: a LeakyReLU that learns its negative slope (He et al. 2015).

    Attributes:
        weight: (num_parameters,).

    Args:
        num_parameters: 1 for one slope, or C for one for each channel of x (N, C, ...).
        init: the first value of the slopes.
    """

    weight: Parameter
    num_parameters = Setting(whole)

    def __init__(self, num_parameters: int = 1, init: float = 0.25) -> None:
        super().__init__()
        self.num_parameters = num_parameters
        self.weight = Parameter(full(num_parameters, number(init, "PReLU: init")))

    def forward(self, x: TensorLike) -> TensorLike:
        return F.prelu(x, self.weight)


class ELU(_Activation):
    """x where x > 0, else alpha * (exp(x) - 1), elementwise."""

    alpha = Setting(number)

    def __init__(self, alpha: float = 1.0) -> None:
        super().__init__()
        self.alpha = alpha

    def forward(self, x: TensorLike) -> TensorLike:
        return F.elu(x, self.alpha)


class SELU(Module):
    """1.0507 * elu(x, 1.6733), elementwise. The layers before it shall start from `nn.init.lecun_normal_`."""

    def forward(self, x: TensorLike) -> TensorLike:
        return F.selu(x)


class SiLU(Module):
    """x * sigmoid(x), elementwise."""

    def forward(self, x: TensorLike) -> TensorLike:
        return F.silu(x)


class GELU(_Activation):
    """x times the cumulative distribution function of the standard normal at x: see `functional.gelu`."""

    approximate = Setting(choice, FORMS)

    def __init__(self, approximate: str = "none") -> None:
        super().__init__()
        self.approximate = approximate

    def forward(self, x: TensorLike) -> TensorLike:
        return F.gelu(x, self.approximate)


class Hardtanh(_Activation):
    """x limited to [min_val, max_val], elementwise."""

    min_val = Setting(number)
    max_val = Setting(number)

    def __init__(self, min_val: float = -1.0, max_val: float = 1.0) -> None:
        super().__init__()
        self.min_val = min_val
        self.max_val = max_val
        self.check_settings()

    def check_settings(self) -> None:
        """Refuse a lower limit above the upper one."""
        limits(self.min_val, self.max_val, type(self).__name__)

    def forward(self, x: TensorLike) -> TensorLike:
        return F.hardtanh(x, self.min_val, self.max_val)


class Sigmoid(Module):
    """1 / (1 + exp(-x)), elementwise."""

    def forward(self, x: TensorLike) -> TensorLike:
        return F.sigmoid(x)


class Tanh(Module):
    """The hyperbolic tangent, elementwise."""

    def forward(self, x: TensorLike) -> TensorLike:
        return F.tanh(x)


class Softsign(Module):
    """x / (1 + |x|), elementwise."""

    def forward(self, x: TensorLike) -> TensorLike:
        return F.softsign(x)


class Softplus(Module):
    """ln(1 + exp(x)), elementwise."""

    def forward(self, x: TensorLike) -> TensorLike:
        return F.softplus(x)


class Softmax(_Activation):
    """exp(x) / sum(exp(x)) along the axis `dim`. Not needed before cross_entropy, which takes raw scores."""

    dim = Setting(whole, -math.inf)

    def __init__(self, dim: int = -1) -> None:
        super().__init__()
        self.dim = dim

    def forward(self, x: TensorLike) -> TensorLike:
        return F.softmax(x, self.dim)


class LogSoftmax(_Activation):
    """ln softmax(x) along the axis `dim`."""

    dim = Setting(whole, -math.inf)

    def __init__(self, dim: int = -1) -> None:
        super().__init__()
        self.dim = dim

    def forward(self, x: TensorLike) -> TensorLike:
        return F.log_softmax(x, self.dim)
