"""A minidl Sequential as a torch Sequential with the same weights, and what tests of networks count."""

from __future__ import annotations

from typing import Any

from minidl import nn
from tests.arrays import host
from tests.pytorch import torch


def translated(model: nn.Sequential) -> Any:
    """`model` in PyTorch, with copies of its weights, in float64; without PyTorch the test is skipped."""
    torch.zeros(0)  # skips the test where there is no PyTorch, before the import fails

    from benchmarks.peers.translation import translated as in_pytorch

    return in_pytorch(model).double()


def count(model: Any) -> int:
    """The number of parameters."""
    return sum(p.size for p in model.parameters())


def shapes(model: nn.Sequential, x: Any) -> dict[str, tuple[int, ...]]:
    """The shape of one sample after each layer, by the layer's name."""
    found = {}
    for name, module in model.named_children():
        x = module(x)
        found[name] = tuple(host(x).shape[1:])
    return found
