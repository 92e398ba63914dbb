"""Which op takes the gradient of three networks with ten hidden layers."""

from figures.runs import digits, ten_layers
from minidl import Tensor, observe, plot
from minidl import functional as F
from minidl.plot.style import ClaimFigure


def make(style: str) -> ClaimFigure:
    """One backward pass over 64 digits each."""
    data = digits().train
    found = {}
    for kind in ("sigmoid", "batch norm", "relu"):
        model = ten_layers(kind)
        loss = F.cross_entropy(model(Tensor(data.inputs[:64])), data.labels[:64])
        graph = observe.Graph(loss)
        loss.backward()
        found[kind] = graph.recording  # while the model is there, whose name its layers' names come from
    return plot.attribution(found, style=style)
