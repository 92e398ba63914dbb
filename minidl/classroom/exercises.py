"""The exercises in a source's cells: which cell calls a check, with what, and how many points it is worth."""

from __future__ import annotations

import ast
import builtins
from dataclasses import dataclass

from minidl.classroom.source import BEGIN, Cell

FOR_A_FUNCTION, FOR_A_VALUE, FOR_WORDS = 3, 1, 2  # points


@dataclass(frozen=True, slots=True)
class CheckCall:
    """How a cell calls a check: `checked = md.check.t03_shapes(my_function)`.

    Attributes:
        exercise: t03_shapes.
        call: the whole call.
        result: the name that its result gets, "checked".
        names: what has to be there for it: md, my_function.
    """

    exercise: str
    call: ast.Call
    result: str
    names: tuple[str, ...]


def check_call(cell: Cell) -> CheckCall:
    """The call in a cell with the option check.

    Raises:
        ValueError: it has none, or its result gets no name.
    """
    exercise = str(cell.options["check"])
    for node in ast.parse(cell.text).body:
        if not (isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name)):
            continue
        call = node.value
        if isinstance(call, ast.Call) and isinstance(call.func, ast.Attribute) and call.func.attr == exercise:
            found = [n.id for n in ast.walk(call) if isinstance(n, ast.Name) and not hasattr(builtins, n.id)]
            return CheckCall(exercise, call, node.targets[0].id, tuple(dict.fromkeys(found)))
    raise ValueError(f'the cell check="{exercise}" should hold `checked = md.check.{exercise}(...)`; got {cell.text!r}')


def points(cell: Cell) -> int:
    """For the answer in an exercise's cell: a function is worth more than a value."""
    return FOR_A_FUNCTION if BEGIN in cell.text else FOR_A_VALUE


def points_by_name(cells: list[Cell]) -> dict[str, int]:
    """The points of every exercise of a source, by its name."""
    return {str(cell.options["exercise"]): points(cell) for cell in cells if "exercise" in cell.options}
