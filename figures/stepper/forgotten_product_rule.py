"""Where is the mistake in my backward? x * sigmoid(x), with the product rule and with half of it, side by side.

All forwards are the same, and on the way back everything until `Swish`: the mistake is where the two sides first
differ. Everything behind it is wrong too, and innocent.
"""

from typing import Any

import minidl as md
import minidl.functional as F
from minidl.stepper import Tape

MOMENT = "i=9&n=z"  # at which the page is shown


class Swish(md.Function):
    """y = x s(x), with the sigmoid s; dy/dx = s(x) + x s(x) (1 - s(x))."""

    saves_inputs = True  # backward is handed x

    def __init__(self, whole: bool) -> None:
        self.whole = whole  # the whole product rule, or as a student in a hurry writes it

    def forward(self, x: Any) -> Any:
        """Called with arrays."""
        return x * F.sigmoid(x)

    def backward(self, grad_out: Any, x: Any) -> Any:
        """The factor x has a derivative; the factor s(x) has one too."""
        s = F.sigmoid(x)
        if self.whole:
            return grad_out * (s + x * s * (1 - s))
        return grad_out * s


def make() -> tuple[Tape, Tape]:
    """One step through each."""
    return one_step("right", whole=True), one_step("half of the product rule", whole=False)


def one_step(title: str, whole: bool) -> Tape:
    """Two layers of two units, with the activation between."""
    x = md.tensor([[1.0, 2.0], [-1.0, 0.5]])
    w1 = md.tensor([[1.0, -1.0], [0.5, 1.0]], requires_grad=True)
    w2 = md.tensor([[1.0], [-2.0]], requires_grad=True)
    optimizer = md.optim.SGD([w1, w2], lr=0.1)
    with md.record(title=title) as tape:
        z = x @ w1
        h = Swish(whole)(z)
        y = h @ w2
        loss = F.mean(y**2)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return tape


def claim(right: Tape, wrong: Tape) -> str:
    """What the page shows."""
    gradients = {name: [tape.gradient(name).total.at((0, 0)) for tape in (right, wrong)] for name in ("h", "z", "w1")}
    h, z, w1 = (f"{a:.3f} and {b:.3f}" for a, b in gradients.values())
    return f"At [0, 0] dL/dh is {h}: the same. dL/dz is {z}: the mistake. dL/dw1 is {w1}: what comes of it."
