"""Four methods in a ravine that is 25 times as steep across as along."""

from minidl import observe, optim, plot
from minidl.plot.style import ClaimFigure


def ravine(p):
    """f(x, y) = (x^2 + 25 y^2) / 2."""
    return 0.5 * (p[0] ** 2 + 25 * p[1] ** 2)


def make(style: str) -> ClaimFigure:
    """SGD near its largest rate, momentum, RMSprop and Adam."""
    methods = {
        "SGD": lambda ps: optim.SGD(ps, lr=0.07),
        "momentum": lambda ps: optim.SGD(ps, lr=0.03, momentum=0.7),
        "RMSprop": lambda ps: optim.RMSprop(ps, lr=0.1),
        "Adam": lambda ps: optim.Adam(ps, lr=0.3),
    }
    found = observe.optimizer_paths(ravine, (-4.5, 1.2), methods, steps=50, limits=((-5.2, 2.0), (-1.9, 1.9)))
    return plot.optimizer_paths(found, style=style)
