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
    if known and not any(_has_to_be_made(x) for x in inputs):
        return arrays  # None, or an array of a device
    for x in inputs:
        refuse_several(type(op).__name__, x)
    return backend.as_operands(arrays)


def _has_to_be_made(x: Any) -> bool:
    return isinstance(x, (np.generic, list, tuple)) or backend.is_of_subclass(x)


def refuse_several(name: str, x: Any) -> None:
    """Refuse a list or tuple of Tensors as an operand of `name`: as an array of numbers it would lose their history."""
    if holds_variable(x):
        raise DTypeError(
            f"{name}: expected a Tensor, an array or a number; got a {type(x).__name__} of Tensors. F.stack makes one "
            f"of them; a recurrent layer returns (output, state): use the first"
        )


def holds_variable(x: Any) -> bool:
    """Whether x is a list or tuple with a Tensor somewhere in it."""
    return isinstance(x, (list, tuple)) and any(isinstance(part, Variable) or holds_variable(part) for part in x)
