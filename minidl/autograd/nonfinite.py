"""Where NaN or infinity comes from, in words: which op made it, at which place, from which numbers."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from minidl import backend
from minidl.autograd.diagnosis import made_at, users_lines
from minidl.autograd.function import Function
from minidl.autograd.showing import options_of
from minidl.autograd.variable import Source
from minidl.errors import GraphError, describe

_LARGE = 4  # so many inputs are described
# Ops whose output at a place comes from their inputs at that place.
_ONE_BY_ONE = {
    "Add",
    "Sub",
    "Mul",
    "Div",
    "FloorDivide",
    "Remainder",
    "Pow",
    "PowNumber",
    "NumberPow",
    "Sqrt",
    "Square",
}
_ONE_BY_ONE |= {"Exp", "Expm1", "Log", "Log1p", "LogBase", "Tan", "Cast"}


def floats_of(x: Any) -> Any:
    """The floating numbers that x, an operand or an option, holds: an array; None if it holds none."""
    array = x._data if isinstance(x, Source) else x
    if isinstance(array, (float, np.floating, list, tuple)):
        try:
            array = np.asarray(array)
        except (TypeError, ValueError):  # it holds something else
            return None
    return array if backend.is_array(array) and array.dtype.kind == "f" else None


def all_finite(x: Any) -> bool:
    """Whether x holds neither NaN nor infinity; whole numbers, and what is no number, hold none."""
    array = floats_of(x)
    return array is None or bool(backend.module_of(array).isfinite(array).all())


def means_it(op: Any) -> bool:
    """Whether an option of the op is itself NaN or infinite: then so is its output, as its caller wished.

    Options are what is kept on the op, or stands in its class.
    """
    options = [value for cls in type(op).__mro__ for value in vars(cls).values() if isinstance(value, float)]
    return not all(all_finite(option) for option in (*options, *options_of(op).values()))


# ---- where it is


def odd_place(array: Any) -> tuple[int, ...]:
    """Where the first number stands that is not finite."""
    odd = ~backend.module_of(array).isfinite(array)
    return tuple(int(i) for i in np.unravel_index(int(odd.ravel().argmax()), array.shape))


def odd_words(array: Any) -> str:
    """Such as "2 of its 12 numbers, first -inf at (0, 3)"; "nan" of a single number."""
    place = odd_place(array)
    value = f"{float(array[place]):g}"
    if array.ndim == 0:
        return value
    count = int((~backend.module_of(array).isfinite(array)).sum())
    return f"{count} of its {array.size} numbers, first {value} at {place}"


def _value_at(x: Any, place: tuple[int, ...], shape: tuple[int, ...]) -> float | None:
    """The number of x that meets `place` of an array of `shape`, x being broadcast to it; None if it is not."""
    array = x._data if isinstance(x, Source) else x
    if isinstance(array, (int, float, np.generic)):
        return float(array)
    own = getattr(array, "shape", None)
    if own is None or len(own) > len(shape) or not backend.is_array(array):
        return None
    if any(n not in (1, m) for n, m in zip(own[::-1], shape[::-1], strict=False)):
        return None
    found = [0 if n == 1 else i for n, i in zip(own[::-1], place[::-1], strict=False)]
    return float(array[tuple(found[::-1])])


def _range_of(x: Any) -> str:
    array = floats_of(x)
    if array is None or isinstance(x, (float, np.floating)):  # a number says all by itself
        return describe(x)
    if array.size == 0:
        return f"{describe(x)}, of no numbers"
    if not all_finite(array):
        return f"{describe(x)}, with NaN or infinity: {odd_words(array)}"
    low, high = f"{float(array.min()):g}", f"{float(array.max()):g}"
    return f"{describe(x)}, {f'all {low}' if low == high else f'from {low} to {high}'}"


def _cause(op: str, inputs: Sequence[Any], values: Sequence[float | None], result: float, dtype: Any) -> str:
    """What happened to `values`, in the words of a textbook; "" where that is not known."""
    culprit = 1 if op == "Div" else 0  # the input that is to blame
    x = values[culprit] if culprit < len(values) else None
    words = "" if x is None else _mistake(op, x, result)
    if words:
        return words + _count(inputs[culprit], x == 0, culprit)
    if math.isinf(result):
        return f"too large for {dtype}, which ends at {float(np.finfo(dtype).max):g}"
    return ""


def _mistake(op: str, x: float, result: float) -> str:
    """What the op `op` cannot do with x; "" if it can."""
    if op == "Div" and x == 0:
        return "division by 0"
    if op in ("Log", "LogBase", "Log1p"):
        x = x + (op == "Log1p")
        return "log of 0" if x == 0 else "log of a negative number" if x < 0 else ""
    if op == "Sqrt" and x < 0:
        return "square root of a negative number"
    if op in ("Pow", "PowNumber") and x == 0:
        return "0 to a negative power"
    if op in ("Pow", "PowNumber") and x < 0 and math.isnan(result):
        return "a negative number to a power that is not whole"
    return ""


def _count(x: Any, zero: bool, i: int) -> str:
    """How often what went wrong stands in the input x: "; input 0 has 2 zeros"."""
    array = x._data if isinstance(x, Source) else x
    if not backend.is_array(array) or array.ndim == 0:
        return ""
    count = int((array == 0 if zero else array < 0).sum())
    return f"; input {i} has {count} {'zero' if zero else 'negative number'}{'' if count == 1 else 's'}"


# ---- the errors


def _in_layer(layers: tuple[str, ...] | None) -> str:
    return f" in layer {layers[0]!r}" if layers else ""


def born_in_forward(op: Any, inputs: Sequence[Any], result: Any, layers: tuple[str, ...]) -> GraphError:
    """The error for an op that made NaN or infinity of finite numbers."""
    name, array, place = op.plain.__name__, result._data, odd_place(result._data)
    shape, odd = tuple(array.shape), float(array[place])
    values = [_value_at(x, place, shape) for x in inputs] if name in _ONE_BY_ONE else []
    cause = _cause(name, inputs, values, odd, array.dtype)
    there = " and ".join(f"{v:g}" for v in values if v is not None)
    operands = "; ".join(f"input {i}: {_range_of(x)}" for i, x in enumerate(inputs[:_LARGE]))
    return GraphError(
        f"{name}{_in_layer(layers)} produced NaN or infinity from finite numbers{f': {cause}' if cause else ''}.\n"
        f"Not finite in its output: {odd_words(array)}{f', from {there}' if there else ''}.\n"
        f"It was given {operands}.\n"
        f"It was called at\n{users_lines()}"
    )


def born_in_backward(node: Any, i: int, grad_out: Any, grad: Any) -> GraphError:
    """The error for a backward that turned a finite gradient into NaN or infinity."""
    array = floats_of(grad)
    place, shape = odd_place(array), tuple(array.shape)
    seen = {"the incoming gradient": grad_out}
    if node.saves_inputs:
        seen |= {f"input {k}": x for k, x in enumerate(node.inputs or ())}
    if node.saves_output:
        seen["its output"] = node
    if node.plain.__name__ not in _ONE_BY_ONE:
        seen = {}
    there = {name: _value_at(x, place, shape) for name, x in seen.items()}
    known = ", ".join(f"{name} is {value:g}" for name, value in there.items() if value is not None)
    return GraphError(
        f"the backward of {node.plain.__name__}{_in_layer(_layers_of(node))} produced NaN or infinity in the gradient "
        f"of input {i}, {odd_words(array)}{f', where {known}' if known else ''}. {made_at(node)}"
    )


def born_in_sum(node: Any, grad_out: Any) -> GraphError:
    """The error for finite gradients that add up to infinity, or that a hook replaced."""
    return GraphError(
        f"the gradient of the output of {node.plain.__name__}{_in_layer(_layers_of(node))} turned NaN or infinite "
        f"where the gradients from several ops were added up, converted to {node._dtype}, or changed by a hook: "
        f"{odd_words(floats_of(grad_out))}. {made_at(node)}"
    )


def odd_loss(output: Any) -> GraphError:
    """The error for a backward from a loss that is no number."""
    origin = _first_odd(output._op)
    came = f"\nIt came in from outside: {origin._extras.odd}. {made_at(origin)}" if origin is not None else ""
    return GraphError(
        f"backward() was called on a loss that is {float(output._data.ravel()[0]):g}: {describe(output)}"
        f"{f', made by {output._op.plain.__name__}' if output._op is not None else ''}.{came}"
    )


def came_in(inputs: Sequence[Any]) -> str | None:
    """Which of an op's inputs that no op made holds NaN or infinity, in words; None if none does."""
    for i, x in enumerate(inputs):
        if getattr(x, "_op", None) is None and not all_finite(x):
            if isinstance(x, (float, np.floating)):
                return f"input {i} is the number {x:g}"
            return f"input {i}, {describe(x)}, holds NaN or infinity, {odd_words(floats_of(x))}"
    return None


