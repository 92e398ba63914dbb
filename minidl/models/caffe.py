"""Caffe's small networks: LeNet for MNIST, cifar10_quick and cifar10_full for CIFAR-10.

They are the baselines of the time of arXiv:1510.04609, layer for layer as Caffe's examples define them: pooling rounds
up, weights start as stated there, biases at 0. How Caffe trained them is in each docstring; with minidl

    optimizer = md.optim.SGD(model, lr=..., momentum=0.9, weight_decay=..., momentum_form="caffe")
    optimizer.scale("*.bias", lr=2.0)         # in Caffe's examples a bias learns twice as fast as a weight

All take images (N, C, H, W) and return scores (N, 10) for `cross_entropy`. `from_caffe` brings weights that Caffe
trained.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

from minidl import nn

# Layers that Caffe's prototxt files call otherwise than minidl's networks do. All others (conv1, fc6) have one name.
CAFFE_NAMES = {"ip1": "fc1", "ip2": "fc2"}


def normal(std: float) -> Callable[[Any], Any]:
    """The initialiser N(0, std^2): Caffe's "gaussian" filler."""
    return partial(nn.init.normal_, std=std)


def lenet() -> nn.Sequential:
    """LeNet for MNIST as in Caffe's examples/mnist/lenet_train_test.prototxt: 431,080 parameters.

    Input (N, 1, 28, 28), pixels from 0 to 255 divided by 256. There is one ReLU, after fc1; all weights start by
    `xavier_caffe_`.

    Caffe's recipe: batches of 64, lr 0.01, momentum 0.9, weight decay 5e-4, InvLR with gamma 1e-4 and power 0.75,
    biases at twice the rate, 10,000 steps; about 99% of the test images are then recognised.
    """
    init = nn.init.xavier_caffe_
    return nn.Sequential(
        [
            ("conv1", nn.Conv2d(1, 20, 5, init=init)),
            ("pool1", nn.MaxPool2d(2)),
            ("conv2", nn.Conv2d(20, 50, 5, init=init)),
            ("pool2", nn.MaxPool2d(2)),
            ("flatten", nn.Flatten()),
            ("fc1", nn.Linear(50 * 4 * 4, 500, init=init)),
            ("relu1", nn.ReLU()),
            ("fc2", nn.Linear(500, 10, init=init)),
        ]
    )


def cifar10_quick() -> nn.Sequential:
    """Caffe's quick network for CIFAR-10 (examples/cifar10/cifar10_quick_train_test.prototxt): 145,578 parameters.

    Input (N, 3, 32, 32), pixels from 0 to 255 less the mean image of the training set.

    Caffe's recipe: batches of 100, lr 1e-3 for 4,000 steps and 1e-4 for 1,000 more, momentum 0.9, weight decay 0.004,
    biases at twice the rate; about 75% of the test images are then recognised.
    """
    return nn.Sequential(
        [
            ("conv1", nn.Conv2d(3, 32, 5, padding=2, init=normal(1e-4))),
            ("pool1", nn.MaxPool2d(3, stride=2, ceil_mode=True)),
            ("relu1", nn.ReLU()),
            ("conv2", nn.Conv2d(32, 32, 5, padding=2, init=normal(0.01))),
            ("relu2", nn.ReLU()),
            ("pool2", nn.AvgPool2d(3, stride=2, ceil_mode=True)),
            ("conv3", nn.Conv2d(32, 64, 5, padding=2, init=normal(0.01))),
            ("relu3", nn.ReLU()),
            ("pool3", nn.AvgPool2d(3, stride=2, ceil_mode=True)),
            ("flatten", nn.Flatten()),
            ("fc1", nn.Linear(64 * 4 * 4, 64, init=normal(0.1))),
            ("fc2", nn.Linear(64, 10, init=normal(0.1))),
        ]
    )


