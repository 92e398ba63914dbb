"""AdamW: Adam whose weight decay stays out of both moments."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from minidl.optim.adam import Adam
from minidl.optim.layer_view import LayerView
from minidl.optim.layers import ModelOrParameters


class AdamW(Adam):
    """w <- w - t (d + decay w), with d Adam's direction: every weight decays at the same pace.

    In Adam decay * w is part of the gradient, so it is divided by the root of the second moment as well: a weight with
    large gradients hardly decays. Here the decay is decoupled from the gradient.

    With `layer_rate=TrustRatio()` this is LAMB.

    Args:
        model_or_params: a model, or an iterable of parameters.
        lr: the base rate t.
        betas, eps: as Adam's.
        weight_decay: decay. As t multiplies it too, a schedule lowers both.
        layer_rate: None (uniform), `LayerSpecific()`, ..., or a function of a `LayerView`. One that applies to the
            gradient does not touch the decay.

    Raises:
        ValueError: a number out of its range.

    Source: Loshchilov, Hutter, arXiv:1711.05101; torch.optim.AdamW.
    """

    decoupled_decay = True

    def __init__(
        self,
        model_or_params: ModelOrParameters,
        lr: float = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 1e-2,
        layer_rate: Callable[[LayerView], Any] | None = None,
    ) -> None:
        super().__init__(model_or_params, lr, betas, eps, weight_decay, layer_rate)
