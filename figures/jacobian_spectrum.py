"""Twenty layers of tanh: random weights, orthogonal ones, and residual blocks."""

import numpy as np

from minidl import nn, observe, plot, seed
from minidl.plot.style import ClaimFigure


def layer(i: int, init) -> list:
    """A dense layer and its tanh."""
    return [(f"fc{i}", nn.Linear(32, 32, init=init)), (f"act{i}", nn.Tanh())]


def make(style: str) -> ClaimFigure:
    """At four random inputs."""
    inputs = (0.3 * np.random.default_rng(0).normal(size=(4, 32))).astype(np.float32)
    found = {}
    for kind, init in (("random", nn.init.lecun_normal_), ("orthogonal", nn.init.orthogonal_)):
        seed(0)
        model = nn.Sequential([part for i in range(1, 21) for part in layer(i, init)])
        found[kind] = observe.jacobian_spectrum(model, inputs)
    seed(0)
    blocks = [(f"res{i}", nn.Residual(nn.Sequential(layer(i, nn.init.lecun_normal_)))) for i in range(1, 21)]
    found["random, residual"] = observe.jacobian_spectrum(nn.Sequential(blocks), inputs)
    return plot.jacobian_spectrum(found, style=style)
