"""What one step of training leaves behind: gathered on the device while it happens, packed into one row at its end."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from minidl import backend
from minidl.errors import describe
from minidl.nn import Module, Parameter
from minidl.observe.recording import PER_LAYER
from minidl.observe.statistics import count_of, max_abs, mean_abs, norm
from minidl.optim.norms import joined


class Layer:
    """A module that owns parameters, as the recorder sees it: its name, its weights, its biases.

    The biases are the parameters whose own name begins with "bias"; everything else is a weight.
    """

    def __init__(self, index: int, name: str, module: Module, own: Sequence[tuple[str, Parameter]]) -> None:
        self.index = index
        self.name = name
        self.module = module
        is_bias = [dotted.rpartition(".")[2].startswith("bias") for dotted, _ in own]
        self.biases = [p for (_, p), bias in zip(own, is_bias, strict=True) if bias]
        self.weights = [p for (_, p), bias in zip(own, is_bias, strict=True) if not bias]
        self.parameters = [p for _, p in own]


def layers_of(model: Module) -> list[Layer]:
    """The layers of `model`, input to output. A tied weight belongs to its first owner only.

    Raises:
        ValueError: there are none.
        TypeError: it is no model.
    """
    if not isinstance(model, Module):
        what = f"the class {model.__name__}: make one" if isinstance(model, type) else describe(model)
        raise TypeError(f"expected a model, a Module; got {what}")
    layers = [Layer(i, *found) for i, found in enumerate(model.layer_parameters())]
    if not layers:
        raise ValueError(f"expected a model with layers that own parameters; {model!r} has none")
    return layers


def gradients_of(parameters: Sequence[Parameter]) -> list[Any]:
    """The raw gradients of those of `parameters` that have one."""
    return [p._grad._data for p in parameters if p._grad is not None]


def gradient_norm(parameters: Sequence[Parameter], measured: Mapping[int, Any]) -> Any:
    """The norm of their gradients together, from those in `measured` and its own; None if there is no element."""
    norms = []
    for p in parameters:
        if p._grad is not None and p._grad._data.size:
            known = measured.get(id(p._data))
            norms.append(norm([p._grad._data]) if known is None else known)
    return joined(norms) if norms else None


class Step:
    """The measurements of one step, for each layer; what never came stays None, is not `measured` and becomes NaN."""

    def __init__(self, number: int, recorded: bool, layers: Sequence[Layer]) -> None:
        self.number = number
        self.recorded = recorded
        self.backwards = 0
        self.loss: Any = None
        self._layers = layers
        self._values: dict[str, list[Any]] = {field: [None] * len(layers) for field in PER_LAYER}
        self._output_norms: list[Any] = [None] * len(layers)
        self._gradient_norms: list[Any] = [None] * len(layers)
        self._output_counts = [0] * len(layers)
        self._gradient_counts = [0] * len(layers)
        self._before: list[list[Any]] | None = None

    @property
    def has_weights(self) -> bool:
        """Whether the weights before the update are kept."""
        return self._before is not None

    def add_output(self, layer: int, output_norm: Any, count: int) -> None:
        """A batch passed through `layer` with `count` output elements."""
        self._output_norms[layer] = _together(self._output_norms[layer], output_norm)
        self._output_counts[layer] += count

    def add_output_gradient(self, layer: int, gradient: Any) -> None:
        """dL/dh of `layer` came back, an array."""
        self._gradient_norms[layer] = _together(self._gradient_norms[layer], norm([gradient]))
        self._gradient_counts[layer] += int(gradient.size)

    def add_loss(self, loss: Any) -> None:
        """`loss`, a raw array, was walked backward; several of one step add up, as their gradients do."""
        if loss.size == 1:
            value = loss.reshape(()).astype(np.float64)
            self.loss = value if self.loss is None else self.loss + value

    def read_norms_at_backward(self) -> None:
        """The norms as backward() left them: before anything (clipping) touches the gradients."""
        for layer in self._layers:
            self._set("gradient_norm_at_backward", layer, norm(gradients_of(layer.parameters)))

    def read_gradients(self, measured: Mapping[int, Any]) -> None:
        """The gradients as they are now; `measured` has norms that are known, by the id of the parameter's array."""
        for layer in self._layers:
            weights, biases = gradients_of(layer.weights), gradients_of(layer.biases)
            weight_norm, bias_norm = gradient_norm(layer.weights, measured), gradient_norm(layer.biases, measured)
            self._set("weight_gradient_rms", layer, _rms(weight_norm, count_of(weights)))
            self._set("weight_gradient_mean", layer, mean_abs(weights))
            self._set("weight_gradient_max", layer, max_abs(weights))
            self._set("bias_gradient_mean", layer, mean_abs(biases))
            self._set("bias_gradient_max", layer, max_abs(biases))
            self._set("layer_gradient_norm", layer, _together(weight_norm, bias_norm))

    def keep_weights(self) -> None:
        """Copy the weights, to compare them with what the update makes of them."""
        self._before = [[p._data.copy() for p in layer.weights] for layer in self._layers]
        for layer, before in zip(self._layers, self._before, strict=True):
            self._set("weight_norm", layer, norm(before))

    def read_update(self) -> None:
        """How far the weights are from where `keep_weights` saw them."""
        if self._before is None:
            return
        for layer, before in zip(self._layers, self._before, strict=True):
            moved = [p._data - old for p, old in zip(layer.weights, before, strict=True)]
            self._set("update_norm", layer, norm(moved))
        self._before = None

    def read_report(self, report: dict[str, Any]) -> None:
        """What the optimizer says it did: multiplier, rate, whether the norm was floored."""
        for layer in self._layers:
            entry = report.get(layer.name)
            if entry is not None:
                self._set("multiplier", layer, entry.multiplier)
                self._set("rate", layer, entry.rate)
                self._set("floored", layer, entry.floored)

    def measured(self) -> Any:
        """For each number of `packed`, which has to be called first, whether it was measured; on the host."""
        values = [value for field in PER_LAYER for value in self._values[field]]
        return np.array([value is not None for value in (*values, self.loss)])

    def packed(self) -> Any:
        """All numbers as one float64 vector on the device: each field of PER_LAYER for all layers, then the loss."""
        for i, count in enumerate(self._output_counts):
            self._values["activation_rms"][i] = _rms(self._output_norms[i], count)
        for i, count in enumerate(self._gradient_counts):
            self._values["output_gradient_rms"][i] = _rms(self._gradient_norms[i], count)
        values = [value for field in PER_LAYER for value in self._values[field]]
        values.append(self.loss)
        xp = backend.module_of(*values)
        numbers: list[Any] = [np.nan if value is None else value for value in values]
        if xp is np:
            return np.array(numbers, dtype=np.float64)
        missing: dict[Any, Any] = {}  # plain numbers are brought to the device once each
        for i, value in enumerate(numbers):
            if not backend.is_array(value):
                key = repr(value)
                if key not in missing:
                    missing[key] = xp.full((), value, dtype=np.float64)
                numbers[i] = missing[key]
        return xp.concatenate([value.astype(np.float64).reshape(1) for value in numbers])

    def _set(self, field: str, layer: Layer, value: Any) -> None:
        self._values[field][layer.index] = value


def _together(a: Any, b: Any) -> Any:
    """The norm of two parts from the norm of each; a part that is not there counts nothing."""
    if a is None or b is None:
        return b if a is None else a
    return backend.module_of(a).hypot(a, b)


def _rms(norm_of_all: Any, count: int) -> Any:
    return None if norm_of_all is None else norm_of_all / count**0.5
