"""The networks of the examples: a multi-layer perceptron, and a small convolutional network for the 8x8 digits."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence

from minidl import nn
from minidl.nn.linear import Init

ACTIVATIONS: dict[str, Callable[[], nn.Module]] = {
    "leaky_relu": nn.LeakyReLU,
    "relu": nn.ReLU,
    "sigmoid": nn.Sigmoid,
    "softplus": nn.Softplus,
    "tanh": nn.Tanh,
}


def mlp(sizes: Sequence[int], activation: str = "sigmoid", init: Init | None = None) -> nn.Sequential:
    """A multi-layer perceptron: fc1, act1, fc2, act2, ..., with no activation after the last dense layer.

    Args:
        sizes: the number of inputs, of units in each hidden layer, and of outputs: (64, 30, 10) has fc1 and fc2.
        activation: 'leaky_relu', 'relu', 'sigmoid', 'softplus' or 'tanh'.
        init: the initialiser of the weights (biases then start at 0); without it the layers' default.

    Raises:
        ValueError: fewer than two sizes, or an unknown activation.
    """
    if len(sizes) < 2:
        raise ValueError(
            f"mlp: expected the sizes of input, hidden layers and output, such as (64, 30, 10); got {sizes}"
        )
    make = _activation(activation)
    last = len(sizes) - 1
    modules: list[tuple[str, nn.Module]] = []
    for i, (inputs, outputs) in enumerate(itertools.pairwise(sizes), start=1):
        modules.append((f"fc{i}", nn.Linear(inputs, outputs, init=init)))
        if i < last:
            modules.append((f"act{i}", make()))
    return nn.Sequential(modules)


def digits_conv(activation: str = "relu", init: Init | None = None) -> nn.Sequential:
    """A small convolutional network for 8x8 digits, given as rows (N, 64) or as images (N, 1, 8, 8).

    Two 3x3 convolutions (conv1, conv2: 8 and 16 filters), 2x2 max pooling, and two dense layers (fc1, fc2: 32 units,
    10 classes): 9,802 parameters.

    Args:
        activation, init: as for `mlp`.

    Raises:
        ValueError: an unknown activation.
    """
    make = _activation(activation)
    return nn.Sequential(
        [
            ("image", nn.Reshape(1, 8, 8)),
            ("conv1", nn.Conv2d(1, 8, 3, padding=1, init=init)),
            ("act1", make()),
            ("conv2", nn.Conv2d(8, 16, 3, padding=1, init=init)),
            ("act2", make()),
            ("pool", nn.MaxPool2d(2)),
            ("flatten", nn.Flatten()),
            ("fc1", nn.Linear(16 * 4 * 4, 32, init=init)),
            ("act3", make()),
            ("fc2", nn.Linear(32, 10, init=init)),
        ]
    )


def _activation(name: str) -> Callable[[], nn.Module]:
    if name not in ACTIVATIONS:
        raise ValueError(f"expected an activation out of {', '.join(ACTIVATIONS)}; got {name!r}")
    return ACTIVATIONS[name]
