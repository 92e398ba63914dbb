"""What the means of losses were divided by: who makes one mean of several means has to know how much each counts.

Two batches whose losses are means over 3 and over 1 labels, because others are to be ignored, are together a mean over
4. `evaluate` asks for it:

    with noting_divisions() as divisions:
        loss = F.cross_entropy(scores, labels)
    divisions[0].divisor    # how many labels counted

A loss may be made of several such parts, each divided by another number. So `evaluate` also asks for the parts, and
how much each counts in what was made of them: the slope of the loss by the part.

Losses whose mean is over all examples, which a batch has as many of as it is long, need not say so.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, NamedTuple

from minidl.autograd.variable import Variable
from minidl.backend import module_of
from minidl.functional.arithmetic import multiply
from minidl.types import TensorLike


class Division(NamedTuple):
    """How a loss became one number.

    Attributes:
        divisor: what the sum of the losses was divided by, a number or raw 0-d array; None if they were only added.
        ignored: the label that was left out, if there is one.
        part: that number, as a Tensor whose gradient can be asked for; None unless parts were asked for. A mean over
            nothing, which would be NaN, is 0.
    """

    divisor: Any
    ignored: int | None = None
    part: Any = None


class Divisions(list[Division]):
    """What was noted, and whether parts are asked for."""

    def __init__(self, parts: bool = False) -> None:
        super().__init__()
        self.parts = parts


_noted: ContextVar[Divisions | None] = ContextVar("minidl_divisions", default=None)
divisions = _noted.get  # None where nobody asks


@contextmanager
def noting_divisions(parts: bool = False) -> Iterator[Divisions]:
    """Inside the block, in this thread or task, each loss adds its Division to the list, with its part if asked for."""
    found = Divisions(parts)
    before = _noted.set(found)
    try:
        yield found
    finally:
        _noted.reset(before)


def noted(loss: TensorLike, reduction: str, divisor: Any, ignored: int | None = None) -> TensorLike:
    """`loss`, whose Division is added to the list if it became one number and somebody asks.

    Where parts are asked for it is not `loss` itself, but depends on the part alone.
    """
    found = divisions()
    if found is None or reduction == "none":
        return loss
    divisor, part = divisor if reduction == "mean" else None, None
    if found.parts and isinstance(loss, Variable):
        xp, data = module_of(loss._data), loss._data
        nothing = xp.asarray(divisor == 0)
        part = loss.wrap(xp.asarray(xp.where(nothing, 0, data), dtype=data.dtype))
        part._requires_grad = True
        loss = multiply(part, 1)  # no leaf: `loss += penalty` writes to it
    found.append(Division(divisor, ignored, part))
    return loss