def _first_odd(node: Any) -> Any:
    """The oldest op of the graph that ends in `node` into which NaN or infinity came from outside."""
    waiting, met, found = [node], {id(node)}, None
    while waiting:
        op = waiting.pop()
        if not isinstance(op, Function):
            continue
        if op._extras is not None and op._extras.odd is not None and (found is None or op.order < found.order):
            found = op
        for x in op.inputs or ():
            if id(x) not in met:
                met.add(id(x))
                waiting.append(x)
    return found


def odd_update(optimizer: Any, name: str, p: Any) -> GraphError:
    """The error for a step that made a parameter NaN or infinite."""
    data, grad = p._data, p._grad
    place = odd_place(data)
    why = ""
    if grad is not None and not all_finite(grad):
        why = f"Its gradient held NaN or infinity, {odd_words(grad._data)}."
    elif grad is not None:
        largest = float(abs(grad._data).max())
        there = float(grad._data[place])
        why = f"Its gradient there is {there:g}, the largest of all {largest:g}; lr is {optimizer.lr:g}."
    return GraphError(
        f"the step of {type(optimizer).__name__} made parameter {name!r} NaN or infinite, {odd_words(data)}. {why}\n"
        f"{optimizer!r}\nIt was called at\n{users_lines()}"
    )


def _layers_of(node: Any) -> tuple[str, ...] | None:
    return None if node._extras is None else node._extras.layers
