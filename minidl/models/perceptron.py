"""The multi-layer perceptron (MLP)."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

from minidl import nn
from minidl.models.activations import Activation, activation_class
from minidl.nn.init import Initializer


def mlp(sizes: Sequence[int], activation: Activation = "sigmoid", init: Initializer | None = None) -> nn.Sequential:
    """A multi-layer perceptron: fc1, act1, fc2, act2, ..., with no activation after the last dense layer.

    Args:
        sizes: the number of inputs, of units in each hidden layer, and of outputs: (64, 30, 10) has fc1 and fc2.
        activation: 'relu', 'sigmoid', 'tanh' or another name in `models.ACTIVATIONS`, or a class such as nn.Tanh.
        init: the initialiser of the weights (biases then start at 0); without it the layers' default.

    Raises:
        ValueError: fewer than two sizes, or an unknown activation.
    """
    if not isinstance(sizes, (tuple, list)) or len(sizes) < 2:
        raise ValueError(
            f"mlp: expected the sizes of input, hidden layers and output, in one tuple, such as mlp((64, 30, 10)); "
            f"got {sizes!r}"
        )
    make = activation_class(activation)
    last = len(sizes) - 1
    modules: list[tuple[str, nn.Module]] = []
    for i, (inputs, outputs) in enumerate(itertools.pairwise(sizes), start=1):
        modules.append((f"fc{i}", nn.Linear(inputs, outputs, init=init)))
        if i < last:
            modules.append((f"act{i}", make()))
    return nn.Sequential(modules)
