"""The networks of the recipes that are not Caffe's own: plain deep ones, in which gradients vanish, and a tiny one."""

from __future__ import annotations

from minidl import models, nn

WIDTH = 64  # units of each hidden layer of the deep MLPs
CHANNELS = 16  # of each convolution of the deep convolutional network


def deep_mlp(hidden: int, width: int = WIDTH) -> nn.Sequential:
    """`hidden` layers of `width` sigmoid units on images of 28x28 pixels, and ten scores.

    Weights start from Caffe's xavier, U(-b, b) with b = sqrt(3 / fan_in), and biases at 0. A sigmoid's slope is at
    most 1/4, so every layer passes back about a quarter of the gradient, or less.
    """
    layers: list[tuple[str, nn.Module]] = [("flatten", nn.Flatten())]
    inputs = 28 * 28
    for i in range(1, hidden + 1):
        layers.append((f"fc{i}", nn.Linear(inputs, width, init=nn.init.xavier_caffe_)))
        layers.append((f"sigmoid{i}", nn.Sigmoid()))
        inputs = width
    layers.append((f"fc{hidden + 1}", nn.Linear(inputs, 10, init=nn.init.xavier_caffe_)))
    return nn.Sequential(layers)


def deep_conv(convolutions: int, channels: int = CHANNELS) -> nn.Sequential:
    """`convolutions` layers of 3x3 filters and ReLU on images of 32x32 pixels, then a mean over pixels and ten scores.

    After the second, fourth and sixth of them a max pool halves the image. Weights start from Caffe's xavier, whose
    variance 1 / fan_in is half of what keeps a signal alive behind ReLUs (He et al., arXiv:1502.01852): with each layer
    the signal's square halves on the way up, and that of the gradient on the way down.
    """
    layers: list[tuple[str, nn.Module]] = []
    inputs = 3
    for i in range(1, convolutions + 1):
        layers.append((f"conv{i}", nn.Conv2d(inputs, channels, 3, padding=1, init=nn.init.xavier_caffe_)))
        layers.append((f"relu{i}", nn.ReLU()))
        if i in (2, 4, 6):
            layers.append((f"pool{i // 2}", nn.MaxPool2d(2)))
        inputs = channels
    layers.append(("mean", nn.AdaptiveAvgPool2d(1)))
    layers.append(("flatten", nn.Flatten()))
    layers.append(("fc", nn.Linear(channels, 10, init=nn.init.xavier_caffe_)))
    return nn.Sequential(layers)


def tiny() -> nn.Sequential:
    """Two hidden layers of 24 sigmoid units on the digits of 8x8 pixels: to try the machinery with, in seconds."""
    return models.mlp((64, 24, 24, 10), activation="sigmoid", init=nn.init.xavier_caffe_)
