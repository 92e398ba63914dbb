"""Running a student's answer: an error in it is caught, and traced back to the student's own line."""

from __future__ import annotations

import dis
import linecache
import traceback
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

NOT_YET = (NotImplementedError,)
MOST = 400  # characters of an error that are shown
_NOTHING = {"RESUME", "NOP", "LOAD_CONST", "RETURN_CONST", "RETURN_VALUE", "POP_TOP"}  # steps of an empty function


class UnfitError(Exception):
    """What an answer gave is not of the kind that was asked for; an exercise's `adapt` raises it, in words to read."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What running an answer gave.

    Attributes:
        value: what it returned.
        error: the exception it raised, or None.
        line: where in the student's own file or cell, with the line's text; empty without an error.
        warned: the warnings that it gave, in words, each once.
    """

    value: Any = None
    error: BaseException | None = None
    line: str = ""
    warned: tuple[str, ...] = ()

    @property
    def words(self) -> str:
        """The error and where it happened, in words."""
        text = str(self.error)
        text = text if len(text) <= MOST else text[:MOST] + " ..."
        name = type(self.error).__name__
        return (f"{name}: {text}" if text else name) + (f"\n{self.line}" if self.line else "")


def run(answer: Callable[..., Any], args: tuple[Any, ...], own: Callable[..., Any] | None = None) -> Outcome:
    """Call `answer(*args)`; `own` is the student's function in it, by whose file their lines are known.

    Every error is caught, SystemExit too (`exit()` in a cell would end the notebook); Ctrl-C is not. Warnings are kept
    for the student and not shown by themselves: a grader takes what is on standard error for a failure.
    """
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        try:
            value, error = answer(*args), None
        except (Exception, SystemExit) as raised:
            value, error = None, raised
    warned = tuple(dict.fromkeys(f"{w.category.__name__}: {w.message}" for w in said))
    return Outcome(value, error, "" if error is None else _own_line(error, own or answer), warned)


def _own_line(error: BaseException, function: Callable[..., Any]) -> str:
    code = getattr(function, "__code__", None) or getattr(getattr(function, "forward", None), "__code__", None)
    frames = traceback.extract_tb(error.__traceback__)
    own = [frame for frame in frames if code is not None and frame.filename == code.co_filename]
    if not own:
        return ""
    frame = own[-1]
    text = (frame.line or linecache.getline(frame.filename, frame.lineno or 0)).strip()
    return f"line {frame.lineno}, in {frame.name}{f': {text}' if text else ''}"


def is_empty(function: Any) -> bool:
    """Whether a function was handed out and has no lines yet: its body is `...` or `pass`. (A lambda was written.)"""
    code = getattr(function, "__code__", None)
    if (
        code is None
        or code.co_name == "<lambda>"
        or any(step.opname not in _NOTHING for step in dis.get_instructions(code))
    ):
        return False
    returned = [step.argval for step in dis.get_instructions(code) if step.opname in ("LOAD_CONST", "RETURN_CONST")]
    return all(value is None for value in returned)