def cifar10_full() -> nn.Sequential:
    """Caffe's full network for CIFAR-10 (examples/cifar10/cifar10_full_train_test.prototxt): 89,578 parameters.

    Input as for `cifar10_quick`. Local response normalisation is within each channel, over 3x3 pixels.

    Caffe's recipe: batches of 100, lr 1e-3 for 60,000 steps, 1e-4 to 65,000 and 1e-5 to 70,000, momentum 0.9, weight
    decay 0.004, for fc1's weight 250 times as much and for its bias none; biases at twice the rate, but conv3's at the
    base rate:

        optimizer.scale("*.bias", lr=2.0).scale("conv3.bias", lr=1.0)
        optimizer.scale("fc1.weight", decay=250.0).scale("fc1.bias", lr=2.0, decay=0.0)

    About 82% of the test images are then recognised.
    """
    norm = partial(nn.LocalResponseNorm, 3, alpha=5e-5, beta=0.75, within_channel=True)
    return nn.Sequential(
        [
            ("conv1", nn.Conv2d(3, 32, 5, padding=2, init=normal(1e-4))),
            ("pool1", nn.MaxPool2d(3, stride=2, ceil_mode=True)),
            ("relu1", nn.ReLU()),
            ("norm1", norm()),
            ("conv2", nn.Conv2d(32, 32, 5, padding=2, init=normal(0.01))),
            ("relu2", nn.ReLU()),
            ("pool2", nn.AvgPool2d(3, stride=2, ceil_mode=True)),
            ("norm2", norm()),
            ("conv3", nn.Conv2d(32, 64, 5, padding=2, init=normal(0.01))),
            ("relu3", nn.ReLU()),
            ("pool3", nn.AvgPool2d(3, stride=2, ceil_mode=True)),
            ("flatten", nn.Flatten()),
            ("fc1", nn.Linear(64 * 4 * 4, 10, init=normal(0.01))),
        ]
    )


def from_caffe(weights: Mapping[str, Any], *, bgr: bool = False) -> dict[str, Any]:
    """Weights of a .caffemodel as minidl's networks take them: Caffe's ip1 and ip2 are called fc1 and fc2.

        model = md.models.alexnet()
        model.load_state_dict(md.models.from_caffe(md.load("bvlc_alexnet.caffemodel"), bgr=True))

    For `lenet`, `cifar10_quick`, `cifar10_full` and `alexnet`; any other model that has Caffe's names takes what
    `md.load` gives. Only the names change: an image must be what the network was trained with, the same range of
    pixels less the same mean (see each network's docstring).

    Args:
        weights: what `md.load("net.caffemodel")` returned.
        bgr: the network was trained on images with the channels blue, green, red, as Caffe's tools for ImageNet read
            them (OpenCV does), and is to be given red, green, blue, as minidl's `ImageFolder` reads them: the input
            channels of the first convolution are turned round. The mean that is subtracted must then be turned round
            too. MNIST is grey, and Caffe's CIFAR-10 is red, green, blue already.

    Returns:
        name -> array, for `load_state_dict`.

    Raises:
        ValueError: with `bgr`, the first convolution does not have three input channels; or two layers would have one
            name.
    """
    renamed: dict[str, Any] = {}
    for name, array in weights.items():
        layer, _, parameter = name.rpartition(".")
        own = f"{CAFFE_NAMES.get(layer, layer)}.{parameter}"
        if own in renamed:
            raise ValueError(f"from_caffe: {name!r} is {own!r} here, and there is another of that name")
        renamed[own] = array
    if bgr:
        first = next((name for name, array in renamed.items() if array.ndim == 4), None)
        if first is None or renamed[first].shape[1] != 3:
            found = "there is no convolution" if first is None else f"{first!r} has shape {renamed[first].shape}"
            raise ValueError(f"from_caffe: bgr=True expects a first convolution with 3 input channels; {found}")
        renamed[first] = renamed[first][:, ::-1].copy()
    return renamed
