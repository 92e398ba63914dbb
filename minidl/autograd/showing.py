"""How an op shows itself, before it is called and as a node of the graph.

Sum(axis=1, keepdims=False)
Mul() of 'w' (3,), Exp (3,), in layer 'fc1', at train.py:12 in <module>: y = w * F.exp(x)
"""

from __future__ import annotations

from typing import Any

import numpy as np

from minidl import backend
from minidl.autograd.variable import Source, Variable
from minidl.errors import printable

_FEW = 6  # inputs and options are written out, and so many letters of an option are too many:
_LONG = 40


def options_of(op: Any) -> dict[str, Any]:
    """What an op keeps on itself, by name: its options, and what its forward left for its backward."""
    slots: list[str] = []
    for cls in type(op).__mro__[::-1]:
        if not cls.__module__.startswith("minidl.autograd."):
            own = vars(cls).get("__slots__", ())
            slots += [own] if isinstance(own, str) else own
    kept = {name: getattr(op, name) for name in slots if name != "__weakref__" and hasattr(op, name)}
    return {**kept, **getattr(op, "__dict__", {})}


def op_words(op: Any) -> str:
    """What `repr(op)` is; it never raises, and looks at no other nodes than those of the op's inputs."""
    name = op.plain.__name__
    try:
        written = [f"{key}={_option(value)}" for key, value in options_of(op).items()]
        words = f"{name}({', '.join([*written[:_FEW], *['...'] * (len(written) > _FEW)])})"
        if not hasattr(op, "order"):
            return printable(words)
        if op.inputs is None:
            return printable(f"{words}, freed by a backward")
        inputs = [_input(x) for x in op.inputs]
        words += f" of {', '.join([*inputs[:_FEW], *['...'] * (len(inputs) > _FEW)])}"
        extras = op._extras
        if extras is not None and extras.layers:
            words += f", in layer {extras.layers[0]!r}"
        if extras is not None and extras.where:
            words += f", at {extras.where.splitlines()[-1].strip()}"
        return printable(words)
    except Exception:
        return f"{name}()"


def _option(value: Any) -> str:
    if backend.is_array(value):
        return f"array {tuple(value.shape)}"
    plain = value is None or isinstance(value, (bool, int, float, str, tuple, slice, np.generic, np.dtype))
    text = repr(value) if plain and not _holds_arrays(value) else type(value).__name__
    return text if len(text) <= _LONG else f"{type(value).__name__} of {len(text)} letters"


def _holds_arrays(value: Any) -> bool:
    return isinstance(value, tuple) and any(backend.is_array(x) or isinstance(x, (tuple, Source)) for x in value)


def _input(x: Any) -> str:
    if isinstance(x, Variable):
        name = getattr(x, "name", None)
        return f"{repr(name) if name else 'Tensor'} {tuple(x._data.shape)}"
    if isinstance(x, Source):
        made_by: Any = x
        data = getattr(x, "_data", None)
        return made_by.plain.__name__ if data is None else f"{made_by.plain.__name__} {tuple(data.shape)}"
    if backend.is_array(x):
        return f"array {tuple(x.shape)}"
    return "a constant" if x is None else repr(x)[:_LONG]
