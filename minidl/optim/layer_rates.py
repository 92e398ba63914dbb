"""Layer rates: how much faster or slower than the base rate each layer learns.

A layer rate is called once a layer and step with a `LayerView` and returns a multiplier m_l. It declares by
`applies_to` what the multiplier scales (the package's docstring has the formula of every method):

- "gradient": the gradient, before any momentum, as in the layer-specific rule and LARS;
- "update": the finished update, after momentum and normalisation, as in LAMB.

A plain function will do, and applies to the gradient:

    SGD(model, layer_rate=lambda view: 1 / (view.gradient_norm + 1e-8))
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any, ClassVar

import numpy as np

from minidl.backend import module_of
from minidl.checks import choice, nonnegative
from minidl.optim.layer_view import LayerView
from minidl.optim.norms import l2_norm
from minidl.settings import Setting
from minidl.types import Array


class LayerRate:
    """A layer rate: a subclass defines `__call__(view)`, which returns the multiplier.

    That is a number, a 0-d array on the layer's device (nothing in a rate should wait for the device), or a list of
    such, one for each entry of `view.params`.
    """

    applies_to: ClassVar[str] = "gradient"

    def __call__(self, view: LayerView) -> Any:
        raise TypeError(f"{type(self).__name__} must define __call__(view), which returns the layer's multiplier")

    def __repr__(self) -> str:
        return f"{type(self).__name__}()"


class Uniform(LayerRate):
    """m_l = 1: every layer learns at the base rate. What an optimizer uses if it is told nothing."""

    def __call__(self, view: LayerView) -> float:
        return 1.0


class LayerSpecific(LayerRate):
    """m_l = 1 + ln(1 + 1/||g_l||_2): the smaller a layer's gradient, the larger its rate.

    From Singh, De, Zhang, Goldstein, Taylor, "Layer-Specific Adaptive Learning Rates for Deep Networks"
    (arXiv:1510.04609). g_l is the gradient of the layer's weights and biases together. Always above 1: 1.010 at norm
    100, 1.693 at 1, 5.615 at 0.01, 10.21 at 1e-4. So part of what it gains may be just a larger rate; compare
    with `Replayed`.

    The norm is floored at the smallest normal number of the gradient's dtype, so that g = 0 gives a finite multiplier
    (about 88 in float32); the report says `floored` then.

    Args:
        norm_scope: "layer", one norm for weights and biases together, or "tensor", one norm and multiplier for each.
        norm_of: "gradient", as backward left it, or "gradient+decay", with weight_decay * w added.
        log: the logarithm's base, "e" or "10". The paper's text leaves these three open; the defaults come first.
    """

    norm_scope = Setting(choice, ("layer", "tensor"))
    norm_of = Setting(choice, ("gradient", "gradient+decay"))
    log = Setting(choice, ("e", "10"))

    def __init__(self, norm_scope: str = "layer", norm_of: str = "gradient", log: str = "e") -> None:
        self.norm_scope = norm_scope
        self.norm_of = norm_of
        self.log = log

    def __call__(self, view: LayerView) -> Any:
        if self.norm_scope == "tensor":
            norms = view.gradient_norms if self.norm_of == "gradient" else [l2_norm([g]) for g in view.direction]
            return [self._multiplier(norm, view) for norm in norms]
        norm = view.gradient_norm if self.norm_of == "gradient" else l2_norm(view.direction)
        return self._multiplier(norm, view)

    def _multiplier(self, norm: Array, view: LayerView) -> Array:
        xp = module_of(norm)
        tiny = float(np.finfo(view.gradients[0].dtype).tiny)
        view.floored = (norm < tiny) | view.floored
        logarithm = xp.log1p(1 / xp.maximum(norm, tiny))
        return 1 + (logarithm if self.log == "e" else logarithm / math.log(10))

    def __repr__(self) -> str:
        return f"LayerSpecific(norm_scope={self.norm_scope!r}, norm_of={self.norm_of!r}, log={self.log!r})"


def one_a_step(multipliers: Any, name: str) -> tuple[float, ...]:
    """Finite numbers of at least 0, as plain floats, one or more."""
    found = () if isinstance(multipliers, (str, bytes)) or not isinstance(multipliers, Iterable) else tuple(multipliers)
    if not found:
        raise ValueError(f"{name}: expected one finite multiplier a step; got {multipliers!r}")
    return tuple(nonnegative(m, f"{name}: one finite multiplier a step") for m in found)


class Replayed(LayerRate):
    """m = multipliers[k] at step k (counted from 0), the same for all layers: another run's rates, played again.

    The control arm of a comparison: with the mean multipliers of a layer-specific run it has that run's overall rate
    and nothing layer-specific.

    Args:
        multipliers: one number a step.

    Raises:
        ValueError: there is no multiplier, one is negative or not finite, or (in a step) they have run out.
    """

    multipliers = Setting(one_a_step)

    def __init__(self, multipliers: Iterable[float]) -> None:
        self.multipliers = multipliers

    def __call__(self, view: LayerView) -> float:
        if view.step >= len(self.multipliers):
            raise ValueError(
                f"Replayed holds {len(self.multipliers)} multipliers, and this is step {view.step + 1}: replay a run "
                f"that is at least as long"
            )
        return self.multipliers[view.step]

    def __repr__(self) -> str:
        return f"Replayed({len(self.multipliers)} multipliers)"
