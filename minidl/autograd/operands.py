"""Operands that are no Tensors and no arrays: numbers, lists, NumPy's scalars."""

from __future__ import annotations

from typing import Any

import numpy as np

from minidl import backend
from minidl.autograd.variable import Variable
from minidl.errors import DTypeError


def as_operands(op: Any, inputs: tuple[Any, ...], arrays: list[Any]) -> list[Any]:
    """The operands of `op` as `forward` can be handed them. A list of Tensors is refused."""
    known = any(isinstance(x, Variable) or type(x) is np.ndarray for x in inputs)
    if known and not any(isinstance(x, (np.generic, list, tuple)) for x in inputs):
        return arrays  # None, or an array of a device
    for x in inputs:
        refuse_several("", x)  # the op's name is added to what goes wrong in it
    return backend.as_operands(arrays)


def refuse_several(name: str, x: Any) -> None:
    """Refuse a list or tuple of Tensors as an operand of `name`: as an array of numbers it would lose their history.

    The name is "" where the message gets it later.
    """
    if holds_variable(x):
        raise DTypeError(
            f"{f'{name}: ' if name else ''}expected a Tensor, an array or a number; got a {type(x).__name__} of "
            f"Tensors. F.stack makes one of them; a recurrent layer returns (output, state): use the first"
        )


def holds_variable(x: Any) -> bool:
    """Whether x is a list or tuple with a Tensor somewhere in it."""
    return isinstance(x, (list, tuple)) and any(isinstance(part, Variable) or holds_variable(part) for part in x)
