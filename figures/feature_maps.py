"""What two layers of a trained convolutional network make of one digit."""

from figures.runs import digits, small_conv
from minidl import observe, plot
from minidl.plot.style import ClaimFigure


def make(style: str) -> ClaimFigure:
    """Behind the first and the second activation."""
    model, image = small_conv()[1], digits().test.inputs[3]
    layers = {"first layer": "act1", "second layer": "act2"}
    found = {name: observe.feature_maps(model, image, layer) for name, layer in layers.items()}
    return plot.feature_maps(found, style=style)
