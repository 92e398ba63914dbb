"""Player: walks through a tape in a terminal, a notebook's cell, or a pipe: commands in, lines out."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TextIO

from minidl.errors import GraphError, meant_by
from minidl.stepper.asking import Ask, given, typed
from minidl.stepper.contents import TapeContents
from minidl.stepper.events import BACKWARD, PHASES, SEED, Event
from minidl.stepper.lessons import HELP, INTRODUCTION, NAMES, full_name, help_of
from minidl.stepper.looking import Looking, value_and_place
from minidl.stepper.overview import children, counts, layers, parents, rows, source
from minidl.stepper.quizzing import Quizzing
from minidl.stepper.screen import Screen
from minidl.stepper.stops import Break, break_of
from minidl.stepper.views import SMALL, Views


class Player:
    """A place on a tape, and the commands that move it and look around.

    Going back is an index: nothing of the program runs again. Each command is a method of its name.

    Attributes:
        tape: what is played.
        moment: the number of the event after which we are.
        breaks: where `continue` stops.

    Args:
        screen: where it writes.
        ask: where the commands come from.
    """

    def __init__(self, tape: TapeContents, screen: Screen, ask: Ask) -> None:
        self.tape, self.screen, self._ask = tape, screen, ask
        self.moment = max(len(tape) - 1, 0) if tape.recording else 0  # while it is recorded: where the program is
        self.breaks: list[Break] = []
        self._views = Views(tape, screen)
        self._looking = Looking(self._views)
        self._quiz = Quizzing(self._looking, ask)
        self._last = "next"
        self._on = True

    def __repr__(self) -> str:
        return f"Player(at {self.moment} of {self.tape!r})"

    # ---- the loop

    def run(self) -> None:
        """Show where we are, and do what is asked, until `quit` or the end of the input."""
        self.screen.say(*counts(self._views))
        if not self.tape.events:
            self.screen.say("Nothing was recorded, so there is nothing to step through.")
            return
        self.screen.say(("quiet", INTRODUCTION))
        self._show()
        while self._on:
            line = self._ask(f"({self.moment}) ")
            if line is None:
                return
            self.do(line)

    def do(self, line: str) -> None:
        """One line: a command, or several with `;` between them. What is wrong with it is said in one line."""
        for text in line.split(";") if line.strip() else [self._last]:
            if not self._on:
                return
            try:
                self._do(text.strip())
            except (ValueError, GraphError) as error:
                self.screen.say(f"{SMALL}{error}")
            except KeyboardInterrupt:
                self.screen.say(f"{SMALL}stopped by Ctrl-C")

    def _do(self, text: str) -> None:
        word, _, rest = text.partition(" ")
        if not word:
            return
        self._last = text
        if word.lstrip("-").isdecimal() and not rest:
            self.jump(word)
            return
        name = full_name(word)
        if name is None:
            meant = meant_by(word, NAMES)
            raise ValueError(
                f"there is no command {word!r}; " + (f"did you mean {meant}?" if meant else "help lists them")
            )
        method = getattr(self, name)
        method(rest.strip())

    # ---- moving

    def next(self, text: str) -> None:
        """One event on, or as many as are said."""
        self._go(self.moment + _count(text))

    def back(self, text: str) -> None:
        """One event back, or as many as are said."""
        self._go(self.moment - _count(text))

    def jump(self, text: str) -> None:
        """To the event of this number, or to the one that made this value."""
        if text.lstrip("-").isdecimal():
            number = int(text)
            if not -len(self.tape) <= number < len(self.tape):
                raise ValueError(f"there are the events 0 to {len(self.tape) - 1}; got {number}")
            self._go(number % len(self.tape))
            return
        if not text:
            raise ValueError("expected where to: jump 17, or jump h for the event that made h")
        value, _ = value_and_place(self.tape, text, self._event)
        if value.event is None:
            raise ValueError(f"{value.key} was made by no op on this tape; it is there from the beginning")
        self._go(value.event)

    def phase(self, text: str) -> None:
        """To the next event of a phase; if there is none, to the first."""
        found = [name for name in PHASES if text and name.startswith(text)]
        if len(found) != 1:
            raise ValueError(f"expected a phase, one of {', '.join(PHASES)}; got {text!r}")
        numbers = [event.number for event in self.tape.find(found[0])]
        if not numbers:
            raise ValueError(f"no event of this tape is {found[0]}")
        self._go(next((number for number in numbers if number > self.moment), numbers[0]))

    def next_phase(self, text: str) -> None:
        """To where the phase changes."""
        numbers = [n for n in self._changes() if n > self.moment]
        if not numbers:
            raise ValueError("this is the last phase")
        self._go(numbers[0])

    def previous_phase(self, text: str) -> None:
        """To the beginning of this phase, or of the one before if we are there."""
        numbers = [n for n in self._changes() if n < self.moment]
        if not numbers:
            raise ValueError("this is the first phase")
        self._go(numbers[-1])

    def _changes(self) -> list[int]:
        events = self.tape.events
        return [n for n in range(len(events)) if n == 0 or events[n].phase != events[n - 1].phase]

    def resume(self, text: str) -> None:
        """On to the next breakpoint, or to the end."""
        self._run_to(range(self.moment + 1, len(self.tape)), "the end")

    def reverse(self, text: str) -> None:
        """Back to the breakpoint before, or to the beginning."""
        self._run_to(range(self.moment - 1, -1, -1), "the beginning")

    def _run_to(self, numbers: range, end: str) -> None:
        for number in numbers:
            fitting = [str(b) for b in self.breaks if b.fits(self.tape, self.tape[number])]
            if fitting:
                self.screen.say(f"{SMALL}stopped at: {', '.join(fitting)}")
                self._go(number)
                return
        self.screen.say(f"{SMALL}no {'further ' if self.breaks else ''}breakpoint up to {end}")
        if len(numbers):
            self._go(numbers[-1])

    def _go(self, number: int) -> None:
        last = len(self.tape) - 1
        if number > last and self.moment == last:
            raise ValueError("this is the last event; b goes back, q quits")
        if number < 0 and self.moment == 0:
            raise ValueError("this is the first event; n goes on")
        self.moment = min(max(number, 0), last)
        self._show()

    def _show(self) -> None:
        event = self._event
        question = self._quiz.question(event)
        self.screen.show(self._views.event(event, hidden=question is not None))
        if question is not None:
            self._quiz.ask(question, event)
            for number in range(len(event.addends)):
                self.screen.show(self._views.addend(event, number))

    @property
    def _event(self) -> Event:
        return self.tape[self.moment]

    # ---- breakpoints

    def break_(self, text: str) -> None:
        """A new breakpoint."""
        new = break_of(self.tape, text)
        if new in self.breaks:
            raise ValueError(f"breakpoint {self.breaks.index(new) + 1} is that already")
        self.breaks.append(new)
        stops = sum(new.fits(self.tape, event) for event in self.tape)
        self.screen.say(f"{SMALL}breakpoint {len(self.breaks)}: {new} ({stops} event{'s' * (stops != 1)} of this tape)")

    def breaks_(self, text: str) -> None:
        """All breakpoints."""
        for number, one in enumerate(self.breaks, 1):
            self.screen.say(f"{SMALL}{number}  {one}")
        if not self.breaks:
            self.screen.say(f"{SMALL}there are no breakpoints; break op MatMul would make one")

    def delete(self, text: str) -> None:
        """A breakpoint by its number, or all."""
        if text in ("", "all"):
            self.breaks.clear()
            self.screen.say(f"{SMALL}all breakpoints are deleted")
            return
        if not self.breaks:
            raise ValueError("there are no breakpoints to delete")
        if not text.isdecimal() or not 1 <= int(text) <= len(self.breaks):
            raise ValueError(f"expected the number of a breakpoint, 1 to {len(self.breaks)}, or all; got {text!r}")
        self.screen.say(f"{SMALL}deleted: {self.breaks.pop(int(text) - 1)}")

    # ---- looking

    def here(self, text: str) -> None:
        """The event once more."""
        self.screen.show(self._views.event(self._event))

    def value(self, text: str) -> None:
        """What a value holds now."""
        self.screen.show(self._looking.value(*value_and_place(self.tape, text, self._event), self.moment))

    def gradient(self, text: str) -> None:
        """What is known of a gradient now."""
        self.screen.show(self._looking.gradient(*value_and_place(self.tape, text, self._event), self.moment))

    def parents(self, text: str) -> None:
        """What a value was made of."""
        self.screen.show(parents(self._views, value_and_place(self.tape, text, self._event)[0]))

    def children(self, text: str) -> None:
        """What was made of a value."""
        self.screen.show(children(self._views, value_and_place(self.tape, text, self._event)[0]))

    def where(self, text: str) -> None:
        """The lines of the program around this event."""
        if text and not text.isdecimal():
            raise ValueError(f"expected how many lines around it, such as 10; got {text!r}")
        self.screen.show(source(self._views, self._event, int(text or 4)))

    def list(self, text: str) -> None:
        """The events around this one, or from one to another."""
        words = text.split()
        if not all(word.isdecimal() for word in words) or len(words) > 2:
            raise ValueError(f"expected list, or list FROM TO with two numbers of events; got {text!r}")
        first = int(words[0]) if words else self.moment - 5
        last = int(words[1]) if len(words) == 2 else max(first, 0) + 10
        if first > min(last, len(self.tape) - 1):
            raise ValueError(f"there are the events 0 to {len(self.tape) - 1}, and FROM comes first; got {text!r}")
        self.screen.show(rows(self._views, first, last, self.moment))

    def layers(self, text: str) -> None:
        """The layers, and what is known of their gradients now."""
        self.screen.show(layers(self._views, self.moment))

    def check(self, text: str) -> None:
        """One element of a gradient, held to finite differences."""
        value, place = value_and_place(self.tape, text, self._event)
        self.screen.show(self._looking.check(value, place))

    def quiz(self, text: str) -> None:
        """Predict a number of each gradient before it is shown: on, or off again."""
        if text not in ("", "on", "off"):
            raise ValueError(f"expected quiz, quiz on or quiz off; got {text!r}")
        self._quiz.on = not self._quiz.on if text not in ("on", "off") else text == "on"
        self.screen.say(f"{SMALL}{self._quiz.said()}")
        if self._quiz.on and not any(e.phase == BACKWARD and e.op != SEED for e in self.tape.events[self.moment + 1 :]):
            self.screen.say(f"{SMALL}no backward comes after this event; phase backward goes to where it begins")

    # ---- the rest

    def help(self, text: str) -> None:
        """What there is, or more of one command."""
        for line in help_of(text) if text else HELP.split("\n"):
            self.screen.say(line)

    def quit(self, text: str) -> None:
        """The end."""
        self._on = False


def _count(text: str) -> int:
    if text and (not text.isdecimal() or not 1 <= int(text) <= 10**9):
        raise ValueError(f"expected how many events, such as 3; got {text!r}")
    return int(text or 1)


def play(
    tape: TapeContents,
    commands: str | Sequence[str] | None = None,
    stream: TextIO | None = None,
    width: int | None = None,
) -> None:
    """Walk through a tape: see `Tape.play`."""
    screen = Screen(stream, width)
    Player(tape, screen, typed(screen) if commands is None else given(screen, commands)).run()
