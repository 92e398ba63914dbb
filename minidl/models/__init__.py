"""The networks of the examples, from a multi-layer perceptron to AlexNet: each file is one of them."""

from minidl.models.activations import ACTIVATIONS
from minidl.models.digits_conv import digits_conv
from minidl.models.mlp import mlp

__all__ = ["ACTIVATIONS", "digits_conv", "mlp"]
