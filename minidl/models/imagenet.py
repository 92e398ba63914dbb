"""AlexNet, which won the ImageNet challenge of 2012: at its full size, and scaled to images of 32x32 pixels.

Krizhevsky, Sutskever, Hinton, "ImageNet Classification with Deep Convolutional Neural Networks", NIPS 2012. conv2,
conv4 and conv5 have two groups of filters, each of which sees half of the channels: the original ran on two GPUs.
"""

from __future__ import annotations

from minidl import nn
from minidl.models.caffe import normal
from minidl.nn.init import Initializer


def alexnet(classes: int = 1000) -> nn.Sequential:
    """AlexNet for ImageNet, as in Caffe's models/bvlc_alexnet: 60,965,224 parameters with 1,000 classes.

    Input (N, 3, 227, 227), pixels from 0 to 255 less the mean image, cropped and mirrored at random in training.
    Weights start from N(0, 0.01^2), of fc6 and fc7 from N(0, 0.005^2); the biases of conv2, conv4, conv5, fc6 and fc7
    at 0.1 (so that their ReLUs are active at first), others at 0.

    Caffe's recipe: batches of 256, lr 0.01 divided by 10 every 100,000 steps, 450,000 steps, momentum 0.9, weight decay
    5e-4; biases at twice the rate and not decayed, `optimizer.scale("*.bias", lr=2.0, decay=0.0)`. Caffe reports
    57.1% top-1 and 80.2% top-5 accuracy on ImageNet's validation images.

    Args:
        classes: the number of scores.
    """
    model = nn.Sequential(
        [
            ("conv1", nn.Conv2d(3, 96, 11, stride=4, init=normal(0.01))),
            ("relu1", nn.ReLU()),
            ("norm1", nn.LocalResponseNorm(5, alpha=1e-4, beta=0.75)),
            ("pool1", nn.MaxPool2d(3, stride=2, ceil_mode=True)),
            ("conv2", nn.Conv2d(96, 256, 5, padding=2, groups=2, init=normal(0.01))),
            ("relu2", nn.ReLU()),
            ("norm2", nn.LocalResponseNorm(5, alpha=1e-4, beta=0.75)),
            ("pool2", nn.MaxPool2d(3, stride=2, ceil_mode=True)),
            ("conv3", nn.Conv2d(256, 384, 3, padding=1, init=normal(0.01))),
            ("relu3", nn.ReLU()),
            ("conv4", nn.Conv2d(384, 384, 3, padding=1, groups=2, init=normal(0.01))),
            ("relu4", nn.ReLU()),
            ("conv5", nn.Conv2d(384, 256, 3, padding=1, groups=2, init=normal(0.01))),
            ("relu5", nn.ReLU()),
            ("pool5", nn.MaxPool2d(3, stride=2, ceil_mode=True)),
            ("flatten", nn.Flatten()),
            ("fc6", nn.Linear(256 * 6 * 6, 4096, init=normal(0.005))),
            ("relu6", nn.ReLU()),
            ("drop6", nn.Dropout(0.5)),
            ("fc7", nn.Linear(4096, 4096, init=normal(0.005))),
            ("relu7", nn.ReLU()),
            ("drop7", nn.Dropout(0.5)),
            ("fc8", nn.Linear(4096, classes, init=normal(0.01))),
        ]
    )
    for layer in (model.conv2, model.conv4, model.conv5, model.fc6, model.fc7):
        nn.init.constant_(layer.bias, 0.1)
    return model


def alexnet_32(classes: int = 200, init: Initializer = nn.init.xavier_caffe_) -> nn.Sequential:
    """AlexNet scaled to images of 32x32 pixels: the same layers, half as wide, for example for 200 ImageNet classes.

    Input (N, 3, 32, 32), standardised (mean 0, variance about 1). conv1 has a 5x5 window at every pixel instead of an
    11x11 one at every fourth, so the pools see 32, 16 and 8 pixels a side instead of 55, 27 and 13; the dense layers
    have 1,024 units. 3,931,528 parameters with 200 classes.

    Args:
        classes: the number of scores.
        init: the initialiser of the weights. With Caffe's xavier, the default, the loss begins within a tenth of that
            of guessing, ln(classes), and the gradients of all layers within a factor of 20. With AlexNet's own,
            N(0, 0.01^2), made for units with four times as many inputs, those of conv1 are a thousand times smaller
            than those of fc8. With He's the loss begins at four to six times ln(classes), and the first steps silence
            the units: max pools and dropout make the signal larger already, which He's weights do not reckon with.
    """
    return nn.Sequential(
        [
            ("conv1", nn.Conv2d(3, 48, 5, padding=2, init=init)),
            ("relu1", nn.ReLU()),
            ("norm1", nn.LocalResponseNorm(5, alpha=1e-4, beta=0.75)),
            ("pool1", nn.MaxPool2d(3, stride=2, ceil_mode=True)),
            ("conv2", nn.Conv2d(48, 128, 5, padding=2, groups=2, init=init)),
            ("relu2", nn.ReLU()),
            ("norm2", nn.LocalResponseNorm(5, alpha=1e-4, beta=0.75)),
            ("pool2", nn.MaxPool2d(3, stride=2, ceil_mode=True)),
            ("conv3", nn.Conv2d(128, 192, 3, padding=1, init=init)),
            ("relu3", nn.ReLU()),
            ("conv4", nn.Conv2d(192, 192, 3, padding=1, groups=2, init=init)),
            ("relu4", nn.ReLU()),
            ("conv5", nn.Conv2d(192, 128, 3, padding=1, groups=2, init=init)),
            ("relu5", nn.ReLU()),
            ("pool5", nn.MaxPool2d(3, stride=2, ceil_mode=True)),
            ("flatten", nn.Flatten()),
            ("fc6", nn.Linear(128 * 4 * 4, 1024, init=init)),
            ("relu6", nn.ReLU()),
            ("drop6", nn.Dropout(0.5)),
            ("fc7", nn.Linear(1024, 1024, init=init)),
            ("relu7", nn.ReLU()),
            ("drop7", nn.Dropout(0.5)),
            ("fc8", nn.Linear(1024, classes, init=init)),
        ]
    )
