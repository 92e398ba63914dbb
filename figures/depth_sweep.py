"""Three activations with three initialisers, from 5 to 40 hidden layers."""

from functools import partial

from figures.runs import digits
from minidl import models, nn, observe, plot
from minidl.plot.style import ClaimFigure

INITS = {"Glorot": nn.init.glorot_uniform_, "He": nn.init.he_normal_, "orthogonal": nn.init.orthogonal_}


def network(activation: str, init, depth: int) -> nn.Module:
    """`depth` hidden layers of 32 units."""
    return models.mlp((64, *[32] * depth, 10), activation, init)


def make(style: str) -> ClaimFigure:
    """At the first step, on 128 digits, three seeds each."""
    kinds = {
        f"{activation}, {name}": partial(network, activation, init)
        for activation in ("sigmoid", "tanh", "relu")
        for name, init in INITS.items()
    }
    data = digits().train
    found = observe.depth_sweep(kinds, [5, 10, 20, 40], data.inputs[:128], data.labels[:128])
    return plot.depth_sweep(found, style=style)
