"""Computation: one op on a tape with the numbers it met, as its formula calls them."""

from __future__ import annotations

import ast
from functools import cached_property
from typing import Any

import numpy as np

from minidl.errors import printable
from minidl.stepper.contents import TapeContents
from minidl.stepper.events import BACKWARD, Event
from minidl.stepper.formula_table import FORMULAS, Formula
from minidl.stepper.formulas import input_names, output_name
from minidl.stepper.kept import Kept
from minidl.types import Shape

Place = tuple[int, ...]


class Held:
    """An array of a tape under the name that a reader knows it by; of a large one only a sample is there.

    Attributes:
        label: its name: "h2", or "g" for the incoming gradient.
        kept: what the tape holds of it.
    """

    __slots__ = ("kept", "label")

    def __init__(self, label: str, kept: Kept) -> None:
        self.label = label
        self.kept = kept

    @property
    def shape(self) -> Shape:
        """Of the array."""
        return self.kept.shape

    def take(self, index: tuple[Any, ...]) -> tuple[Any, Any]:
        """The numbers at places, given as an array of indices for each axis, in float64; and which of them are held."""
        known, at = np.True_, []
        for i, kept in zip(index, self.kept.index, strict=True):
            if kept is None:
                at.append(i)
            else:
                j = np.minimum(np.searchsorted(kept, i), len(kept) - 1)
                known = known & (kept[j] == i)
                at.append(j)
        numbers = np.asarray(self.kept.values[tuple(at)], dtype=np.float64)
        return numbers, np.broadcast_to(known, numbers.shape)

    def whole(self) -> Any:
        """All of it in float64; None if the tape holds a sample."""
        return None if self.kept.sampled else np.asarray(self.kept.values, dtype=np.float64)


class Computation:
    """One forward on a tape and, if there was one, the backward that belongs to it.

    Attributes:
        tape: it is on this tape.
        forward: the event of its forward.
        backward: the event of its backward, or None.
        formula: of the op.
        inputs: what went in.
        output: what came out.
        gradient: the incoming gradient dL/d(output), called g; None without a backward.
    """

    def __init__(self, tape: TapeContents, event: Event) -> None:
        forward = tape.events[event.node] if event.node is not None else event
        self.tape = tape
        self.forward = forward
        self.backward = event if event.phase == BACKWARD and event is not forward else None
        self.formula: Formula = FORMULAS[event.op]
        self.op = event.op
        self.inputs = [self._held(number) for number in forward.inputs]
        self.output = None if forward.output is None else self._held(forward.output)
        gradient = None if self.backward is None else self.backward.gradient
        self.gradient = None if gradient is None else Held("g", gradient)
        self.maps: dict[str, Any] = {}  # what workers compute once for all places

    def _held(self, number: int) -> Held | None:
        value = self.tape.values[number]
        kept = value.content(self.forward.number)
        if kept is None or value.missing:
            return None
        return Held(printable(value.label), kept)

    @cached_property
    def named(self) -> dict[str, Held]:
        """The arrays by what the formula calls them; g is the incoming gradient."""
        names = input_names(self.formula, len(self.inputs))
        found = {name: held for name, held in zip(names, self.inputs, strict=True) if held is not None}
        if self.output is not None:
            found.setdefault(output_name(self.formula), self.output)
        if self.gradient is not None:
            found["g"] = self.gradient
        return found

    @cached_property
    def options(self) -> dict[str, Any]:
        """The op's settings: read from what the event says, and from the op while the recorded program runs."""
        found = read_options(self.forward.options)
        program = self.tape.program
        op = program.ops.get(self.forward.number) if program is not None else None
        if op is not None:
            names = [name for cls in type(op).__mro__[:-1] for name in cls.__dict__.get("__slots__", ())]
            found = {name: getattr(op, name) for name in names if hasattr(op, name)} | found
        return found

    @cached_property
    def settings(self) -> dict[str, float]:
        """The settings that are numbers, as the formula calls them."""
        called = {option: name for name, option in self.formula.options.items()}
        return {
            called.get(name, name): float(np.float64(value))
            for name, value in self.options.items()
            if isinstance(value, (bool, int, float, np.generic)) or (isinstance(value, np.ndarray) and value.ndim == 0)
        }


def read_options(text: str) -> dict[str, Any]:
    """The settings in an event's words: "axis=1, index=slice(None, 2, None)"; what cannot be read is left out."""
    try:
        tree = ast.parse(f"f({text})", mode="eval").body
    except (SyntaxError, ValueError, MemoryError, RecursionError):
        return {}
    found: dict[str, Any] = {}
    for keyword in tree.keywords if isinstance(tree, ast.Call) else ():
        try:
            if keyword.arg is not None:
                found[keyword.arg] = _read(keyword.value)
        except (ValueError, RecursionError):
            continue
    return found


_WORDS = {"Ellipsis": ..., "inf": np.inf, "nan": np.nan}


def _read(node: ast.expr) -> Any:
    """A number, text, tuple or slice as Python writes it; nothing is called or evaluated."""
    if isinstance(node, ast.Tuple):
        return tuple([_read(part) for part in node.elts])
    if isinstance(node, ast.Name) and node.id in _WORDS:
        return _WORDS[node.id]
    if isinstance(node, ast.UnaryOp) and isinstance(node.operand, ast.Name):
        return -_read(node.operand)
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
        if node.func.id == "slice" and not node.keywords:
            return slice(*[_read(part) for part in node.args])
        if node.func.id.startswith(("float", "int", "bool")) and len(node.args) == 1:
            return _read(node.args[0])
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and len(node.args) == 1:
        return _read(node.args[0])  # np.float64(0.5)
    return ast.literal_eval(node)
