"""One value of a tape at a moment, as the terminal shows it: what it holds, what is known of its gradient."""

from __future__ import annotations

import re
from collections.abc import Iterator

from minidl.errors import meant_by
from minidl.stepper.checking import check
from minidl.stepper.contents import TapeContents
from minidl.stepper.events import ACCUMULATE, SEED, Addend, Event, Value
from minidl.stepper.kept import Kept
from minidl.stepper.pictures import array_lines, one, shape_of
from minidl.stepper.screen import Line
from minidl.stepper.views import DEEP, SMALL, Views
from minidl.stepper.worked import largest

Place = tuple[int, ...]
_PLACE = re.compile(r"(.*?)\s*(?:\[([-\d\s,]*)\]|(?<![^\s])(-?\d+(?:[\s,]+-?\d+)*))\s*")


def value_and_place(tape: TapeContents, text: str, event: Event) -> tuple[Value, Place | None]:
    """What `h`, `h[0, 1]`, `h 0 1` mean; without a name it is the output of the event.

    Raises:
        ValueError: no value has this name, or it has no such place.
    """
    text, place = text.strip(), None
    keys = {value.key: value for value in tape.values}
    if text not in keys:
        found = _PLACE.fullmatch(text)
        if found is not None:
            text, numbers = found[1], found[2] if found[2] is not None else found[3]
            place = tuple(int(number) for number in re.findall(r"-?\d+", numbers))
    if not text and event.output is not None:
        value = tape.values[event.output]
    elif text in keys:
        value = keys[text]
    else:
        meant = meant_by(text, keys)
        here = [tape.values[n].key for n in (*event.inputs, event.output) if n is not None]
        raise ValueError(
            f"no value is called {text!r}; "
            + (f"did you mean {meant!r}?" if meant else f"here there are {', '.join(dict.fromkeys(here)) or 'none'}")
        )
    if place is not None:
        if len(place) != len(value.shape) or any(not -n <= i < n for i, n in zip(place, value.shape, strict=True)):
            raise ValueError(
                f"{value.key} has the shape {value.shape}, so a place in it is {len(value.shape)} "
                f"numbers{_limits(value)}; got {place}"
            )
        place = tuple(i % n for i, n in zip(place, value.shape, strict=True))
    return value, place


def _limits(value: Value) -> str:
    return "".join(f", {i} from 0 to {n - 1}" for i, n in zip(("the first", "the second"), value.shape, strict=False))


def said_place(name: str, place: Place) -> str:
    """`h[0, 1]`, or `h` alone if it is a single number."""
    return f"{name}[{', '.join(map(str, place))}]" if place else name


