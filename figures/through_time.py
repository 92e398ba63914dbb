"""Recurrent networks whose weights have spectral radii from 0.5 to 1.5, over 60 time steps."""

import numpy as np

from minidl import nn, observe, plot
from minidl.plot.style import ClaimFigure


def cell(radius: float) -> nn.RNNCell:
    """128 tanh units with Gaussian recurrent weights, brought to this spectral radius."""
    made = nn.RNNCell(4, 128, bias=False)
    weight = np.random.default_rng(0).normal(size=(128, 128))
    made.weight_hh.data[...] = weight * radius / np.abs(np.linalg.eigvals(weight)).max()
    made.weight_ih.data[...] = np.random.default_rng(1).normal(size=(128, 4)) / 2
    return made


def make(style: str) -> ClaimFigure:
    """On eight random sequences."""
    x = (0.1 * np.random.default_rng(2).normal(size=(60, 8, 4))).astype(np.float32)
    cells = {f"radius {radius}": cell(radius) for radius in (0.5, 0.9, 1.0, 1.2, 1.5)}
    return plot.through_time(observe.through_time(cells, x), style=style)
