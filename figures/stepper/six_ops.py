"""Why is a gradient a sum? Six ops, in which h is used three times and b by both numbers.

In the backward dL/dh gets one addend from `square + h` and two from `h * h`, and is complete only then. dL/db arrives
as two numbers and is summed to the shape of b, since b was added to both.
"""

import minidl as md
import minidl.functional as F
from minidl.stepper import Tape

MOMENT = "i=10&n=h"  # at which the page is shown


def make() -> tuple[Tape]:
    """One loss of six ops, and its backward."""
    x = md.tensor([1.0, -2.0])
    w = md.tensor([0.5, 0.25], requires_grad=True)
    b = md.tensor(0.1, requires_grad=True)
    with md.record(title="six ops") as tape:
        z = x * w
        a = z + b
        h = F.tanh(a)
        square = h * h
        y = square + h
        loss = F.sum(y)
        loss.backward()
    return (tape,)


def claim(tape: Tape) -> str:
    """What the page shows."""
    h, b = tape.gradient("h"), tape.gradient("b")
    came = ", ".join(f"{addend.grad.at((0,)):.3f}" for _, addend in h.addends)
    (_, to_b), *_ = b.addends
    return (
        f"dL/dh[0] = {h.total.at((0,)):.3f} is the sum of {len(h.addends)} addends ({came}). "
        f"What reaches b has shape {to_b.shape_before} and is summed to {b.total.at(()):.3f}."
    )
