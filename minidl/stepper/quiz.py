"""Questions about a tape: what is this number? Right answers, and the wrong ones that can be recognised."""

from __future__ import annotations

import math
import random
from dataclasses import dataclass
from typing import Any

import numpy as np

from minidl.errors import printable
from minidl.stepper.computation import Computation, Place
from minidl.stepper.contents import TapeContents
from minidl.stepper.events import ACCUMULATE, BACKWARD, FORWARD, LOSS, SEED, UPDATE, Event, Value
from minidl.stepper.formulas import formula_at, forward_text, gradient_texts
from minidl.stepper.kept import Kept
from minidl.stepper.lines import label_at, shown
from minidl.stepper.mistakes import Mistake, incoming_at, of_addend, of_forward, of_total, of_update
from minidl.stepper.worked import worked_forward, worked_gradient

RELATIVE = 0.01  # how far off a right answer may be, of its size
ABSOLUTE = 1e-6  # and at least
QUESTIONS = 200  # of a tape


@dataclass(frozen=True, slots=True)
class Question:
    """One number of a tape, to be predicted.

    Attributes:
        kind: "forward" (what an op computes), "addend" (what a backward sends to an input), "gradient" (the sum of all
            addends of a shared value) or "update" (the new weight).
        event: the number of the event at which it is asked, before the event is shown.
        addend: which of the event's addends; None unless it is about one.
        value: the number of the value that it is about.
        place: in that value.
        ask: the question.
        answer: the number.
        wrong: answers that can be recognised, with what to say.
        hint: the formula with names, and what is known.
        reveal: the formula with numbers.
    """

    kind: str
    event: int
    addend: int | None
    value: int
    place: Place
    ask: str
    answer: float
    wrong: tuple[Mistake, ...]
    hint: str
    reveal: str

    def is_right(self, said: float) -> bool:
        """Whether an answer is right, but for 1 %."""
        return _near(said, self.answer)

    def judge(self, said: float) -> tuple[bool, str]:
        """(Whether an answer is right, what to say about it)."""
        if self.is_right(said):
            return True, f"right: {shown(self.answer)}"
        for mistake in self.wrong:
            if _near(said, mistake.number):
                return False, mistake.says
        if self.answer and said and math.isfinite(said):
            power = math.log10(abs(said / self.answer))
            if abs(power) > 0.9 and abs(power - round(power)) < 0.005:
                return False, "the digits are right, the power of ten is not"
        return False, "no"

    def plain(self) -> dict[str, Any]:
        """As a page embeds it; `tolerance` is how far off a right answer may be."""
        return {
            "kind": self.kind, "event": self.event, "addend": self.addend, "value": self.value,
            "place": list(self.place), "ask": self.ask, "answer": self.answer, "tolerance": _tolerance(self.answer),
            "wrong": [{"number": m.number, "says": m.says, "tolerance": _tolerance(m.number)} for m in self.wrong],
            "hint": self.hint, "reveal": self.reveal,
        }  # fmt: skip


def choose(
    tape: TapeContents, event: Event, addend: int | None = None, place: Place | None = None, seed: int = 0
) -> Question | None:
    """A question about an event, the same for the same seed; None if there is nothing to ask.

    Of a backward it is about one addend, the first unless `addend` says which. Of an accumulate it is about the sum of
    the addends, if several paths meet there. Of an update it is about the new weight, of a forward about its output.

    Args:
        tape: the recording.
        event: what to ask about.
        addend: which of its addends.
        place: which number; one that is not 0 is drawn if none is given.
        seed: of the draw.

    Raises:
        IndexError: there is no such addend, or place.
    """
    draw = random.Random(f"{seed} {event.number} {addend}")
    if event.phase == BACKWARD and event.op != SEED and event.addends:
        return _about_addend(tape, event, addend or 0, place, draw)
    if event.phase == ACCUMULATE and event.output is not None:
        return about_gradient(tape, tape.values[event.output], event.number, place, seed)
    if event.phase == UPDATE and event.after is not None and event.before is not None:
        return _about_update(tape, event, place, draw)
    if event.phase in (FORWARD, LOSS) and event.output is not None:
        return _about_forward(tape, event, place, draw)
    return None


def about_gradient(
    tape: TapeContents, value: Value, moment: int = -1, place: Place | None = None, seed: int = 0
) -> Question | None:
    """A question about a whole gradient at which several paths meet; None if there is but one, or none."""
    gradient = tape.gradient(value, moment)
    if gradient.total is None or len(gradient.addends) < 2:
        return None
    place = _place(gradient.total, place, random.Random(f"{seed} {value.number} sum"))
    answer = None if place is None else gradient.total.at(place)
    if place is None or answer is None:
        return None
    parts = [addend.grad.at(place) for _, addend in gradient.addends]
    if any(part is None for part in parts):
        return None
    name = f"dL/d{label_at(value.key, place)}"
    said = " + ".join(shown(float(p)) if p >= 0 or not i else f"({shown(float(p))})" for i, p in enumerate(parts))
    ops = ", ".join(printable(tape.events[n].op) for n, _ in gradient.addends)
    return _question(
        "gradient", gradient.addends[-1][0], None, value.number, place,
        f"{len(parts)} paths meet at {printable(value.key)} ({ops}). What is {name}, all of it?", float(answer),
        of_total([float(p) for p in parts]),
        f"add up what came along each path: the addends are those of {ops}",
        f"{name} = {said} = {shown(float(answer))}",
    )  # fmt: skip


