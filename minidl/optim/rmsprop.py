"""RMSprop: each step divided by the root of a running mean of squared gradients."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from minidl.backend import module_of
from minidl.checks import fraction, nonnegative, share, yes_or_no
from minidl.optim.layer_view import LayerView
from minidl.optim.layers import ModelOrParameters
from minidl.optim.optimizer import Optimizer
from minidl.settings import Setting
from minidl.types import Array


class RMSprop(Optimizer):
    """v <- alpha v + (1 - alpha) g^2; w <- w - t m g / (sqrt(v) + eps): AdaGrad with a memory that fades.

    With g the gradient (and weight decay), m the layer rate's multiplier (1 if uniform) and t the base rate `lr`. The
    multiplier takes part in the step only; in v as well it would cancel.

    `centered` divides by the standard deviation instead, with the mean gradient c <- alpha c + (1 - alpha) g:
    sqrt(v - c^2) takes the place of sqrt(v). With `momentum` mu the quotient goes into a velocity,
    b <- mu b + m g / (sqrt(v) + eps), and w <- w - t b.

    Args:
        model_or_params: a model, or an iterable of parameters.
        lr: the base rate t.
        alpha: how much of v is kept from step to step.
        eps: keeps the step finite where v = 0.
        weight_decay: decay * w is added to the gradient.
        momentum: mu, from 0 to 1; 0 keeps no velocity.
        centered: divide by the standard deviation of the gradient.
        layer_rate: None (uniform), `LayerSpecific()`, ..., or a function of a `LayerView`.

    Raises:
        ValueError: a number out of its range.

    Source: Tieleman, Hinton, Coursera lecture 6.5 (2012); centered: Graves, arXiv:1308.0850; torch.optim.RMSprop.
    """

    settings = ("lr", "alpha", "eps", "weight_decay", "momentum", "centered")

    alpha = Setting(fraction)
    eps = Setting(nonnegative)
    momentum = Setting(share)
    centered = Setting(yes_or_no)

    def __init__(
        self,
        model_or_params: ModelOrParameters,
        lr: float = 0.01,
        alpha: float = 0.99,
        eps: float = 1e-8,
        weight_decay: float = 0.0,
        momentum: float = 0.0,
        centered: bool = False,
        layer_rate: Callable[[LayerView], Any] | None = None,
    ) -> None:
        super().__init__(model_or_params, lr, weight_decay, layer_rate)
        self.alpha = alpha
        self.eps = eps
        self.momentum = momentum
        self.centered = centered

    @property
    def slots(self) -> tuple[str, ...]:
        """v, and what centering and momentum need."""
        centered = ("mean_gradient",) if self.centered else ()
        return ("mean_square", *centered, "velocity") if self.momentum else ("mean_square", *centered)

    def direction(self, state: dict[str, Any], gradient: Array, scaled: Array) -> Array:
        """m g over the root of the mean square (or variance), or the velocity made of that."""
        v = state["mean_square"]
        xp = module_of(v)
        v *= self.alpha
        v += (1 - self.alpha) * gradient * gradient
        spread = v
        if self.centered:
            c = state["mean_gradient"]
            c *= self.alpha
            c += (1 - self.alpha) * gradient
            spread = xp.maximum(v - c * c, 0)  # rounding could make it negative, where the gradient hardly changes
        root = xp.sqrt(spread)
        root += self.eps
        quotient = scaled / root
        if not self.momentum:
            return quotient
        velocity = state["velocity"]
        velocity *= self.momentum
        velocity += quotient
        return velocity
