"""Explanations: why a number of a tape is what it is: the formula of its op with the actual numbers."""

from __future__ import annotations

from minidl.stepper.contents import TapeContents
from minidl.stepper.events import ACCUMULATE, UPDATE, Event
from minidl.stepper.kept import Kept
from minidl.stepper.worked import largest, worked_forward, worked_gradient


class Explanations:
    """The formulas of a tape with their numbers, made when they are asked for."""

    def __init__(self, tape: TapeContents) -> None:
        self._tape = tape

    def __repr__(self) -> str:
        return f"Explanations({self._tape!r})"

    def worked(self, event: Event, addend: int | None = None, place: tuple[int, ...] | None = None) -> str:
        """The formula of a forward (None), or of one addend of a backward, at one place; "" if there is none.

        Without a place it is that of the number that is farthest from 0.
        """
        kept = self._shown(event) if addend is None else event.addends[addend].grad
        if kept is None or not kept.size:
            return ""
        place = largest(kept) if place is None else place
        if addend is None:
            return worked_forward(self._tape, event, place) or ""
        return worked_gradient(self._tape, event, addend, place) or ""

    def _shown(self, event: Event) -> Kept | None:
        if event.phase in (ACCUMULATE, UPDATE) and event.node is None:
            return event.after
        return None if event.output is None else self._tape.content(self._tape.values[event.output], event.number)
