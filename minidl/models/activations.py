"""Activation functions by name, for the models that take one."""

from __future__ import annotations

from collections.abc import Callable

from minidl import nn

Activation = str | Callable[[], nn.Module]  # a name out of ACTIVATIONS, or a class such as nn.Tanh

ACTIVATIONS: dict[str, Callable[[], nn.Module]] = {
    "elu": nn.ELU,
    "gelu": nn.GELU,
    "hardtanh": nn.Hardtanh,
    "leaky_relu": nn.LeakyReLU,
    "prelu": nn.PReLU,
    "relu": nn.ReLU,
    "selu": nn.SELU,
    "sigmoid": nn.Sigmoid,
    "silu": nn.SiLU,
    "softplus": nn.Softplus,
    "softsign": nn.Softsign,
    "tanh": nn.Tanh,
}


def activation_class(name: Activation) -> Callable[[], nn.Module]:
    """The class of the activation function called `name`; a class is returned as it is.

    Raises:
        ValueError: there is none of that name.
    """
    if isinstance(name, type) and issubclass(name, nn.Module):
        return name
    if not isinstance(name, str) or name not in ACTIVATIONS:
        raise ValueError(
            f"expected an activation out of {', '.join(ACTIVATIONS)}, or a class such as nn.Tanh; got {name!r}"
        )
    return ACTIVATIONS[name]
