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
from collections.abc import Callable, Iterable, Sequence
from typing import Any, ClassVar

import numpy as np

from minidl import backend
from minidl.errors import DeviceError, DTypeError, ShapeError, describe
from minidl.optim.norms import joined, l2_norm
from minidl.tensors.tensor import Tensor


class LayerView:
    """What a layer rate sees of one layer in one step. The arrays are raw, not copies: to be read only.

    Attributes:
        name: the layer's name.
        params: its parameters' arrays; those that are frozen or got no gradient are left out here and below.
        gradients: their gradients, as backward (and clipping) left them.
        direction: what the multiplier is about to scale: the gradients with weight decay for a rate that applies to
            the gradient, the finished updates, without the base rate, for one that applies to the update.
        step: how many steps were made before this one, 0 in the first.
        decays: the weight decay of each parameter that is part of its gradient (0 if the method keeps it apart).
        floored: whether a norm was too small to be used; a rate that floors one says so here, for the report.
    """

    __slots__ = ("_direction", "_norms", "decays", "floored", "gradients", "name", "params", "step")

    def __init__(
        self,
        name: str,
        params: Sequence[Any],
        gradients: Sequence[Any],
        direction: Sequence[Any] | None,
        step: int,
        decays: Sequence[float] | None = None,
    ) -> None:
        self.name = name
        self.params = params
        self.gradients = gradients
        self._direction = direction
        self.step = step
        self.decays = [0.0] * len(params) if decays is None else decays
        self.floored: Any = False
        self._norms: list[Any] | None = None

    @property
    def direction(self) -> Sequence[Any]:
        """What the multiplier is about to scale; None at first stands for the gradients with weight decay."""
        if self._direction is None:
            columns = zip(self.gradients, self.decays, self.params, strict=True)
            self._direction = [g + decay * w if decay else g for g, decay, w in columns]
        return self._direction

    @direction.setter
    def direction(self, direction: Sequence[Any]) -> None:
        self._direction = direction

    @property
    def gradient_norms(self) -> list[Any]:
        """||g||_2 of each of the gradients: 0-d float64 numbers on the device, computed once, when first asked.

        The layer's norm is made of them, and so are the recorder's: in a step each gradient is measured once.
        """
        if self._norms is None:
            self._norms = [l2_norm([g]) for g in self.gradients]
        return self._norms

    @property
    def gradient_norm(self) -> Any:
        """||g_l||_2 over all the layer's gradients together."""
        return joined(self.gradient_norms)


class LayerRate:
    """A layer rate: a subclass defines `__call__(view)`, which returns the multiplier.

    That is a number, a 0-d array on the layer's device (nothing in a rate should wait for the device), or a list of
    such, one for each entry of `view.params`.
    """

    applies_to: ClassVar[str] = "gradient"

    def __call__(self, view: LayerView) -> Any:
        raise TypeError(f"{type(self).__name__} must define __call__(view), which returns the layer's multiplier")


class Uniform(LayerRate):
    """m_l = 1: every layer learns at the base rate. What an optimizer uses if it is told nothing."""

    def __call__(self, view: LayerView) -> float:
        return 1.0

    def __repr__(self) -> str:
        return "Uniform()"


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

    def __init__(self, norm_scope: str = "layer", norm_of: str = "gradient", log: str = "e") -> None:
        self.norm_scope = one_of("norm_scope", norm_scope, ("layer", "tensor"))
        self.norm_of = one_of("norm_of", norm_of, ("gradient", "gradient+decay"))
        self.log = one_of("log", log, ("e", "10"))

    def __call__(self, view: LayerView) -> Any:
        if self.norm_scope == "tensor":
            norms = view.gradient_norms if self.norm_of == "gradient" else [l2_norm([g]) for g in view.direction]
            return [self._multiplier(norm, view) for norm in norms]
        norm = view.gradient_norm if self.norm_of == "gradient" else l2_norm(view.direction)
        return self._multiplier(norm, view)

    def _multiplier(self, norm: Any, view: LayerView) -> Any:
        xp = backend.module_of(norm)
        tiny = float(np.finfo(view.gradients[0].dtype).tiny)
        view.floored = (norm < tiny) | view.floored
        logarithm = xp.log1p(1 / xp.maximum(norm, tiny))
        return 1 + (logarithm if self.log == "e" else logarithm / math.log(10))

    def __repr__(self) -> str:
        return f"LayerSpecific(norm_scope={self.norm_scope!r}, norm_of={self.norm_of!r}, log={self.log!r})"


