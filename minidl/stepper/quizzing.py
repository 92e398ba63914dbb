"""The quiz in the terminal: predict one number of a gradient, then see it, and the formula with its numbers."""

from __future__ import annotations

from minidl.stepper.asking import Ask
from minidl.stepper.events import Event
from minidl.stepper.lines import shown
from minidl.stepper.looking import Looking, value_and_place
from minidl.stepper.quiz import Question, choose
from minidl.stepper.views import SMALL

_PROMPT = f"{SMALL}your number: "


class Quizzing:
    """Asks, waits for a number, and judges it.

    Attributes:
        on: whether to ask.
        right, asked: how many predictions were right, and were made.
    """

    def __init__(self, looking: Looking, ask: Ask) -> None:
        self.on, self.right, self.asked = False, 0, 0
        self._looking, self._ask, self._say = looking, ask, looking.screen.say

    def __repr__(self) -> str:
        return f"Quizzing({'on' if self.on else 'off'}, {self.right} of {self.asked} right)"

    def said(self) -> str:
        """What it is, in words."""
        if self.on:
            return "quiz on: at each backward you predict one number of a gradient before it is shown"
        return "quiz off" + (f"; {self.right} of {self.asked} were right" if self.asked else "")

    def question(self, event: Event) -> Question | None:
        """What to ask at an event; None if nothing, or if the quiz is off."""
        if not self.on or not event.addends:
            return None
        return choose(self._looking.tape, event, event.number % len(event.addends))

    def ask(self, question: Question, event: Event) -> None:
        """Ask until a number has come, or an empty line; then reveal it."""
        self._say(f"{SMALL}", ("strong", question.ask))
        self._say(f"{SMALL}Type a number; ? for a hint; v NAME to look at a value; Enter to see it.")
        while True:
            line = self._ask(_PROMPT)
            text = "" if line is None else line.strip()
            if not text or _number(text) is not None:
                break
            self._help(text, question, event)
        self._judge(text, question)
        self._say(f"{SMALL}because ", question.reveal)

    def _judge(self, text: str, question: Question) -> None:
        number = _number(text)
        if number is None:
            self._say(f"{SMALL}it is ", ("strong", shown(question.answer)))
            return
        right, words = question.judge(number)
        self.asked, self.right = self.asked + 1, self.right + right
        score = f" ({self.right} of {self.asked})"
        self._say(f"{SMALL}", ("strong", words), score if right else f"; it is {shown(question.answer)}{score}")

    def _help(self, text: str, question: Question, event: Event) -> None:
        """A hint, a value, or what is wrong with what was typed."""
        word, _, rest = text.partition(" ")
        if word in ("?", "hint", "h", "help"):
            self._say(f"{SMALL}hint: {question.hint}")
        elif word in ("v", "value") and rest:
            try:
                value, place = value_and_place(self._looking.tape, rest, event)
                self._looking.screen.show(self._looking.value(value, place, event.number))
            except ValueError as error:
                self._say(f"{SMALL}{error}")
        else:
            self._say(f"{SMALL}expected a number, such as 0.5, -1e-3 or 2/3; ?; v NAME; or Enter; got {text!r}")


def _number(text: str) -> float | None:
    """What was typed, `2/3` too; None if it is no number."""
    above, line, below = text.partition("/")
    try:
        return float(above) / float(below) if line else float(above)
    except (ValueError, ZeroDivisionError):
        return None
