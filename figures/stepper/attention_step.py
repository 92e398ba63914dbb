"""What may a place look at, and what does it learn from it? One step of causal attention on four places.

The first place can only look at itself: its weight is 1 whatever its query is, so its query gets the gradient 0. The
last key is looked at by the last query alone: in the gradient of the scores its column holds one number.
"""

import minidl as md
import minidl.functional as F
from minidl.stepper import Tape

MOMENT = "i=24&n=query"  # at which the page is shown


def make() -> tuple[Tape]:
    """Four places of two numbers; each is asked for the number that stood first."""
    x = md.tensor([[1.0, 0.0], [0.0, 1.0], [-1.0, 0.0], [0.0, -1.0]])
    to_query = md.tensor([[1.0, 0.0], [0.0, 1.0]], requires_grad=True)
    to_key = md.tensor([[1.0, 0.0], [0.0, 1.0]], requires_grad=True)
    to_value = md.tensor([[1.0, 0.5], [0.5, 1.0]], requires_grad=True)
    optimizer = md.optim.SGD([to_query, to_key, to_value], lr=1.0)
    first = x[0]
    with md.record(title="an attention step") as tape:
        query = x @ to_query
        key = x @ to_key
        value = x @ to_value
        out = F.scaled_dot_product_attention(query, key, value, is_causal=True)
        loss = F.mean((out - first) ** 2)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return (tape,)


def claim(tape: Tape) -> str:
    """What the page shows."""
    rows = [tape.gradient("query").total.at((i, j)) for i in range(4) for j in range(2)]
    last = max(abs(x) for x in rows[-2:])
    return (
        f"The first query gets the gradient {rows[0]:g}, {rows[1]:g}; the last one at most {last:.3f}. "
        f"The loss {tape.content('loss').at(()):.3f} moves all three matrices."
    )
