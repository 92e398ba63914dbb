"""Explanations: why a number of a tape is what it is: the formula of its op with the actual numbers."""

from __future__ import annotations

from minidl.stepper.contents import TapeContents
from minidl.stepper.events import Event


class Explanations:
    """The formulas of a tape with their numbers, made when they are asked for."""

    def __init__(self, tape: TapeContents) -> None:
        self._tape = tape

    def __repr__(self) -> str:
        return f"Explanations({self._tape!r})"

    def worked(self, event: Event, addend: int | None = None, place: tuple[int, ...] | None = None) -> str:
        """The formula of a forward, or of one addend of a backward, at one place; "" if there is none."""
        return ""
