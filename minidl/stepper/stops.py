"""Break: where `continue` stops."""

from __future__ import annotations

from dataclasses import dataclass

from minidl.stepper.contents import TapeContents
from minidl.stepper.events import PHASES, Event
from minidl.stepper.kept import Kept

OP, LAYER, VALUE, PHASE, NUMBER, NAN = KINDS = ("op", "layer", "value", "phase", "event", "nan")


@dataclass(frozen=True, slots=True)
class Break:
    """A condition on events.

    Attributes:
        kind: "op" (of this class), "layer" (in it), "value" (that make, use or change it, or send to its gradient),
            "phase", "event" (its number), "nan" (in which NaN or infinity comes up).
        name: of the op, the layer, the value, the phase; the number of the event; "" for nan.
    """

    kind: str
    name: str = ""

    def __str__(self) -> str:
        return f"{self.kind} {self.name}".strip()

    def fits(self, tape: TapeContents, event: Event) -> bool:
        """Whether to stop at this event."""
        if self.kind == OP:
            return event.op == self.name
        if self.kind == LAYER:
            return self.name in tape.layers_of(event)
        if self.kind == PHASE:
            return event.phase == self.name
        if self.kind == NUMBER:
            return event.number == int(self.name)
        if self.kind == NAN:
            return any(kept.nan or kept.infinite for kept in _shown_by(tape, event))
        touched = {*event.inputs, event.output, *(addend.value for addend in event.addends)}
        return any(tape.values[number].key == self.name for number in touched if number is not None)


def break_of(tape: TapeContents, text: str) -> Break:
    """The breakpoint that was typed: `op MatMul`, `layer fc1`, `value h`, `phase update`, `17`, `nan`, or `MatMul`.

    Raises:
        ValueError: nothing on the tape fits it; the message says what there is.
    """
    kind, _, name = text.partition(" ")
    name = name.strip()
    if kind == NAN and not name:
        return Break(NAN)
    there = _there(tape)
    if kind in there and name:
        if name not in there[kind]:
            raise ValueError(f"no {kind} of this tape is called {name!r}; there are {_some(there[kind])}")
        return Break(kind, name)
    for kind, names in there.items():
        if text in names:
            return Break(kind, text)
    raise ValueError(
        "expected what to stop at: break op MatMul, break layer fc1, break value h, break phase update, break nan, "
        f"break 17; ops here: {_some(there[OP])}"
    )


def _there(tape: TapeContents) -> dict[str, list[str]]:
    """By kind the names that a breakpoint can have."""
    layers = [name for event in tape for name in tape.layers_of(event)]
    return {
        OP: list(dict.fromkeys(event.op for event in tape)),
        LAYER: list(dict.fromkeys(layers)),
        VALUE: [value.key for value in tape.values],
        PHASE: [phase for phase in PHASES if tape.find(phase)],
        NUMBER: [str(event.number) for event in tape],
    }


def _some(names: list[str]) -> str:
    return ", ".join(names[:12]) + (", ..." if len(names) > 12 else "") if names else "none"


def _shown_by(tape: TapeContents, event: Event) -> list[Kept]:
    """The arrays that came up in an event."""
    output = tape.values[event.output] if event.output is not None and event.node == event.number else None
    made = None if output is None else output.content(event.number)
    sent = [kept for addend in event.addends for kept in (addend.grad, addend.total)]
    return [kept for kept in (made, event.gradient, event.after, *sent) if kept is not None]
