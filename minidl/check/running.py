"""Running a student's answer: an error in it is caught, and traced back to the student's own line."""

from __future__ import annotations

import linecache
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

NOT_YET = (NotImplementedError,)


@dataclass(frozen=True, slots=True)
class Outcome:
    """What running an answer gave.

    Attributes:
        value: what it returned.
        error: the exception it raised, or None.
        line: where in the student's own file or cell, with the line's text; empty without an error.
    """

    value: Any = None
    error: BaseException | None = None
    line: str = ""


def run(answer: Callable[..., Any], args: tuple[Any, ...], own: Callable[..., Any] | None = None) -> Outcome:
    """Call `answer(*args)`; `own` is the student's function in it, by whose file their lines are known.

    Every error is caught, SystemExit too (`exit()` in a cell would end the notebook); Ctrl-C is not.
    """
    try:
        return Outcome(answer(*args))
    except (Exception, SystemExit) as error:
        return Outcome(error=error, line=_own_line(error, own or answer))


def _own_line(error: BaseException, function: Callable[..., Any]) -> str:
    code = getattr(function, "__code__", None) or getattr(getattr(function, "forward", None), "__code__", None)
    frames = traceback.extract_tb(error.__traceback__)
    own = [frame for frame in frames if code is not None and frame.filename == code.co_filename]
    if not own:
        return ""
    frame = own[-1]
    text = (frame.line or linecache.getline(frame.filename, frame.lineno or 0)).strip()
    return f"line {frame.lineno}, in {frame.name}: {text}"
