"""Why does my training run away? Two steps with `zero_grad` and without it, side by side.

The first step is the same on both sides. In the second, look at accumulate: on the right-hand side `.grad` is not empty
before, so the new gradient is added to the old one, and the weight goes too far.
"""

import minidl as md
import minidl.functional as F
from minidl.stepper import Tape

MOMENT = "i=27&n=w"  # at which the page is shown


def make() -> tuple[Tape, Tape]:
    """Two steps of a line through four points, right and wrong."""
    return two_steps("right", forget=False), two_steps("zero_grad forgotten", forget=True)


def two_steps(title: str, forget: bool) -> Tape:
    """Fit y = w x + b; the points lie on y = 2x + 1."""
    x = md.tensor([-1.0, 0.0, 1.0, 2.0])
    y = md.tensor([-1.0, 1.0, 3.0, 5.0])
    w, b = md.tensor(0.0, requires_grad=True), md.tensor(0.0, requires_grad=True)
    optimizer = md.optim.SGD([w, b], lr=0.2)
    with md.record(title=title) as tape:
        for _ in range(2):
            if not forget:
                optimizer.zero_grad()
            loss = F.mean((w * x + b - y) ** 2)
            loss.backward()
            optimizer.step()
    return tape


def claim(right: Tape, wrong: Tape) -> str:
    """What the page shows."""
    (added,) = [e for e in wrong.find("accumulate", step=1) if wrong.values[e.output].key == "w"]
    new, old, used = (kept.at(()) for kept in (added.gradient, added.before, added.after))
    ends = [tape.content("w").at(()) for tape in (right, wrong)]
    return (
        f"In the second step w's gradient is {new:.3f} on both sides; where zero_grad was forgotten {old:.3f} stood in "
        f".grad already, and the step uses {used:.3f}. After it w is {ends[0]:.3f} and {ends[1]:.3f} (right: 2)."
    )
