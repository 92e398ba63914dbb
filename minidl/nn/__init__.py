"""Layers, the modules that hold them, and initialisers."""

from minidl.nn import init
from minidl.nn.containers import ModuleList, Sequential
from minidl.nn.linear import Linear
from minidl.nn.module import Module
from minidl.nn.parameter import Parameter

__all__ = [
    "Linear",
    "Module",
    "ModuleList",
    "Parameter",
    "Sequential",
    "init",
]
