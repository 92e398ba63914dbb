"""The quiz in the terminal: predict one number of a gradient, then see it."""

from __future__ import annotations

import math
from collections.abc import Callable

from minidl.stepper.events import Event
from minidl.stepper.kept import Kept
from minidl.stepper.looking import Looking, Place, said_place, value_and_place
from minidl.stepper.pictures import one
from minidl.stepper.views import SMALL
from minidl.stepper.worked import largest

RELATIVE, ABSOLUTE = 0.01, 1e-6  # how far off a right prediction may be


class Quizzing:
    """Asks, waits for a number, and judges it.

    Attributes:
        on: whether to ask.
        right, asked: how many predictions were right, and were made.
    """

    def __init__(self, looking: Looking, ask: Callable[[str], str | None]) -> None:
        self.on, self.right, self.asked = False, 0, 0
        self._looking, self._ask, self._say = looking, ask, looking.screen.say

    def __repr__(self) -> str:
        return f"Quizzing({'on' if self.on else 'off'}, {self.right} of {self.asked} right)"

    def said(self) -> str:
        """What it is, in words."""
        if self.on:
            return "quiz on: at each backward you predict one number before the gradients are shown"
        return "quiz off" + (f"; {self.right} of {self.asked} were right" if self.asked else "")

    def ask(self, event: Event) -> bool:
        """Ask for a number of what a backward sends on; returns whether to show the rest."""
        addend = event.addends[0]
        place = largest(addend.grad)
        name = said_place(f"dL/d{self._looking.views.name(addend.value)}", place)
        if len(self._looking.views.order(event, 0)[1]) > 1:
            name = f"its addend to {name}"
        self._say(f"{SMALL}Predict {name}: a number, v NAME to look at a value, or Enter to see it.")
        while True:
            line = self._ask(f"{SMALL}{name} = ")
            text = "" if line is None else line.strip()
            if text and not _is_number(text):
                self._look(text, event)
                continue
            self._judge(text, addend.grad, place)
            return True

    def _judge(self, text: str, grad: Kept, place: Place) -> None:
        found = grad.at(place)
        if not text:
            self._say(f"{SMALL}it is ", ("strong", one(grad, place)))
            return
        said = _number(text)
        self.asked += 1
        if abs(said - found) <= max(RELATIVE * abs(found), ABSOLUTE):
            self.right += 1
            self._say(f"{SMALL}", ("strong", "right"), f": it is {one(grad, place)} ({self.right} of {self.asked})")
        else:
            hint = ": the sign is the other one" if math.isclose(said, -found, rel_tol=RELATIVE) else ""
            self._say(f"{SMALL}", ("strong", "no"), f", it is {one(grad, place)}; you said {text}{hint}")

    def _look(self, text: str, event: Event) -> None:
        """A value, or what is wrong with what was typed."""
        word, _, rest = text.partition(" ")
        if word not in ("v", "value") or not rest:
            self._say(f"{SMALL}expected a number, such as 0.5, -1e-3 or 2/3; v NAME; or Enter to see it; got {text!r}")
            return
        try:
            value, place = value_and_place(self._looking.tape, rest, event)
            self._looking.screen.show(self._looking.value(value, place, event.number))
        except ValueError as error:
            self._say(f"{SMALL}{error}")


def _is_number(text: str) -> bool:
    try:
        _number(text)
    except (ValueError, ZeroDivisionError):
        return False
    return True


def _number(text: str) -> float:
    above, line, below = text.partition("/")
    return float(above) / float(below) if line else float(above)
