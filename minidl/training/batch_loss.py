"""BatchLoss: a loss function as `fit` and `evaluate` call it, which know then how much each batch counts."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from minidl.errors import describe
from minidl.functional.counting import Divisions, noting_divisions
from minidl.tensors.tensor import Tensor


def check_loss(loss: Any, name: str) -> None:
    """Refuse what cannot be called as loss(outputs, labels): a TypeError that begins with `name`, 'fit'."""
    if isinstance(loss, type):
        raise TypeError(f"{name}: expected a loss, loss(outputs, labels); got a class: make one, {loss.__name__}(...)")
    if not callable(loss):
        remark = f": numbers are given by name, epochs={loss}" if isinstance(loss, int) else ""
        raise TypeError(
            f"{name}: expected a loss, loss(outputs, labels), such as F.cross_entropy or nn.MSELoss(); got "
            f"{describe(loss)}{remark}"
        )


class BatchLoss:
    """loss(outputs, labels), known to be a Tensor of one number.

    Attributes:
        divisions: how the losses in the last call became one number, as far as they said so.

    Args:
        loss: the function.
        name: of the function that was given it, for messages.
    """

    def __init__(self, loss: Callable[[Any, Any], Any], name: str) -> None:
        check_loss(loss, name)
        self.loss = loss
        self.name = name
        self.divisions = Divisions()

    def __call__(self, outputs: Any, labels: Any, parts: bool = False) -> Tensor:
        with noting_divisions(parts) as self.divisions:
            value = self.loss(outputs, labels)
        if not isinstance(value, Tensor) or value.size != 1:
            remedy = "take its mean, F.mean(...)" if isinstance(value, Tensor) else "compute it of the outputs, by ops"
            raise TypeError(
                f"{self.name}: expected loss(outputs, labels) to be a Tensor with one number; got {describe(value)}: "
                f"{remedy}"
            )
        return value

    def is_sum(self) -> bool:
        """Whether the last loss was a sum over the batch, not a mean."""
        return any(division.divisor is None for division in self.divisions)

    def counted(self, examples: int) -> Any:
        """How much the last loss counts beside others: what its mean was divided by, or the number of examples.

        A number or a raw 0-d array. Of a loss that is made of several means it is what all were divided by, together.
        """
        if not self.divisions or self.is_sum():
            return examples
        return sum(division.divisor for division in self.divisions)