def questions_of(tape: TapeContents, seed: int = 0, most: int = QUESTIONS) -> list[dict[str, Any]]:
    """Questions about a tape as plain data, in the order of its events: one for each forward, addend, sum and update.

    If there are more than `most`, those about gradients are kept first.
    """
    found: list[Question] = []
    for event in tape.events:
        for n in range(len(event.addends)) if event.phase == BACKWARD else (None,):
            question = choose(tape, event, n, None, seed)
            if question is not None:
                found.append(question)
        if event.phase == BACKWARD and event.output is not None and event.op != SEED:
            whole = about_gradient(tape, tape.values[event.output], event.number, None, seed)
            if whole is not None and whole.event < event.number:
                found.append(whole)
    kinds = ("gradient", "addend", "update", "forward")
    kept = sorted(found, key=lambda question: kinds.index(question.kind))[:most]
    return [question.plain() for question in sorted(kept, key=lambda question: question.event)]


# ---- one kind each


def _about_addend(
    tape: TapeContents, event: Event, number: int, place: Place | None, draw: random.Random
) -> Question | None:
    addend = event.addends[number]
    place = _place(addend.grad, place, draw)
    answer = None if place is None else addend.grad.at(place)
    if place is None or answer is None:
        return None
    key = printable(tape.values[addend.value].key)
    name = f"dL/d{label_at(key, place)}"
    output = "z" if event.output is None else printable(tape.values[event.output].key)
    shared = len(tape.gradient(tape.values[addend.value], event.number).addends) > 1
    computation = Computation(tape, event) if formula_at(tape, event) is not None and event.node is not None else None
    mistakes = of_addend(computation, event, addend, place, float(answer))
    formula = gradient_texts(tape, event)[number]
    hint = f"{formula}, where g is dL/d{output}" if formula else f"g is dL/d{output}: multiply it by the local slope"
    incoming = incoming_at(computation, addend, place)
    if incoming is not None and incoming[1] == 1:
        hint += f", {shown(incoming[0])} there"
    asked = f"What does it send to {key}: {name}{', its addend' if shared else ''}?"
    return _question(
        "addend", event.number, number, addend.value, place, f"{printable(event.op)} has got dL/d{output}. {asked}",
        float(answer), mistakes, hint,
        worked_gradient(tape, event, number, place) or f"{name} = {shown(float(answer))}",
    )  # fmt: skip


def _about_forward(tape: TapeContents, event: Event, place: Place | None, draw: random.Random) -> Question | None:
    value = tape.values[event.output or 0]
    kept = value.content(event.number)
    formula = forward_text(tape, event)
    if kept is None or formula is None or np.asarray(kept.values).dtype.kind != "f":
        return None
    place = _place(kept, place, draw)
    answer = None if place is None else kept.at(place)
    reveal = None if place is None else worked_forward(tape, event, place)
    if place is None or answer is None or reveal is None:
        return None
    return _question(
        "forward", event.number, None, value.number, place, f"What is {label_at(value.key, place)}?", float(answer),
        of_forward(Computation(tape, event), place, float(answer)), formula, reveal,
    )  # fmt: skip


def _about_update(tape: TapeContents, event: Event, place: Place | None, draw: random.Random) -> Question | None:
    if event.output is None or event.after is None or event.before is None:
        return None
    place = _place(event.gradient or event.after, place, draw)
    answer = None if place is None else event.after.at(place)
    reveal = None if place is None else worked_forward(tape, event, place)
    if place is None or answer is None or reveal is None:
        return None
    key = printable(tape.values[event.output].key)
    rate = event.numbers.get("rate", event.numbers.get("lr", math.nan))
    before = event.before.at(place)
    gradient = None if event.gradient is None else event.gradient.at(place)
    known = "" if before is None else f"; it was {shown(float(before))}"
    known += "" if gradient is None else f", its gradient is {shown(float(gradient))}"
    return _question(
        "update", event.number, None, event.output, place,
        f"{printable(event.op)} moves {key}. What is {label_at(key, place)} afterwards?", float(answer),
        of_update(float(answer), before, gradient, rate),
        f"go against the gradient, by the rate {shown(rate)}{known}", reveal,
    )  # fmt: skip


def _question(
    kind: str, event: int, addend: int | None, value: int, place: Place, ask: str, answer: float,
    mistakes: list[Mistake], hint: str, reveal: str,
) -> Question | None:  # fmt: skip
    """The question, with those of the wrong answers that can be told from the right one and from each other."""
    if not math.isfinite(answer):
        return None
    told: list[Mistake] = []
    for mistake in mistakes:
        if math.isfinite(mistake.number) and not any(
            _near(mistake.number, other, 2.5) for other in (answer, *[m.number for m in told])
        ):
            told.append(mistake)
    return Question(kind, event, addend, value, place, ask, answer, tuple(told), hint, reveal)


def _place(kept: Kept, place: Place | None, draw: random.Random) -> Place | None:
    """The place, or one drawn from those that are held, where the number is not 0 if it is anywhere."""
    if place is not None:
        return tuple([int(i) for i in place])
    values = np.asarray(kept.values)
    if values.size == 0:
        return None
    telling = np.flatnonzero(np.isfinite(values) & (values != 0))
    flat = int(telling[draw.randrange(len(telling))]) if len(telling) else draw.randrange(values.size)
    at = np.unravel_index(flat, values.shape)
    return tuple([int(indices[i]) for i, indices in zip(at, kept.places(), strict=True)])


def _tolerance(number: float) -> float:
    return max(RELATIVE * abs(number), ABSOLUTE)


def _near(said: float, number: float, times: float = 1.0) -> bool:
    return abs(said - number) <= times * _tolerance(number)
