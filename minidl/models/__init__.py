"""The networks of the examples, from a multi-layer perceptron to AlexNet: each file is one of them."""

from minidl.models.activations import ACTIVATIONS
from minidl.models.alexnet import alexnet, alexnet_32
from minidl.models.caffe import cifar10_full, cifar10_quick, lenet
from minidl.models.char_rnn import char_rnn, sample
from minidl.models.digits_conv import digits_conv
from minidl.models.mlp import mlp
from minidl.models.resnet import resnet_cifar

__all__ = [
    "ACTIVATIONS",
    "alexnet",
    "alexnet_32",
    "char_rnn",
    "cifar10_full",
    "cifar10_quick",
    "digits_conv",
    "lenet",
    "mlp",
    "resnet_cifar",
    "sample",
]