class Looking:
    """Values and gradients of one tape on one screen.

    Args:
        views: of the same tape.
    """

    def __init__(self, views: Views) -> None:
        self.views, self.tape, self.screen = views, views.tape, views.screen

    def __repr__(self) -> str:
        return f"Looking({self.tape!r})"

    def value(self, value: Value, place: Place | None, moment: int) -> Iterator[Line]:
        """What it holds, or its number at a place."""
        content = self.tape.content(value, moment)
        if content is None:
            yield (
                f"{SMALL}{value.key} has not been computed yet: event {value.event}{self._by(value.event)} does that",
            )
            return
        if place is not None:
            yield from self._one(value.key, content, place)
            return
        came = f"  {self.views.kind(value)}{self._by(value.event)}"
        needs = "" if value.requires_grad else ", no gradient wanted"
        yield from self._array(value.key, content, came + needs)
        changes = [n for n, _ in value.contents[1:] if n <= moment]
        later = [n for n, _ in value.contents[1:] if n > moment]
        if changes or later:
            said = [f"was written to at event {', '.join(map(str, changes))}"] if changes else []
            said += [f"will be written to at event {', '.join(map(str, later))}"] if later else []
            yield (f"{SMALL}it {' and '.join(said)}",)

    def gradient(self, value: Value, place: Place | None, moment: int) -> Iterator[Line]:
        """What is known of its gradient: the addends so far, and what is still to come."""
        seed = self.views.seed(moment)
        if seed is None:
            first = next((e for e in self.tape if e.op == SEED), None)
            when = "no backward is on this tape" if first is None else f"the backward begins with event {first.number}"
            yield (f"{SMALL}dL/d{value.key} is not known yet: {when}",)
            return
        known = self.tape.gradient(value, moment)
        coming = [(e, i) for e, i in self._addends(value, seed.number) if e.number > moment]
        came = [(self.tape[n], addend) for n, addend in known.addends]
        if known.total is None:
            yield from self._not_known(value, coming)
            return
        name, all_of_them = f"dL/d{value.key}", len(came) + len(coming)
        if len(came) > 1:
            for nth, (event, addend) in enumerate(came, 1):
                yield from self._addend(event, addend, nth, all_of_them, place)
        if coming:
            yield (
                f"{SMALL}so far, {len(came)} of {all_of_them} addends; the next comes with event "
                f"{coming[0][0].number}:",
            )
        if place is not None:
            yield from self._one(name, known.total, place)
        else:
            yield from self._array(name, known.total, "")
        yield from self._why(name, came, known.total, place)
        yield from self._accumulated(value, place, moment)

    def check(self, value: Value, place: Place | None) -> Iterator[Line]:
        """One element of a gradient beside the same by finite differences.

        Raises:
            GraphError: it cannot be checked; the message says why.
        """
        found = check(self.tape, value, place)
        name = said_place(f"dL/d{value.key}", found.index)
        yield f"{SMALL}", ("strong", name), f": {found.words}"

    def _not_known(self, value: Value, coming: list[tuple[Event, int]]) -> Iterator[Line]:
        name = f"dL/d{value.key}"
        if coming:
            event = coming[0][0]
            first = f"the first of {len(coming)} addends comes" if len(coming) > 1 else "it comes"
            yield (f"{SMALL}{name} is not known yet: {first} with event {event.number}{self._by(event.number)}",)
        elif not value.requires_grad:
            yield (f"{SMALL}there is no {name}: {value.key} ({self.views.kind(value)}) does not require a gradient",)
        else:
            yield (f"{SMALL}no {name} in this backward: L was not made of {value.key}, or it is not on the tape",)

    def _addend(self, event: Event, addend: Addend, nth: int, count: int, place: Place | None) -> Iterator[Line]:
        name = f"addend {nth} of {count}, from event {event.number} ({event.op})"
        if place is not None:
            yield (f"{SMALL}{name}: {one(addend.grad, place)}",)
        else:
            yield from self._array(name, addend.grad, "")

    def _why(self, name: str, came: list[tuple[Event, Addend]], total: Kept, place: Place | None) -> Iterator[Line]:
        """Where one number comes from: that at the place, or else the one that is farthest from 0."""
        if not total.size:
            return
        place = largest(total) if place is None else place
        for event, addend in came:
            number = next((i for i, other in enumerate(event.addends) if other is addend), None)
            said = "" if number is None else self.views.explained.worked(event, number, place)
            if said:
                yield (f"{SMALL}by event {event.number} ({event.op}): {said}",)
        if len(came) > 1:
            parts = [one(addend.grad, place) for _, addend in came]
            parts[1:] = [f"({part})" if part.startswith("-") else part for part in parts[1:]]
            yield (f"{SMALL}so  {said_place(name, place)} = {' + '.join(parts)} = {one(total, place)}",)

    def _accumulated(self, value: Value, place: Place | None, moment: int) -> Iterator[Line]:
        """What `.grad` holds, if it is not this gradient alone."""
        added = [e for e in self.tape.events[: moment + 1] if e.phase == ACCUMULATE and e.output == value.number]
        if added and added[-1].before is not None and added[-1].after is not None:
            if place is not None:
                yield from self._one(f"{value.key}.grad", added[-1].after, place)
            else:
                yield from self._array(f"{value.key}.grad", added[-1].after, "  with what was there before")

    def _addends(self, value: Value, begin: int) -> Iterator[tuple[Event, int]]:
        """All addends of its gradient in the backward that begins with event `begin`."""
        for event in self.tape.events[begin:]:
            if event.op == SEED and event.number > begin:
                return
            yield from ((event, i) for i, addend in enumerate(event.addends) if addend.value == value.number)

    def _by(self, number: int | None) -> str:
        return "" if number is None else f" ({self.views.what(self.tape[number])})"

    def _one(self, name: str, kept: Kept, place: Place) -> Iterator[Line]:
        if kept.at(place) is None:
            yield (
                f"{SMALL}{said_place(name, place)} was not kept: of {kept.size} numbers a sample of "
                f"{kept.values.size} was",
            )
        else:
            yield f"{SMALL}", ("strong", said_place(name, place)), f" = {one(kept, place)}"

    def _array(self, name: str, kept: Kept, more: str) -> Iterator[Line]:
        if kept.size == 1:
            zeros = (0,) * len(kept.shape)
            yield f"{SMALL}", ("strong", name), f" {shape_of(kept.shape, kept.dtype)} = {one(kept, zeros)}{more}"
            return
        yield f"{SMALL}", ("strong", name), f" {shape_of(kept.shape, kept.dtype)}{more}"
        for line in array_lines(kept, self.screen.width - len(DEEP), self.screen.shades):
            yield (DEEP + line,)
