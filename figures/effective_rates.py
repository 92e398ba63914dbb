"""The rate of each layer under one rate, a rate per layer, and a larger one rate."""

from figures.runs import rates
from minidl import plot
from minidl.plot.style import ClaimFigure


def make(style: str) -> ClaimFigure:
    """A sigmoid network of three hidden layers on the digits, 800 steps."""
    return plot.effective_rates(rates(), style=style)
