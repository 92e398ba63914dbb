"""Two moons, and what networks of three sizes make of them."""

import minidl as md
from minidl import observe, plot
from minidl.plot.style import ClaimFigure


def make(style: str) -> ClaimFigure:
    """No hidden layer, three units, and thirty-two."""
    data = md.data.moons(200, noise=0.15)
    found = {}
    for name, sizes in (("no hidden unit", (2, 2)), ("3 hidden units", (2, 3, 2)), ("32 hidden units", (2, 32, 2))):
        md.seed(3)
        model = md.models.mlp(sizes, "tanh")
        loader = md.data.Loader(data, batch_size=50, seed=0)
        md.fit(model, md.optim.Adam(model, lr=0.05), loader, epochs=150, progress=False)
        found[name] = observe.decision_boundary(model, data)
    return plot.decision_boundary(found, style=style)
