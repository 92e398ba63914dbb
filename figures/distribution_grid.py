"""Distributions in ten hidden layers: sigmoid, sigmoid behind batch normalisation, and ReLU."""

from figures.runs import networks
from minidl import plot
from minidl.plot.style import ClaimFigure


def make(style: str) -> ClaimFigure:
    """At the first step."""
    return plot.distribution_grid(networks(), snapshot=0, style=style)
