"""A method that stops in the debugger at its first line, though its file says nothing of it.

`stopping(method, reached)` is the same function with two words put before its first line:

    def forward(self, x, y):  if reached(self, x, y): breakpoint()
        return x * y

compiled under the same file name with the same line numbers, so that the debugger shows the method's own lines,
whichever debugger `breakpoint()` stands for: pdb, that of an editor, that of a notebook.
"""

from __future__ import annotations

import ast
import inspect
import linecache
import sys
import textwrap
from collections.abc import Callable, Iterator
from types import CellType, CodeType, FunctionType
from typing import Any

_REACHED = "_reached"


def stopping(method: Callable[..., Any], reached: Callable[..., bool]) -> Callable[..., Any]:
    """`method`, which calls `breakpoint()` at its beginning if `reached(*arguments)`.

    Where its lines cannot be had (it is no plain function, or was typed where nothing keeps them) it is called by a
    function that stops just before.
    """
    code = _compiled(method) if isinstance(method, FunctionType) and not hasattr(method, "__wrapped__") else None
    if code is None:

        def stop_before(*arguments: Any) -> Any:
            if reached(*arguments):
                breakpoint()  # `s` steps into the op
            return method(*arguments)

        return stop_before
    assert isinstance(method, FunctionType)
    cells = dict(zip(method.__code__.co_freevars, method.__closure__ or (), strict=True)) | {
        _REACHED: CellType(reached)
    }
    if not cells.keys() >= set(code.co_freevars):
        return method
    found = FunctionType(
        code, method.__globals__, method.__name__, method.__defaults__, tuple(cells[name] for name in code.co_freevars)
    )
    found.__kwdefaults__, found.__qualname__, found.__doc__ = method.__kwdefaults__, method.__qualname__, method.__doc__
    return found


def _compiled(method: FunctionType) -> CodeType | None:
    """The code of the method with the stop before its first line; None if its source is not to be had."""
    code = method.__code__
    linecache.checkcache(code.co_filename)
    try:
        lines, first = inspect.getsourcelines(method)
        tree = ast.parse(textwrap.dedent("".join(lines)))
    except (OSError, TypeError, SyntaxError, ValueError):
        return None
    function = tree.body[0]
    if not isinstance(function, ast.FunctionDef) or function.name != code.co_name or function.decorator_list:
        return None
    ast.increment_lineno(tree, first - 1)
    taken = [*code.co_varnames[: code.co_argcount]]
    if code.co_flags & inspect.CO_VARARGS:
        taken.append("*" + code.co_varnames[code.co_argcount + code.co_kwonlyargcount])
    stop = ast.parse(f"if {_REACHED}({', '.join(taken)}): breakpoint()").body[0]
    at = 1 if ast.get_docstring(function, clean=False) is not None else 0
    # Up to Python 3.12 `breakpoint()` stops at the next line, which from the def is the first; then at its own.
    first_line = function.body[at].lineno if sys.version_info >= (3, 13) and function.body[at:] else function.lineno
    for node in ast.walk(stop):
        if isinstance(node, (ast.expr, ast.stmt)):
            node.lineno = node.end_lineno = first_line
    function.body.insert(at, stop)
    # Inside a class of its name, for the sake of __private names, and of a function with its outer variables.
    owner = method.__qualname__.split(".")[-2] if "." in method.__qualname__ else "_"
    outer = ast.parse(f"def _outer({', '.join([*(v for v in code.co_freevars if v != '__class__'), _REACHED])}):\n"
                      f" class {owner if owner.isidentifier() else '_'}: pass")  # fmt: skip
    class_of = outer.body[0].body[0]  # type: ignore[attr-defined]
    class_of.body = [function]
    whole = compile(outer, code.co_filename, "exec", _FUTURE & code.co_flags, dont_inherit=True)
    return next((c for c in _codes(whole) if c.co_name == code.co_name), None)


_FUTURE = 0x1FF0000  # the flags of `from __future__ import ...`


def _codes(code: CodeType) -> Iterator[CodeType]:
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield constant
            yield from _codes(constant)
