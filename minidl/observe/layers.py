"""The layers of a model as recorders see them: their names, their weights, their biases."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from minidl.errors import describe
from minidl.nn import Module, Parameter
from minidl.observe.recording import GAIN, WEIGHT


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

    @property
    def kind(self) -> str:
        """WEIGHT, or GAIN if it has no matrix, only vectors: a normalisation, or a PReLU."""
        return WEIGHT if any(len(p.shape) > 1 for p in self.weights) else GAIN

    def channels(self, axes: int) -> int:
        """Which of the `axes` of the layer's output runs over its units: 1 of images and of Conv1d, else the last."""
        return 1 if axes > 3 or (axes == 3 and any(len(p.shape) == 3 for p in self.weights)) else -1


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
