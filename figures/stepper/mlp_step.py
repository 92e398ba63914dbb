"""What happens in one training step? Forward, loss, backward, accumulate, update, on matrices that can be read.

Six points in the plane, three hidden units, two classes. `zero_grad` leaves no gradient, so `.grad` is "none" before
each accumulate; the update is w - 0.5 * dL/dw, number by number.
"""

import minidl as md
import minidl.functional as F
from minidl.stepper import Tape

MOMENT = "i=13&n=fc1.weight"  # at which the page is shown


def make() -> tuple[Tape]:
    """One step of SGD."""
    md.seed(0)
    points = md.data.moons(6, noise=0.1, seed=0)
    model = md.models.mlp((2, 3, 2), "tanh")
    optimizer = md.optim.SGD(model, lr=0.5)
    with md.record(title="an MLP step") as tape:
        x = md.Tensor(points.inputs)
        scores = model(x)
        loss = F.cross_entropy(scores, points.labels)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return (tape,)


def claim(tape: Tape) -> str:
    """What the page shows."""
    (moved,) = [e for e in tape.find("update") if tape.values[e.output].key == "fc1.weight"]
    before, after, gradient = (kept.at((0, 0)) for kept in (moved.before, moved.after, moved.gradient))
    return (
        f"{len(tape)} events. fc1.weight[0, 0] moves from {before:.4f} to {after:.4f}, by "
        f"{moved.numbers['lr']:g} times its gradient {gradient:.4f}."
    )
