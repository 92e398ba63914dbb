"""Three activations, ten hidden layers, all after Glorot."""

from figures.runs import digits
from minidl import models, observe, plot, seed
from minidl.nn.init import glorot_uniform_
from minidl.plot.style import ClaimFigure


def make(style: str) -> ClaimFigure:
    """On 128 digits."""
    data = digits().train
    found = {}
    for activation in ("sigmoid", "tanh", "relu"):
        seed(0)
        model = models.mlp((64, *[32] * 10, 10), activation, glorot_uniform_)
        found[activation] = observe.vanishing_theory(model, data.inputs[:128], data.labels[:128])
    return plot.theory(found, style=style)
