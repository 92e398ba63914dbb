"""A small convolutional network for the 8x8 digits."""

from __future__ import annotations

from minidl import nn
from minidl.models.activations import Activation, activation_class
from minidl.nn.init import Initializer


def digits_conv(activation: Activation = "relu", init: Initializer | None = None) -> nn.Sequential:
    """A small convolutional network for 8x8 digits, given as rows (N, 64) or as images (N, 1, 8, 8).

    Two 3x3 convolutions (conv1, conv2: 8 and 16 filters), 2x2 max pooling, and two dense layers (fc1, fc2: 32 units,
    10 classes): 9,802 parameters.

    Args:
        activation, init: as for `mlp`.

    Raises:
        ValueError: an unknown activation.
    """
    make = activation_class(activation)
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
