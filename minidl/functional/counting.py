"""What the means of losses were divided by: who makes one mean of several means has to know how much each counts.

Two batches whose losses are means over 3 and over 1 labels, because others are to be ignored, are together a mean over
4. `evaluate` asks for it:

    with noting_divisions() as divisions:
        loss = F.cross_entropy(scores, labels)
    divisions[0].divisor    # how many labels counted

Losses whose mean is over all examples, which a batch has as many of as it is long, need not say so.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, NamedTuple


class Division(NamedTuple):
    """How a loss became one number.

    Attributes:
        divisor: what the sum of the losses was divided by, a number or raw 0-d array; None if they were only added.
        ignored: the label that was left out, if there is one.
    """

    divisor: Any
    ignored: int | None = None


_noted: ContextVar[list[Division] | None] = ContextVar("minidl_divisions", default=None)
divisions = _noted.get  # None where nobody asks


@contextmanager
def noting_divisions() -> Iterator[list[Division]]:
    """Inside the block, in this thread or task, each loss adds its Division to the list."""
    found: list[Division] = []
    before = _noted.set(found)
    try:
        yield found
    finally:
        _noted.reset(before)


def note(reduction: str, divisor: Any, ignored: int | None = None) -> None:
    """Add the Division of a loss, if it became one number and somebody asks."""
    found = divisions()
    if found is not None and reduction != "none":
        found.append(Division(divisor if reduction == "mean" else None, ignored))
