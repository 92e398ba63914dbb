"""Where do a convolution's gradients go, and which numbers never see one? One step of LeNet.

Max pooling sends each gradient to the one place that won: three quarters of what it passes on are 0. Large arrays are
heat maps, of the largest a sample, which says so; the norms are of the whole arrays.
"""

import numpy as np

import minidl as md
import minidl.functional as F
from minidl.stepper import Tape

MOMENT = "i=15&n=conv2.conv"  # at which the page is shown


def make() -> tuple[Tape]:
    """LeNet as in Caffe, on four handwritten digits of 8x8 pixels, enlarged to 28x28."""
    md.seed(0)
    digits = md.data.digits().train
    images = np.kron(digits.inputs[:4].reshape(4, 1, 8, 8), np.ones((3, 3), np.float32))
    images = np.pad(images, ((0, 0), (0, 0), (2, 2), (2, 2)))
    model = md.models.lenet()
    optimizer = md.optim.SGD(model, lr=0.01, momentum=0.9, weight_decay=5e-4)
    with md.record(title="a LeNet step") as tape:
        x = md.Tensor(images)
        scores = model(x)
        loss = F.cross_entropy(scores, digits.labels[:4])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return (tape,)


def claim(tape: Tape) -> str:
    """What the page shows."""
    sent = {tape.layer(event): event.addends[0].grad for event in tape.find("backward", "MaxPool")}
    zeros = ", ".join(f"{kept.zeros / kept.size:.1%} at {layer}" for layer, kept in sent.items())
    norms = {tape.values[e.output].key: e.gradient.norm for e in tape.find("accumulate")}
    return (
        f"Of the numbers in the gradient that pooling sends back these are 0: {zeros}. The gradient of fc2.weight has "
        f"norm {norms['fc2.weight']:.2g}, that of conv1.weight {norms['conv1.weight']:.2g}."
    )
