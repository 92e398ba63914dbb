"""Which rate did each layer really have? The same step by SGD and by a rate for each layer, side by side.

Four sigmoid layers: the gradient shrinks on its way back. Forward and backward are the same on both sides; in the
updates the rate of a layer is multiplied by 1 + log(1 + 1 / its gradient's norm) (arXiv:1510.04609), so that the first
layers, which have the smallest gradients, are multiplied the most.
"""

import minidl as md
import minidl.functional as F
from minidl.optim import SGD, LayerSpecific
from minidl.stepper import Tape

MOMENT = "i=25&n=fc1.weight"  # at which the page is shown


def make() -> tuple[Tape, Tape]:
    """One step on sixteen digits from the same weights, under one rate and under a rate per layer."""
    return one_step("SGD", None), one_step("layer-specific", LayerSpecific())


def one_step(title: str, layer_rate: LayerSpecific | None) -> Tape:
    """One step of a deep sigmoid network."""
    md.seed(0)
    digits = md.data.digits().train
    model = md.models.mlp((64, 16, 16, 16, 10), "sigmoid", md.nn.init.xavier_caffe_)
    optimizer = SGD(model, lr=0.5, layer_rate=layer_rate)
    with md.record(title=title) as tape:
        x = md.Tensor(digits.inputs[:16])
        scores = model(x)
        loss = F.cross_entropy(scores, digits.labels[:16])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return tape


def multipliers(tape: Tape) -> dict[str, float]:
    """{weight: by how much its rate was multiplied}."""
    moves = {tape.values[event.output].key: event.numbers for event in tape.find("update")}
    return {name: numbers["multiplier"] for name, numbers in moves.items() if name.endswith("weight")}


def claim(sgd: Tape, layered: Tape) -> str:
    """What the page shows."""
    found = multipliers(layered)
    said = ", ".join(f"{x:.2f} in {name.removesuffix('.weight')}" for name, x in found.items())
    return f"SGD multiplies every layer's rate by {max(multipliers(sgd).values()):g}; layer-specific by {said}."
