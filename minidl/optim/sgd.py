"""SGD: stochastic gradient descent, with momentum in PyTorch's and in Caffe's form."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from minidl.checks import choice, nonnegative, share, yes_or_no
from minidl.optim.layer_view import LayerView
from minidl.optim.layers import ModelOrParameters
from minidl.optim.optimizer import Optimizer
from minidl.optim.trust import TrustRatio
from minidl.settings import Setting
from minidl.types import Array


class SGD(Optimizer):
    """w <- w - t g, or with momentum mu along a velocity v that remembers earlier gradients.

    With g the gradient (and weight decay), m the layer rate's multiplier (1 if uniform) and t the base rate `lr`:

        momentum_form   velocity                        step                  Nesterov's step
        "pytorch"       v <- mu v + (1 - damp) m g      w <- w - t v          w <- w - t (m g + mu v)
        "caffe"         v <- mu v + t m g               w <- w - v            w <- w - (t m g + mu v)

    The two forms differ in where t stands, and so only when t changes: in Caffe's form a gradient keeps the rate of
    the step it was seen in, in PyTorch's the whole velocity gets today's rate. The multiplier stands inside the
    velocity in both, so each gradient keeps the multiplier of its own step, and at a constant t both forms make the
    same steps, with every layer rate. (Outside, today's multiplier would rescale yesterday's gradients, from which it
    does not come.) Caffe states Nesterov's step as (1 + mu) v' - mu v, with v' the new velocity: the same, as
    v' - mu v = t m g.

    Args:
        model_or_params: a model, or an iterable of parameters.
        lr: the base rate t.
        momentum: mu, from 0 to 1; 0 keeps no velocity.
        dampening: damp, in PyTorch's form; as there, the first gradient is not dampened.
        nesterov: step from where the velocity leads; needs momentum and no dampening.
        weight_decay: decay * w is added to the gradient.
        momentum_form: "pytorch" or "caffe".
        layer_rate: None (uniform), `LayerSpecific()`, ..., or a function of a `LayerView`.

    Raises:
        ValueError: a number out of its range, or options that exclude each other.

    Source: torch.optim.SGD; Caffe's SGDSolver and NesterovSolver.
    """

    settings = ("lr", "momentum", "dampening", "nesterov", "weight_decay", "momentum_form")

    momentum = Setting(share)
    dampening = Setting(nonnegative)
    nesterov = Setting(yes_or_no)
    momentum_form = Setting(choice, ("pytorch", "caffe"))

    def __init__(
        self,
        model_or_params: ModelOrParameters,
        lr: float = 0.01,
        momentum: float = 0.0,
        dampening: float = 0.0,
        nesterov: bool = False,
        weight_decay: float = 0.0,
        momentum_form: str = "pytorch",
        layer_rate: Callable[[LayerView], Any] | None = None,
    ) -> None:
        super().__init__(model_or_params, lr, weight_decay, layer_rate)
        self.momentum = momentum
        self.dampening = dampening
        self.nesterov = nesterov
        self.momentum_form = momentum_form
        self.check_settings()

    def check_settings(self) -> None:
        """Refuse settings that exclude each other."""
        if self.nesterov and (not self.momentum or self.dampening):
            raise ValueError(
                f"Nesterov's step needs momentum and no dampening; got momentum={self.momentum} and "
                f"dampening={self.dampening}"
            )
        if self.momentum_form == "caffe" and self.dampening:
            raise ValueError(f"Caffe's momentum knows no dampening; got dampening={self.dampening}")
        if self.momentum_form == "caffe" and isinstance(self.layer_rate, TrustRatio):
            raise ValueError(
                "Caffe's momentum has the rate inside the update, and TrustRatio would divide it out with the update's "
                "norm: use momentum_form='pytorch'"
            )

    @property
    def slots(self) -> tuple[str, ...]:
        """The velocity, if there is momentum."""
        return ("velocity",) if self.momentum else ()

    @property
    def rate_inside(self) -> bool:
        """In Caffe's form the rate is part of the velocity."""
        return self.momentum_form == "caffe"

    def direction(self, state: dict[str, Any], gradient: Array, scaled: Array) -> Array:
        """The velocity, or Nesterov's look ahead along it. `scaled` is m g, in Caffe's form t m g."""
        if not self.momentum:
            return scaled
        v = state["velocity"]
        v *= self.momentum
        if self.dampening and state["steps"] > 1:
            v += (1 - self.dampening) * scaled
        else:
            v += scaled
        return scaled + self.momentum * v if self.nesterov else v
