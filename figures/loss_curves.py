"""Losses of a small and a large network on few examples."""

import minidl as md
from figures.runs import digits
from minidl import plot
from minidl.plot.style import ClaimFigure


def make(style: str) -> ClaimFigure:
    """200 digits for training: the large network learns them by heart."""
    few, _ = digits().train.split(200, len(digits().train) - 200, seed=0)
    histories = {}
    for name, units in (("8 units", 8), ("256 units", 256)):
        md.seed(0)
        model = md.models.mlp((64, units, units, 10), "relu")
        loader = md.data.Loader(few, batch_size=20, seed=0)
        optimizer = md.optim.SGD(model, lr=0.05, momentum=0.9)
        histories[name] = md.fit(model, optimizer, loader, epochs=30, validation=digits().validation, progress=False)
    return plot.loss_curves(histories, style=style)
