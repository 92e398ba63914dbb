"""Adam: momentum, divided by the root of a running mean of squared gradients."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from minidl.backend import module_of
from minidl.checks import fraction, nonnegative
from minidl.optim.layer_view import LayerView
from minidl.optim.layers import ModelOrParameters
from minidl.optim.optimizer import Optimizer
from minidl.settings import Setting
from minidl.types import Array


def two_fractions(value: Any, name: str) -> tuple[float, float]:
    """Two numbers of at least 0 and below 1."""
    if not isinstance(value, (tuple, list)) or len(value) != 2:
        raise ValueError(f"{name}: expected two numbers of at least 0 and below 1; got {value!r}")
    return fraction(value[0], f"{name}[0]"), fraction(value[1], f"{name}[1]")


class Adam(Optimizer):
    """Steps of about t for each element, whatever the scale of its gradient.

    With g the gradient (and weight decay), m the layer rate's multiplier (1 if uniform), t the base rate `lr`, and k
    the number of the parameter's update, from 1:

        u  <-  beta1 u + (1 - beta1) m g          the mean gradient (first moment)
        v  <-  beta2 v + (1 - beta2) g^2          the mean squared gradient (second moment)
        w  <-  w - t (u / (1 - beta1^k)) / (sqrt(v / (1 - beta2^k)) + eps)

    The divisions by 1 - beta^k undo that both means start at 0. The multiplier is in the first moment only: in both it
    would cancel.

    Args:
        model_or_params: a model, or an iterable of parameters.
        lr: the base rate t.
        betas: (beta1, beta2).
        eps: keeps the step finite where v = 0.
        weight_decay: decay * w is added to the gradient (L2, as torch.optim.Adam; not AdamW).
        layer_rate: None (uniform), `LayerSpecific()`, ..., or a function of a `LayerView`.

    Raises:
        ValueError: a number out of its range.

    Source: Kingma, Ba, arXiv:1412.6980; torch.optim.Adam.
    """

    settings = ("lr", "betas", "eps", "weight_decay")

    betas = Setting(two_fractions)
    eps = Setting(nonnegative)

    def __init__(
        self,
        model_or_params: ModelOrParameters,
        lr: float = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0.0,
        layer_rate: Callable[[LayerView], Any] | None = None,
    ) -> None:
        super().__init__(model_or_params, lr, weight_decay, layer_rate)
        self.betas = betas
        self.eps = eps

    @property
    def slots(self) -> tuple[str, ...]:
        """Both moments."""
        return ("first_moment", "second_moment")

    def direction(self, state: dict[str, Any], gradient: Array, scaled: Array) -> Array:
        """The mean gradient over the root of the mean squared gradient."""
        u, v, k = state["first_moment"], state["second_moment"], state["steps"]
        beta1, beta2 = self.betas
        u *= beta1
        u += (1 - beta1) * scaled
        v *= beta2
        v += (1 - beta2) * gradient * gradient
        root = module_of(v).sqrt(v / (1 - beta2**k))
        root += self.eps
        mean = u / (1 - beta1**k)
        mean /= root
        return mean
