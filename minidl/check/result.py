"""What a check found, as text, as html, and for a grader."""

from __future__ import annotations

import html
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import numpy as np

MOST = 400  # characters of a value that are shown


@dataclass(frozen=True, slots=True)
class Result:
    """What a check of an exercise found. It is true if the answer passed.

    Attributes:
        name: the exercise.
        right, cases: how many cases the answer got right, of how many. (The cases are open: anybody can read them.)
        case: the first case that it got wrong, in words; empty if there is none.
        computed, expected: what the answer gave there, and what it should be.
        part: of which item of these the difference is, "number 2 of 3", with the two items; ("", ...) if of all.
        difference: how they differ, in words, or the error and the line that raised it.
        hint: which mistake this looks like; empty if none that is known.
        working: the student's answer if it passed, else the right one: what the tutorial goes on with.
    """

    name: str
    right: int
    cases: int
    case: str = ""
    computed: Any = None
    expected: Any = None
    part: tuple[str, Any, Any] | None = None
    difference: str = ""
    hint: str = ""
    working: Any = None

    @property
    def passed(self) -> bool:
        """Whether every case was right."""
        return self.right == self.cases

    @property
    def score(self) -> float:
        """The part of the cases that were right, from 0 to 1."""
        return self.right / self.cases

    def __bool__(self) -> bool:
        return self.passed

    def __str__(self) -> str:
        if self.passed:
            because = f"\n  {'because':10}  {self.hint}" if self.hint else ""
            return f"{self.name}: {self.right} of {self.cases} open checks pass{because}"
        lines = [f"{self.name}: not yet, {self.right} of {self.cases} open checks pass"]
        computed, expected = self._side_by_side()
        rows = [
            ("case", self.case),
            ("computed", computed),
            ("expected", expected),
            ("difference", self.difference),
            ("hint", self.hint),
        ]
        for label, text in rows:
            if text:
                lines.append(f"  {label:10}  " + text.replace("\n", "\n" + " " * 14))
        return "\n".join(lines)

    def _side_by_side(self) -> tuple[str, str]:
        """What was computed and what was expected, as text: of several values only the first that differs."""
        if self.expected is None:
            return ("" if self.computed is None else shown(self.computed)), ""
        name, computed, expected = self.part or ("", self.computed, self.expected)
        before = f"{name}:\n" if name else ""
        return before + shown(computed), before + shown(expected)

    def __repr__(self) -> str:
        return f"Result({self.name}: {'passed' if self.passed else 'not yet'}, {self.right} of {self.cases})"

    def _repr_html_(self) -> str:
        """A bar with the checks that pass; where one failed, both values side by side, the difference and the hint."""
        colour = "#2a7d4f" if self.passed else "#b3541e"
        word = "pass" if self.passed else "pass, not yet all"
        parts = [
            f'<div style="border-left: 4px solid {colour}; padding: 2px 10px"><b>{html.escape(self.name)}</b>: '
            f"{self.right} of {self.cases} open checks {word}"
        ]
        if not self.passed and self.expected is not None:
            cell = '<td style="vertical-align: top; text-align: left; padding-right: 24px"><pre style="margin: 0">'
            head = '<th scope="col" style="text-align: left">'
            computed, expected = self._side_by_side()
            parts.append(
                f"<table><tr>{head}computed</th>{head}expected</th></tr>"
                f"<tr>{cell}{html.escape(computed)}</pre></td>{cell}{html.escape(expected)}</pre></td></tr></table>"
            )
        for label, text in (("difference", self.difference), ("hint", self.hint)):
            if text and not self.passed:
                parts.append(f"<div><b>{label}</b>: {html.escape(text).replace(chr(10), '<br>')}</div>")
        return "".join([*parts, "</div>"])

    def or_fail(self) -> None:
        """Raise an AssertionError with the text if it did not pass: for pytest and for graders."""
        if not self.passed:
            raise AssertionError(str(self))


def shown(value: Any) -> str:
    """A value as a student sees it: a few digits, and not more than some lines."""
    if isinstance(value, np.ndarray):
        text = np.array2string(value, precision=4, suppress_small=True, threshold=40, edgeitems=2)
    elif isinstance(value, (float, np.floating)):
        text = f"{value:.6g}"
    elif isinstance(value, np.generic):
        text = str(value)
    elif isinstance(value, (tuple, list)):
        text = _list_shown(value)
    elif isinstance(value, dict):
        text = "\n".join(f"{key}: {shown(item)}" for key, item in value.items()) or "{}"
    else:
        text = _repr(value)
    return text if len(text) <= MOST else text[:MOST] + " ..."


def _list_shown(value: tuple[Any, ...] | list[Any]) -> str:
    """A shape, axes and the like on one line, values of their own on a line each."""
    if all(isinstance(item, (bool, int, str, type(None))) for item in value):
        return _repr(value)
    if isinstance(value, list) and all(isinstance(item, (int, float, list)) for item in value):
        with suppress(ValueError):  # lists of different lengths
            return np.array2string(np.array(value, dtype=float), precision=4, separator=", ", threshold=40, edgeitems=2)
    return "\n".join(f"{i}: {shown(item)}" for i, item in enumerate(value, 1))


def _repr(value: Any) -> str:
    try:
        return repr(value)
    except Exception as error:  # a repr of the student's own
        return f"a {type(value).__name__}, whose repr raises {type(error).__name__}"
