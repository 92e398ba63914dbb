"""The mistakes of a small convolutional network on the test digits."""

from figures.runs import digits, small_conv
from minidl import observe, plot
from minidl.plot.style import ClaimFigure


def make(style: str) -> ClaimFigure:
    """After eight epochs."""
    return plot.confusion(observe.confusion(small_conv()[1], digits().test), style=style)
