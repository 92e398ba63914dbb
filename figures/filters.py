"""The first filters of a convolutional network before and after training."""

from figures.runs import small_conv
from minidl import models, observe, plot
from minidl.plot.style import ClaimFigure


def make(style: str) -> ClaimFigure:
    """Eight filters of 3 x 3."""
    before, trained = small_conv()
    untrained = models.digits_conv()
    untrained.load_state_dict(before)
    return plot.filters({"before": observe.filters(untrained), "after": observe.filters(trained)}, style=style)
