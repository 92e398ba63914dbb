"""Layer rates as an optimizer uses them: what it is given is checked, and so is what a rate returns."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from minidl import backend
from minidl.checks import choice
from minidl.errors import DeviceError, DTypeError, ShapeError, describe
from minidl.optim.layer_rates import Uniform
from minidl.optim.layer_view import LayerView
from minidl.settings import Setting
from minidl.tensors.tensor import Tensor


def as_layer_rate(rate: Callable[[LayerView], Any] | None, name: str) -> Callable[[LayerView], Any]:
    """The rate an optimizer was given; None is the uniform one.

    Raises:
        TypeError: it cannot be called.
        ValueError: its `applies_to` is neither "gradient" nor "update".
    """
    rate = Uniform() if rate is None else rate
    if isinstance(rate, type) or not callable(rate):
        raise TypeError(
            f"{name}: expected a layer rate, such as LayerSpecific(), or a function of a LayerView; got {rate!r}"
        )
    choice(_applies_to(rate), f"{name} {rate!r}: applies_to", ("gradient", "update"))
    return rate


class LayerRateSetting(Setting[Callable[[LayerView], Any]]):
    """The setting `layer_rate` of an optimizer, which notes what the rate applies to."""

    def __init__(self) -> None:
        super().__init__(as_layer_rate)

    def __set__(self, owner: Any, value: Any) -> None:
        super().__set__(owner, value)
        owner._applies_to = _applies_to(owner.layer_rate)


def _applies_to(rate: Any) -> Any:
    return getattr(rate, "applies_to", "gradient")


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
    # A NaN comes from a NaN gradient and stays visible. On a GPU it is not looked at: that would wait for the device.
    if multiplier < 0 or multiplier == math.inf:
        raise ValueError(
            f"{_who(rate, view)} returned {float(multiplier):g}; expected a finite multiplier of at least 0"
        )
    return float(multiplier)


def _who(rate: Any, view: LayerView) -> str:
    return f"the layer rate {rate!r} for layer {view.name!r}"
