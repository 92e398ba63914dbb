"""Curvature and gradient of each layer while a deep sigmoid and a ReLU network learn the digits."""

import minidl as md
import minidl.functional as F
from figures.runs import digits
from minidl import observe, plot
from minidl.nn import init
from minidl.plot.style import ClaimFigure

LOOKS = (0, 20, 50, 100, 200, 300, 400, 600, 799)


def look_at(model, lr: float) -> observe.CurvatureRecording:
    """Train with SGD, and measure at some steps on all training digits."""
    data = digits().train
    inputs, labels = md.Tensor(data.inputs), data.labels
    optimizer = md.optim.SGD(model, lr=lr)
    seen, step = observe.Curvature(model, products=25, tolerance=1e-2), 0
    while step <= LOOKS[-1]:
        for x, y in md.data.Loader(data, batch_size=32, seed=0):
            if step in LOOKS:
                seen.look(step, F.cross_entropy(model(inputs), labels))
            optimizer.zero_grad()
            F.cross_entropy(model(md.Tensor(x)), y).backward()
            optimizer.step()
            step += 1
    return seen.recording


def make(style: str) -> ClaimFigure:
    """Three hidden layers of 32 units, 800 steps."""
    found = {}
    for activation, weights, lr in (("sigmoid", init.xavier_caffe_, 2.0), ("relu", init.he_normal_, 0.1)):
        md.seed(0)
        found[activation] = look_at(md.models.mlp((64, 32, 32, 32, 10), activation, weights), lr)
    return plot.curvature(found, style=style)