class Replayed(LayerRate):
    """m = multipliers[k] at step k (counted from 0), the same for all layers: another run's rates, played again.

    The control arm of a comparison: with the mean multipliers of a layer-specific run it has that run's overall rate
    and nothing layer-specific.

    Args:
        multipliers: one number a step.

    Raises:
        ValueError: there is no multiplier, one is not finite, or (in a step) they have run out.
    """

    def __init__(self, multipliers: Iterable[float]) -> None:
        self.multipliers = tuple(float(m) for m in multipliers)
        if not self.multipliers or not all(math.isfinite(m) for m in self.multipliers):
            raise ValueError(f"expected one finite multiplier a step; got {self.multipliers}")

    def __call__(self, view: LayerView) -> float:
        if view.step >= len(self.multipliers):
            raise ValueError(
                f"Replayed holds {len(self.multipliers)} multipliers, and this is step {view.step + 1}: replay a run "
                f"that is at least as long"
            )
        return self.multipliers[view.step]

    def __repr__(self) -> str:
        return f"Replayed({len(self.multipliers)} multipliers)"


def as_layer_rate(rate: Callable[[LayerView], Any] | None) -> tuple[Callable[[LayerView], Any], str]:
    """The rate an optimizer was given (None: uniform), and what it applies to.

    Raises:
        TypeError: it cannot be called.
        ValueError: its `applies_to` is neither "gradient" nor "update".
    """
    rate = Uniform() if rate is None else rate
    if isinstance(rate, type) or not callable(rate):
        raise TypeError(
            f"expected layer_rate to be a layer rate, such as LayerSpecific(), or a function of a LayerView; got "
            f"{rate!r}"
        )
    return rate, one_of("applies_to of the layer rate", getattr(rate, "applies_to", "gradient"), ("gradient", "update"))


def read_multipliers(rate: Any, view: LayerView) -> list[Any]:
    """Ask `rate` for a layer's multiplier: one factor for each of its tensors, floats or 0-d arrays on the GPU.

    Raises:
        ShapeError: it returned an array with axes, or a list of another length than `view.params`.
        DTypeError: no number at all.
        DeviceError: an array on another device than the layer's.
        ValueError: a negative number (an array on the GPU is not looked into, that would wait for it).
    """
    result = rate(view)
    if isinstance(result, (list, tuple)):
        if len(result) != len(view.params):
            raise ShapeError(
                f"{_who(rate, view)} returned {len(result)} multipliers; expected one number, or one for each of the "
                f"{len(view.params)} tensors with a gradient"
            )
        return [_read_one(entry, rate, view) for entry in result]
    return [_read_one(result, rate, view)] * len(view.params)


def _read_one(multiplier: Any, rate: Any, view: LayerView) -> Any:
    if type(multiplier) is float and 0 <= multiplier < math.inf:
        return multiplier
    if isinstance(multiplier, Tensor):
        multiplier = multiplier._data
    if backend.is_array(multiplier):
        if multiplier.ndim:
            raise ShapeError(
                f"{_who(rate, view)} returned an array of shape {multiplier.shape}; expected a number or a 0-d array"
            )
        if backend.module_of(multiplier) is not np:
            if backend.module_of(view.params[0]) is np:
                raise DeviceError(f"{_who(rate, view)} returned a number on cupy; the layer is on numpy")
            return multiplier
        multiplier = multiplier[()]
    if isinstance(multiplier, (bool, np.bool_)) or not isinstance(multiplier, (int, float, np.integer, np.floating)):
        raise DTypeError(f"{_who(rate, view)} returned {describe(multiplier)}; expected a number or a 0-d array")
    # A NaN comes from a NaN gradient and stays visible. On a GPU nobody looks: that would wait for the device.
    if multiplier < 0 or multiplier == math.inf:
        raise ValueError(
            f"{_who(rate, view)} returned {float(multiplier):g}; expected a finite multiplier of at least 0"
        )
    return float(multiplier)


def _who(rate: Any, view: LayerView) -> str:
    return f"the layer rate {rate!r} for layer {view.name!r}"


def one_of(what: str, value: Any, allowed: tuple[str, ...]) -> str:
    """`value`, refused unless it is one of those allowed."""
    if value not in allowed:
        raise ValueError(f"expected {what} to be {' or '.join(map(repr, allowed))}; got {value!r}")
    return str(value)
