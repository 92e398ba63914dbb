"""AdaGrad: each step divided by the root of all squared gradients so far."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from minidl.backend import module_of
from minidl.optim.layer_rates import LayerView
from minidl.optim.layers import ModelOrParameters
from minidl.optim.norms import l2_norm
from minidl.optim.optimizer import Optimizer, nonnegative


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
        self.eps = nonnegative("eps", eps)
        self.denominator = denominator
        if denominator not in ("element", "layer"):
            raise ValueError(f"expected denominator to be 'element' or 'layer'; got {denominator!r}")

    @property
    def slots(self) -> tuple[str, ...]:
        """h of each element."""
        return ("squares",) if self.denominator == "element" else ()

    @property
    def layer_slots(self) -> tuple[str, ...]:
        """h of the layer."""
        return ("squared_norms",) if self.denominator == "layer" else ()

    def direction(self, state: dict[str, Any], gradient: Any, scaled: Any) -> Any:
        """m g / (sqrt(h) + eps), element by element."""
        h = state["squares"]
        h += gradient * gradient
        return scaled / (module_of(h).sqrt(h) + self.eps)

    def directions(self, layer: str, states: list[dict[str, Any]], gradients: list[Any], scaled: list[Any]) -> Any:
        """m g / (sqrt(h) + eps), with one h for the layer if the denominator is "layer"."""
        if self.denominator == "element":
            return super().directions(layer, states, gradients, scaled)
        h = self.layer_state[layer]["squared_norms"]
        h += l2_norm(gradients) ** 2
        root = module_of(h).sqrt(h) + self.eps
        return [s / root.astype(s.dtype) for s in scaled]
