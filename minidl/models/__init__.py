"""The networks of the examples: multi-layer perceptrons, Caffe's networks, AlexNet, ResNets, networks for text."""

from minidl.examples.reading import add_examples
from minidl.models.activations import ACTIVATIONS
from minidl.models.caffe import cifar10_full, cifar10_quick, from_caffe, lenet
from minidl.models.convnet import digits_conv
from minidl.models.imagenet import alexnet, alexnet_32
from minidl.models.perceptron import mlp
from minidl.models.resnet import resnet_cifar
from minidl.models.text import char_rnn, sample
from minidl.models.transformer import char_transformer

__all__ = [
    "ACTIVATIONS",
    "alexnet",
    "alexnet_32",
    "char_rnn",
    "char_transformer",
    "cifar10_full",
    "cifar10_quick",
    "digits_conv",
    "from_caffe",
    "lenet",
    "mlp",
    "resnet_cifar",
    "sample",
]


def __dir__() -> list[str]:
    return __all__


add_examples(globals(), "models")
