"""LARS and LAMB's trust ratio: a layer moves by a fixed part of its own size, whatever the size of its gradient.

Both measure a layer's step by its weights, ||w|| / ||step||: LARS the gradient's step, before momentum, LAMB's ratio
the finished update's. They were made for very large batches, whose large base rates no longer suit all layers.
"""

from __future__ import annotations

from typing import Any

from minidl.backend import module_of
from minidl.checks import choice, nonnegative
from minidl.optim.layer_rates import LayerRate
from minidl.optim.layer_view import LayerView
from minidl.optim.norms import joined, l2_norm
from minidl.settings import Setting

SMALLEST = 1e-290  # a smaller norm, which only float64 can have, counts as 0: a ratio to it might be infinite


class LARS(LayerRate):
    """m_l = eta ||w|| / (||g|| + beta ||w||), so that SGD with momentum in Caffe's form is LARS:

        v <- mu v + t m_l (g + beta w);   w <- w - v

    beta is the optimizer's weight decay (where `scale` gives parameters different ones, beta ||w|| is the norm of all
    beta w together). m_l is 1 where ||w|| or ||g|| is 0, and the report says `floored` then. In a layer whose gradient
    vanishes m_l may be larger than float32 can hold; m_l g is not, and is computed without overflow.

    Args:
        eta: the trust coefficient: t eta is about the part of its norm by which a layer moves in a step.
        norm_scope: "layer", one ratio for weights and biases together, or "tensor", one for each.

    Source: You, Gitman, Ginsburg, arXiv:1708.03888, algorithm 1.
    """

    eta = Setting(nonnegative)
    norm_scope = Setting(choice, ("layer", "tensor"))

    def __init__(self, eta: float = 0.001, norm_scope: str = "layer") -> None:
        self.eta = eta
        self.norm_scope = norm_scope

    def __call__(self, view: LayerView) -> Any:
        weight_norms = [l2_norm([w]) for w in view.params]
        decay_norms = [beta * norm for beta, norm in zip(view.decays, weight_norms, strict=True)]
        if self.norm_scope == "layer":
            return self._rate(view, joined(weight_norms), view.gradient_norm, joined(decay_norms))
        norms = zip(weight_norms, view.gradient_norms, decay_norms, strict=True)
        return [self._rate(view, *three) for three in norms]

    def _rate(self, view: LayerView, weight: Any, gradient: Any, decay: Any) -> Any:
        return _ratio(view, self.eta * weight, gradient + decay, weight, gradient)

    def __repr__(self) -> str:
        return f"LARS(eta={self.eta}, norm_scope={self.norm_scope!r})"


class TrustRatio(LayerRate):
    """M_l = ||w|| / ||d||, with d the finished update, so that a layer moves by the part t of its norm.

    `AdamW(model, layer_rate=TrustRatio())` is LAMB: d is Adam's direction plus decay * w. M_l is 1 where ||w|| or
    ||d|| is 0, and the report says `floored` then.

    Args:
        norm_scope: "layer", one ratio for weights and biases together, or "tensor", one for each.

    Source: You et al., arXiv:1904.00962, algorithm 2, with phi(z) = z.
    """

    applies_to = "update"

    norm_scope = Setting(choice, ("layer", "tensor"))

    def __init__(self, norm_scope: str = "layer") -> None:
        self.norm_scope = norm_scope

    def __call__(self, view: LayerView) -> Any:
        if self.norm_scope == "layer":
            return self._rate(view, l2_norm(view.params), l2_norm(view.direction))
        pairs = zip(view.params, view.direction, strict=True)
        return [self._rate(view, l2_norm([w]), l2_norm([d])) for w, d in pairs]

    def _rate(self, view: LayerView, weight: Any, update: Any) -> Any:
        return _ratio(view, weight, update, weight, update)

    def __repr__(self) -> str:
        return f"TrustRatio(norm_scope={self.norm_scope!r})"


def _ratio(view: LayerView, above: Any, below: Any, weight: Any, step: Any) -> Any:
    """above / below, or 1 where the norm of the weight or of the step counts as 0, which is noted in the view.

    It is computed on the device, without waiting for it.
    """
    xp = module_of(above)
    unusable = xp.minimum(weight, step) < SMALLEST
    view.floored = unusable if view.floored is False else unusable | view.floored
    return xp.where(unusable, 1.0, above / xp.where(unusable, 1.0, below))
