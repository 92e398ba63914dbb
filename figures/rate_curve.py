"""The multiplier of a rate per layer against the gradient, and where the layers of a deep sigmoid network lie."""

from figures.runs import early
from minidl import plot
from minidl.plot.style import ClaimFigure


def make(style: str) -> ClaimFigure:
    """Five hidden layers, the first 100 steps."""
    return plot.rate_curve(early(), style=style)
