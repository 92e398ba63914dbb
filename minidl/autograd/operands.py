"""What an op's `forward` is handed: the arrays in its Tensors, and arrays for numbers and lists."""

from __future__ import annotations

from typing import Any

import numpy as np

from minidl import backend
from minidl.autograd.variable import Variable
from minidl.errors import DTypeError

READY = frozenset((np.ndarray, float, int, bool))  # classes of operands that forward can be handed as they are


def raw_operands(op: Any, xs: tuple[Any, ...]) -> list[Any]:
    """The operands `xs` of `op` as `forward` can be handed them.

    Raises:
        GraphError: a Tensor that no longer shows its values.
        DTypeError: a list of Tensors.
    """
    arrays = [x._data if isinstance(x, Variable) and not (x._writes and x._writes.stale) else _raw(op, x) for x in xs]
    if op.foreign or type(arrays[0]) is not np.ndarray or not READY.issuperset(map(type, arrays)):
        arrays = converted(op, xs, arrays)
    return arrays


def _raw(op: Any, x: Any) -> Any:
    return x.shown(type(op).__name__) if isinstance(x, Variable) else backend.native(x)


def converted(op: Any, inputs: tuple[Any, ...], arrays: list[Any]) -> list[Any]:
    """`arrays`, of which some are still numbers, lists or NumPy's scalars, as arrays; your own op's read-only."""
    has_array = any(isinstance(x, Variable) or type(x) is np.ndarray for x in inputs)
    if not has_array or any(_has_to_be_made(x) for x in inputs):
        for x in inputs:
            refuse_several(type(op).__name__, x)
        arrays = backend.as_operands(arrays)
    return [backend.read_only(x) for x in arrays] if op.foreign else arrays


def _has_to_be_made(x: Any) -> bool:
    return isinstance(x, (np.generic, complex, list, tuple)) or backend.native(x) is not x


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
