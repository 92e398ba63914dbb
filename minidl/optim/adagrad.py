"""AdaGrad: each step divided by the root of all squared gradients so far."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from minidl.backend import module_of
from minidl.checks import choice, nonnegative
from minidl.optim.layer_view import LayerView
from minidl.optim.layers import ModelOrParameters
from minidl.optim.norms import l2_norm
from minidl.optim.optimizer import Optimizer
from minidl.settings import Setting
from minidl.types import Array


class AdaGrad(Optimizer):
    """h <- h + g^2; w <- w - t m g / (sqrt(h) + eps): what has moved much moves less.

    With g the gradient (and weight decay), m the layer rate's multiplier (1 if uniform) and t the base rate `lr`.
    The multiplier takes part in the step only. In h as well it would cancel: a constant one would change nothing.

    Args:
        model_or_params: a model, or an iterable of parameters.
        lr: the base rate t.
        eps: keeps the step finite where h = 0. PyTorch has 1e-10, Caffe 1e-8.
        weight_decay: decay * w is added to the gradient.
        denominator: "element", h for each element, as everywhere; or "layer", one number for each layer,
            h_l <- h_l + ||g_l||_2^2, weights and biases together: a reading that arXiv:1510.04609 leaves open.
        layer_rate: None (uniform), `LayerSpecific()`, ..., or a function of a `LayerView`.

    Raises:
        ValueError: a number out of its range, or an unknown denominator.

    Source: Duchi, Hazan, Singer, JMLR 12 (2011); torch.optim.Adagrad with its defaults; Caffe's AdaGradSolver.
    """

    settings = ("lr", "eps", "weight_decay", "denominator")

    eps = Setting(nonnegative)
    denominator = Setting(choice, ("element", "layer"))

    def __init__(
        self,
        model_or_params: ModelOrParameters,
        lr: float = 0.01,
        eps: float = 1e-10,
        weight_decay: float = 0.0,
        denominator: str = "element",
        layer_rate: Callable[[LayerView], Any] | None = None,
    ) -> None:
        super().__init__(model_or_params, lr, weight_decay, layer_rate)
        self.eps = eps
        self.denominator = denominator

    @property
    def slots(self) -> tuple[str, ...]:
        """h of each element."""
        return ("squares",) if self.denominator == "element" else ()

    @property
    def layer_slots(self) -> tuple[str, ...]:
        """h of the layer."""
        return ("squared_norms",) if self.denominator == "layer" else ()

    def see_layer(self, state: dict[str, Any], gradients: Sequence[Array]) -> None:
        """h_l <- h_l + ||g_l||^2."""
        state["squared_norms"] += l2_norm(gradients) ** 2

    def direction(self, state: dict[str, Any], gradient: Array, scaled: Array) -> Array:
        """m g / (sqrt(h) + eps), with h of each element, or of the layer."""
        if self.denominator == "layer":
            h = state["squared_norms"]
        else:
            h = state["squares"]
            h += gradient * gradient
        root = module_of(h).sqrt(h) + self.eps
        return scaled / root.astype(scaled.dtype, copy=False)
