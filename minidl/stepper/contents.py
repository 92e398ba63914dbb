"""TapeContents: the events and values of a tape, and what is known of them at any moment."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from minidl.stepper.events import ACCUMULATE, BACKWARD, PHASES, RESULT, Addend, Call, Event, File, Gradient, Line, Value
from minidl.stepper.kept import Kept


class TapeContents:
    """The data of a `Tape`, and the questions that all its views ask.

    Going back is an index, not a run: `content` and `gradient` say what is known of a value after any event.

    Attributes:
        events: what happened, in order.
        values: the tensors, arrays and numbers it was about.
        calls: the calls of modules; an event's `call` is an index into them, a call's `parent` too.
        lines, files: the user's lines, and the files they stand in.
        title: what it is called.
    """

    def __init__(self, title: str = "") -> None:
        self.title = title
        self.events: list[Event] = []
        self.values: list[Value] = []
        self.calls: list[Call] = []
        self.lines: list[Line] = []
        self.files: list[File] = []
        self._received: dict[int, list[tuple[int, Addend]]] = {}  # by value: the addends of its gradient
        self._indexed = 0

    def __len__(self) -> int:
        return len(self.events)

    def __getitem__(self, number: int) -> Event:
        return self.events[number]

    def __iter__(self) -> Iterator[Event]:
        return iter(self.events)

    def __repr__(self) -> str:
        counts = {phase: sum(event.phase == phase for event in self.events) for phase in PHASES}
        said = ", ".join(f"{count} {phase}" for phase, count in counts.items() if count)
        return (
            f"{type(self).__name__}({len(self.events)} events{': ' + said if said else ''}; {len(self.values)} values)"
        )

    # ---- what is known at a moment

    def value(self, key: str) -> Value:
        """The value with this key.

        Raises:
            KeyError: there is none; the message says which there are.
        """
        for value in self.values:
            if value.key == key:
                return value
        there = ", ".join(value.key for value in self.values[:12])
        raise KeyError(f"no value is called {key!r}; there are {there}{', ...' if len(self.values) > 12 else ''}")

    def content(self, value: Value | str, moment: int = -1) -> Kept | None:
        """What a value held after the event `moment`; None if it had not been computed yet."""
        value = self.value(value) if isinstance(value, str) else value
        moment = self._moment(moment)
        if value.event is not None and value.event > moment:
            return None
        return value.content(moment)

    def gradient(self, value: Value | str, moment: int = -1) -> Gradient:
        """What is known of a value's gradient after the event `moment`, in the backward that ran last.

        A gradient is complete when the op that made the value is about to run its backward, or when the gradient is
        added to a leaf's `.grad`.
        """
        value = self.value(value) if isinstance(value, str) else value
        moment = self._moment(moment)
        self._index()
        begin = self._backward_begins(moment)
        came = tuple((n, a) for n, a in self._received.get(value.number, ()) if begin <= n <= moment)
        total = None
        if came:
            last = came[-1][1]
            total = last.total if last.total is not None else last.grad
        complete = False
        for event in self.events[begin : moment + 1]:
            if event.output == value.number and event.phase in (BACKWARD, ACCUMULATE) and event.gradient is not None:
                complete, total = True, event.gradient
        return Gradient(total, came, complete)

    def _moment(self, moment: int) -> int:
        return moment + len(self.events) if moment < 0 else moment

    def _backward_begins(self, moment: int) -> int:
        """The number of the event with which the backward of this moment, or the last before it, began."""
        begins = [e.number for e in self.events[: moment + 1] if e.phase == BACKWARD and not e.inputs and not e.addends]
        return begins[-1] if begins else 0

    def _index(self) -> None:
        for event in self.events[self._indexed :]:
            for addend in event.addends:
                self._received.setdefault(addend.value, []).append((event.number, addend))
        self._indexed = len(self.events)

    # ---- where things are

    def find(
        self, phase: str | None = None, op: str | None = None, layer: str | None = None, step: int | None = None
    ) -> list[Event]:
        """The events of a phase, an op, a layer (inside of it too), a step: those that fit all that is said."""
        return [
            event
            for event in self.events
            if (phase is None or event.phase == phase)
            and (op is None or event.op == op)
            and (layer is None or layer in self.layers_of(event))
            and (step is None or event.step == step)
        ]

    def layer(self, event: Event) -> str:
        """The dotted name of the innermost layer that an event belongs to; "" if to none."""
        if event.call is not None:
            return self.calls[event.call].path
        name = self.values[event.output].key if event.output is not None else ""
        return name.rpartition(".")[0] if event.phase in (ACCUMULATE, "update") else ""

    def layers_of(self, event: Event) -> list[str]:
        """The dotted names of all modules that an event happened in, the innermost first."""
        found, call = [], event.call
        while call is not None:
            found.append(self.calls[call].path)
            call = self.calls[call].parent
        return found or [name for name in [self.layer(event)] if name]

    def source(self, event: Event, of_caller: bool = False) -> tuple[str, int, str] | None:
        """(file, number, text) of the user's line that called the op, or backward() or step(); None if unknown."""
        number = event.caller if of_caller else event.line
        if number is None:
            return None
        line = self.lines[number]
        file = self.files[line.file]
        return file.name, line.line, file.line(line.line)

    def made_by(self, value: Value) -> Event | None:
        """The event that made a value."""
        return self.events[value.event] if value.kind == RESULT and value.event is not None else None
