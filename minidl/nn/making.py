"""What layers are made of: their first weights, and how they show their options."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

import numpy as np

from minidl import backend
from minidl.nn import init as initialisers
from minidl.nn.module import Module
from minidl.nn.parameter import Parameter
from minidl.tensors.array import DEFAULT_DTYPE

Init = Callable[[Parameter], Any]


def blank(*shape: int) -> Any:
    """Zeros of `shape` on the current backend, to be initialised."""
    return backend.to_device(np.zeros(shape, DEFAULT_DTYPE), backend.current())


def start(weight: Parameter, bias: Parameter | None, init: Init | None) -> None:
    """Initialise a layer: with `init` its weight, the bias staying 0; without, as PyTorch."""
    if init is None:
        initialisers.layer_default_(weight, bias)
    elif callable(init):
        init(weight)
    else:
        raise TypeError(f"expected init as a function of the weight, such as nn.init.he_normal_; got {init!r}")


def changed(module: Module, *before: str) -> str:
    """'8, eps=0.1': what is said `before`, and the options of `__init__` that are not what they are by default."""
    parts = list(before)
    for name, option in inspect.signature(type(module)).parameters.items():
        value, default = vars(module).get(name, option.default), option.default
        if default is option.empty or not isinstance(value, (bool, int, float, str, tuple, type(None))):
            continue
        if isinstance(value, tuple):  # the number given, once for each axis
            value, default = times(value), times((default,) * len(value))
        elif value is None and default is True:  # the parameter that is not there
            value = False
        if value != default:
            parts.append(f"{name}={value}")
    return ", ".join(parts)


def times(sizes: tuple[Any, ...]) -> str:
    """'3x3' for (3, 3)."""
    return "x".join(map(str, sizes))
