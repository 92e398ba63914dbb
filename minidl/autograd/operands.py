"""What an op's `forward` is handed: the arrays in its Tensors, and arrays for numbers and lists."""

from __future__ import annotations

from typing import Any

import numpy as np

from minidl import backend
from minidl.autograd.odd_operands import refuse_several
from minidl.autograd.own_op import refuse_unknown
from minidl.autograd.variable import Variable

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
    if op.foreign:
        refuse_unknown(type(op))
    has_array = any(isinstance(x, Variable) or type(x) is np.ndarray for x in inputs)
    if not has_array or any(_has_to_be_made(x) for x in inputs):
        for x in inputs:
            refuse_several(type(op).__name__, x)
        arrays = backend.as_operands(arrays)
    return [backend.read_only(x) for x in arrays] if op.foreign else arrays


def _has_to_be_made(x: Any) -> bool:
    return isinstance(x, (np.generic, complex, list, tuple)) or backend.native(x) is not x
