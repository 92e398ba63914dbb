"""Ten hidden layers: sigmoid, sigmoid behind batch normalisation, and ReLU."""

from figures.runs import networks
from minidl import plot
from minidl.plot.style import ClaimFigure


def make(style: str) -> ClaimFigure:
    """Activations, back-propagated gradients and weight gradients."""
    return plot.flow_profile(networks(), steps=[0, -1], style=style)
