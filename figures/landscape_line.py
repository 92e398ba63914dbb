"""The loss from the first weights to the trained ones, and between the results of two trainings."""

import minidl as md
import minidl.functional as F
from figures.runs import digits
from minidl import observe, plot
from minidl.plot.style import ClaimFigure


def make(style: str) -> ClaimFigure:
    """A network of one hidden layer, trained from two seeds."""
    data = digits().train
    ends = []
    for seed in (0, 1):
        md.seed(seed)
        model = md.models.mlp((64, 32, 10), "relu")
        before = model.state_dict()
        loader = md.data.Loader(data, batch_size=32, seed=seed)
        md.fit(model, md.optim.SGD(model, lr=0.1, momentum=0.9), loader, epochs=10, progress=False)
        ends.append((before, model.state_dict()))

    def loss() -> md.Tensor:
        return F.cross_entropy(model(md.Tensor(data.inputs)), data.labels)

    lines = {
        "first weights to trained ones": observe.landscape_line(model, *ends[0], loss),
        "one training to another": observe.landscape_line(model, ends[0][1], ends[1][1], loss),
    }
    return plot.landscape_line(lines, style=style)
