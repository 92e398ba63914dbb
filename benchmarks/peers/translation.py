"""A minidl Sequential in PyTorch, layer for layer, with the same weights."""

from __future__ import annotations

from typing import Any

import torch

from minidl import nn


class WithinChannel(torch.nn.Module):
    """Caffe's local response normalisation within each channel, which PyTorch does not have."""

    def __init__(self, size: int, alpha: float, beta: float, k: float) -> None:
        super().__init__()
        self.size, self.alpha, self.beta, self.k = size, alpha, beta, k

    def forward(self, x: Any) -> Any:
        mean = torch.nn.functional.avg_pool2d(x * x, self.size, stride=1, padding=self.size // 2)
        return x * (self.k + self.alpha * mean) ** -self.beta


def translated(model: nn.Sequential) -> torch.nn.Sequential:
    """`model` in PyTorch, with copies of its weights, in their dtype."""
    theirs = torch.nn.Sequential()
    for name, module in model.named_children():
        theirs.add_module(name, _translated(module))
    state = {name: torch.tensor(values) for name, values in model.state_dict().items()}
    theirs = theirs.to(next(iter(state.values())).dtype)
    theirs.load_state_dict(state)
    return theirs


def _translated(m: Any) -> torch.nn.Module:
    if isinstance(m, nn.Conv2d):
        return torch.nn.Conv2d(m.in_channels, m.out_channels, m.kernel_size, m.stride, m.padding, m.dilation, m.groups)
    if isinstance(m, nn.Linear):
        return torch.nn.Linear(m.in_features, m.out_features)
    if isinstance(m, nn.MaxPool2d):
        return torch.nn.MaxPool2d(m.kernel_size, m.stride, m.padding, ceil_mode=m.ceil_mode)
    if isinstance(m, nn.AvgPool2d):
        return torch.nn.AvgPool2d(m.kernel_size, m.stride, m.padding, m.ceil_mode, m.count_include_pad)
    if isinstance(m, nn.LocalResponseNorm):
        kind = WithinChannel if m.within_channel else torch.nn.LocalResponseNorm
        return kind(m.size, m.alpha, m.beta, m.k)
    same = {nn.ReLU: torch.nn.ReLU, nn.Flatten: torch.nn.Flatten, nn.Dropout: torch.nn.Dropout}
    return same[type(m)]()
