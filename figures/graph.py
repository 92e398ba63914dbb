"""The graph of a small network's loss, after backward."""

from figures.runs import digits
from minidl import Tensor, models, observe, plot, seed
from minidl import functional as F
from minidl.plot.style import ClaimFigure


def make(style: str) -> ClaimFigure:
    """64 - 8 - 8 - 10 with sigmoids, on 32 digits."""
    seed(0)
    model = models.mlp((64, 8, 8, 10))
    data = digits().train
    loss = F.cross_entropy(model(Tensor(data.inputs[:32])), data.labels[:32])
    graph = observe.Graph(loss)
    loss.backward()
    return plot.graph(graph, style=style)
