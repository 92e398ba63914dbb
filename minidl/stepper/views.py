"""One moment of a tape in words and numbers, as the terminal shows it: an event, a value, a gradient."""

from __future__ import annotations

from collections.abc import Iterator

from minidl.stepper.contents import TapeContents
from minidl.stepper.events import ACCUMULATE, BACKWARD, RESULT, SEED, UPDATE, Addend, Event, Value
from minidl.stepper.explaining import Explanations
from minidl.stepper.kept import Kept
from minidl.stepper.pictures import array_lines, one, shape_of
from minidl.stepper.screen import Line, Screen

SMALL, DEEP = "    ", "      "  # how far in lines and arrays stand


class Views:
    """The views of one tape on one screen; each is a series of lines.

    Args:
        tape: what is looked at.
        screen: for its width and characters.
    """

    def __init__(self, tape: TapeContents, screen: Screen) -> None:
        self.tape, self.screen = tape, screen
        self.explained = Explanations(tape)

    def __repr__(self) -> str:
        return f"Views({self.tape!r}, {self.screen!r})"

    # ---- an event

    def event(self, event: Event, hidden: bool = False) -> Iterator[Line]:
        """All that happened in it; `hidden`: what a quiz asks for is left out."""
        yield self.head(event)
        yield from self.where(event)
        if event.op == SEED:
            yield from self._seed(event)
        elif event.node == event.number:  # an op was called, be it in a backward or an update by hand
            yield from self._forward(event)
        elif event.phase == BACKWARD:
            yield from self._backward(event, hidden)
        elif event.phase == ACCUMULATE:
            yield from self._accumulate(event)
        elif event.phase == UPDATE:
            yield from self._update(event)
        else:
            yield from self._forward(event)
        if event.note and event.op != SEED and event.before is None:
            yield (f"{SMALL}note: {event.note.rstrip(': ')}",)

    def head(self, event: Event) -> Line:
        """`5/46  forward  MatMul  in fc1 (Linear 2->3)`."""
        last = len(self.tape) - 1
        place = self.layer(event)
        return (
            ("strong", f"{event.number}/{last}"),
            "  ",
            (event.phase, event.phase),
            "  ",
            ("strong", self.what(event)),
            f"  in {place}" if place else "",
        )

    def what(self, event: Event) -> str:
        """`Sum(axis=1)`; of a seed "start"; of a leaf whose gradient is added to, or which is updated, its name."""
        if event.op == SEED:
            return f"begins at {self.name(event.output)}"
        if event.phase == ACCUMULATE:
            return f"into {self.name(event.output)}.grad"
        if event.phase == UPDATE:
            return f"{self.name(event.output)} by {event.op}"
        return f"{event.op}({event.options})" if event.options else event.op

    def layer(self, event: Event) -> str:
        """`fc1 (Linear 2->3)`, with "2nd call" if it is not the first; "" if the event belongs to no layer."""
        if event.call is None:
            return self.tape.layer(event)
        call = self.tape.calls[event.call]
        nth = f", call {call.nth} of it" if call.nth > 1 else ""
        return f"{call.path} ({call.label}{nth})" if call.label != call.path or nth else call.path

    def where(self, event: Event) -> Iterator[Line]:
        """The user's line, and of a backward or an update the line that called it."""
        for of_caller, said in ((False, ""), (True, "called by ")):
            found = self.tape.source(event, of_caller)
            if found is not None and (not of_caller or found != self.tape.source(event)):
                name, line, text = found
                place = f"{SMALL}{said}{name}:{line}  "
                yield ("quiet", place), self.screen.cut(text.strip(), len(place))

    def _forward(self, event: Event) -> Iterator[Line]:
        values = [value for number in event.inputs if not (value := self.tape.values[number]).missing]
        wide = max((len(value.key) for value in values), default=0)
        for value in values:
            yield from self._small(f"{SMALL}", value, wide, event.number - 1)
        if event.output is None:
            return
        output = self.tape.values[event.output]
        content = self.tape.content(output, event.number)
        yield f"{SMALL[:-3]}-> ", ("strong", output.key), *self._shown(content, output)
        yield from self._numbers(content)
        yield from self._worked(event, None, None)
        if not event.grad_enabled:
            yield (f"{SMALL}no history was kept (no_grad): backward() does not come here",)

    def _small(self, indent: str, value: Value, wide: int, moment: int) -> Iterator[Line]:
        """An input in one line: its number if it is one, else its shape."""
        content = self.tape.content(value, max(moment, 0))
        yield f"{indent}{value.key:<{wide}}  ", *self._shown(content, value), f"  {self.kind(value)}"

    def _shown(self, content: Kept | None, value: Value) -> Line:
        """` (3, 4) float32`, and ` = 0.5` after it if it is a single number."""
        if content is None:
            return (f"{shape_of(value.shape, value.dtype)}: not computed yet",)
        text = f" {shape_of(content.shape, content.dtype)}"
        return (text, f" = {one(content, (0,) * len(content.shape))}") if content.size == 1 else (text,)

    def _numbers(self, kept: Kept | None) -> Iterator[Line]:
        if kept is not None and kept.size != 1:
            room = self.screen.width - len(DEEP)
            yield from ((DEEP + line,) for line in array_lines(kept, room, self.screen.shades))

    def _worked(self, event: Event, addend: int | None, place: tuple[int, ...] | None) -> Iterator[Line]:
        said = self.explained.worked(event, addend, place)
        if said:
            yield f"{SMALL}because ", said

    # ---- backward

    def _seed(self, event: Event) -> Iterator[Line]:
        yield (
            f"{SMALL}L is {self.name(event.output)}. Now dL/dv is computed for each v that L was made of, backwards.",
        )
        if event.gradient is not None:
            yield f"{SMALL}begins with  ", ("strong", "dL/dL"), *self._gradient_shown(event.gradient)
            yield from self._numbers(event.gradient)
        if event.note and event.note != "dL/dL = 1":
            yield (f"{SMALL}note: {event.note}",)

    def _backward(self, event: Event, hidden: bool) -> Iterator[Line]:
        output = self.name(event.output)
        if event.gradient is not None:
            came = self.came_from(event)
            yield f"{SMALL}comes in  ", ("strong", f"g = dL/d{output}"), *self._gradient_shown(event.gradient), came
            yield from self._numbers(event.gradient)
        for number, addend in enumerate(event.addends):
            if hidden:
                name = self.name(addend.value)
                yield f"{SMALL}goes on   ", ("strong", f"dL/d{name}"), f" {addend.grad.shape}  ?"
            else:
                yield from self.addend(event, number)
        if event.node is not None:
            forward = self.tape.events[event.node]
            wanted = {addend.input for addend in event.addends}
            others = dict.fromkeys(forward.inputs[i] for i in range(len(forward.inputs)) if i not in wanted)
            names = [self.name(n) for n in others if self.tape.values[n].kind != "constant"]
            if names:
                yield (f"{SMALL}nothing goes to {', '.join(names)}: no gradient is wanted there",)

    def addend(self, event: Event, number: int, place: tuple[int, ...] | None = None) -> Iterator[Line]:
        """What the backward `event` sent to one input: its numbers, how it was made, what it is added to."""
        addend = event.addends[number]
        name = self.name(addend.value)
        nth, all_of_them = self.order(event, number)
        which = f"to dL/d{name}, addend {nth} of {len(all_of_them)}" if len(all_of_them) > 1 else f"dL/d{name}"
        yield f"{SMALL}goes on   ", ("strong", which), *self._gradient_shown(addend.grad)
        yield from self._numbers(addend.grad)
        yield from self._worked(event, number, place)
        if addend.shape_before is not None and addend.shape_before != addend.grad.shape:
            yield (
                f"{SMALL}it had the shape {addend.shape_before}: {name} had been broadcast to it, so its copies' "
                f"gradients were summed to {addend.grad.shape}",
            )
        if addend.dtype_before is not None and addend.dtype_before != addend.grad.dtype:
            yield (f"{SMALL}it was {addend.dtype_before} and became {addend.grad.dtype}, the dtype of {name}",)
        if len(all_of_them) > 1:
            yield from self._sum(addend, nth, all_of_them, f"dL/d{name}")

    def _sum(self, addend: Addend, nth: int, came: list[int], name: str) -> Iterator[Line]:
        """What is known of the gradient of a value that was used more than once."""
        left = f", {len(came) - nth} more to come: {_events(came[nth:])}" if came[nth:] else ", complete"
        if addend.total is None:
            yield (f"{SMALL}{name} is not complete{left}",)
            return
        yield f"{SMALL}sum       ", ("strong", name), *self._gradient_shown(addend.total), left
        yield from self._numbers(addend.total)

    def _gradient_shown(self, kept: Kept | None) -> Line:
        if kept is None:
            return (" not kept",)
        text = f" {shape_of(kept.shape, kept.dtype)}"
        return (text, f" = {one(kept, (0,) * len(kept.shape))}") if kept.size == 1 else (text,)

    # ---- what is done with the gradients

    def _accumulate(self, event: Event) -> Iterator[Line]:
        name = self.name(event.output)
        if event.before is None:
            yield (f"{SMALL}{name}.grad was None; it becomes the gradient",)
        else:
            yield f"{SMALL}before    {name}.grad", *self._gradient_shown(event.before)
            yield from self._numbers(event.before)
            yield f"{SMALL}added     dL/d{name}", *self._gradient_shown(event.gradient)
            yield from self._numbers(event.gradient)
        yield f"{SMALL}after     ", ("strong", f"{name}.grad"), *self._gradient_shown(event.after)
        yield from self._numbers(event.after)
        if event.before is not None:
            yield from self._worked(event, None, None)
            yield (f"{SMALL}It was added to what was there; zero_grad() before backward() empties it.",)

    def _update(self, event: Event) -> Iterator[Line]:
        name = self.name(event.output)
        first = ("lr", "multiplier", "rate")
        names = [*[n for n in first if n in event.numbers], *sorted(n for n in event.numbers if n not in first)]
        said = ", ".join(f"{name.replace('_', ' ')} {event.numbers[name]:.6g}" for name in names)
        if said:
            yield (f"{SMALL}{said}",)
        for title, kept in (("before   ", event.before), ("gradient ", event.gradient), ("after    ", event.after)):
            if kept is not None:
                yield (
                    f"{SMALL}{title} ",
                    ("strong", name if title != "gradient " else f"of {name}"),
                    *(self._gradient_shown(kept)),
                )
                yield from self._numbers(kept)
        yield from self._worked(event, None, None)

    # ---- names

    def name(self, number: int | None) -> str:
        """The key of a value by its number."""
        return "?" if number is None else self.tape.values[number].key

    def kind(self, value: Value) -> str:
        """`parameter`, or where a result comes from: `from event 3`."""
        return f"from event {value.event}" if value.kind == RESULT and value.event is not None else value.kind

    def seed(self, moment: int) -> Event | None:
        """The event with which the backward of this moment, or the last one before it, began."""
        return next((e for e in reversed(self.tape.events[: moment + 1]) if e.op == SEED), None)

    def came_from(self, event: Event) -> str:
        """From which events the incoming gradient of a backward came."""
        if event.output is None:
            return ""
        came = [n for n, _ in self.tape.gradient(self.tape.values[event.output], event.number).addends]
        if not came:
            return ""
        return f", from {_events(came)}" if len(came) == 1 else f", the sum of {len(came)} addends from {_events(came)}"

    def order(self, event: Event, number: int) -> tuple[int, list[int]]:
        """The how manieth addend of its value's gradient this one is, from 1, and the events of all of them."""
        addend = event.addends[number]
        begin = self.seed(event.number)
        first = 0 if begin is None else begin.number
        nth, came = 0, []
        for other in self.tape.events[first:]:
            if other.op == SEED and other.number > first:
                break
            for one_of_them in other.addends:
                if one_of_them.value == addend.value:
                    came.append(other.number)
                    if one_of_them is addend:
                        nth = len(came)
        return nth, came


def _events(numbers: list[int]) -> str:
    """`event 8`, `events 8, 9`."""
    different = list(dict.fromkeys(numbers))
    return f"event{'s' * (len(different) > 1)} {', '.join(map(str, different))}"
