"""The range test of two methods on the digits."""

import minidl as md
from figures.runs import digits
from minidl import observe, plot
from minidl.plot.style import ClaimFigure


def make(style: str) -> ClaimFigure:
    """SGD with momentum beside Adam: their rates are of other orders."""
    found = {}
    for name in ("SGD with momentum", "Adam"):
        md.seed(0)
        model = md.models.mlp((64, 64, 64, 10), "relu", md.nn.init.he_normal_)
        sgd = name != "Adam"
        optimizer = md.optim.SGD(model, lr=0.1, momentum=0.9) if sgd else md.optim.Adam(model, lr=1e-3)
        loader = md.data.Loader(digits().train, batch_size=32, seed=0)
        found[name] = observe.rate_range(model, optimizer, loader, low=1e-5, high=10.0, steps=200)
    return plot.rate_range(found, style=style)
