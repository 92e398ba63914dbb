"""Ten hidden layers: sigmoid, sigmoid behind batch normalisation, and ReLU, at the first step."""

from figures.runs import networks
from minidl import plot
from minidl.plot.style import ClaimFigure


def make(style: str) -> ClaimFigure:
    """The gradients of the weights."""
    return plot.gradient_flow(networks(), step=0, style=style)
