"""record: writes a tape while a program runs, by watching its ops, its backwards and its optimizers."""

from __future__ import annotations

import weakref
from dataclasses import replace
from types import FrameType
from typing import Any, NamedTuple

import numpy as np

from minidl.autograd.hooks import RemovableHandle, after_backward, after_step, before_step
from minidl.autograd.modes import is_grad_enabled
from minidl.autograd.observing import Observer, leave, observe, observers
from minidl.checks import whole
from minidl.errors import printable
from minidl.functional.geometry import Geometry, Window
from minidl.stepper.backwards import Backwards
from minidl.stepper.events import BACKWARD, FORWARD, LOSS, OWN, RESULT, UPDATE, Event
from minidl.stepper.frames import name_of
from minidl.stepper.kept import ELEMENTS
from minidl.stepper.program import Program, not_yet_called
from minidl.stepper.registry import Registry
from minidl.stepper.tape import Tape
from minidl.stepper.updates import Updates

BUDGET = 64 << 20
_ENGINES = {"inputs", "kept", "needed", "order"}  # attributes of every op, which are no settings
_LONGEST = 40  # characters of a setting


class _Asked(NamedTuple):
    """A call of an op that has begun."""

    op: Any
    options: str
    copied: Any  # the op, not yet called
    inputs: tuple[int, ...]
    line: int | None
    call: int | None
    users: FrameType | None
    in_backward: bool


class _Last(NamedTuple):
    """The last result of a line of the program, which the line may give a name."""

    line: int | None = None
    users: FrameType | None = None
    value: int | None = None
    tensor: Any = None  # a weak reference


class record(Observer):  # noqa: N801 - reads as the statement it is: `with md.record() as tape:`
    """Record every op that runs inside the block, forward and backward, and every update, on a `Tape`.

        with md.record() as tape:
            loss = F.cross_entropy(model(images), labels)
            loss.backward()
            optimizer.step()
        tape.play()                     # walk through it in the terminal
        tape.save_html("step.html")     # or on a page

    Nothing is computed into the program: its numbers are bit-equal with and without. What is kept are copies on the
    host, so nothing of a device stays alive, and the user's lines as text. Small arrays are kept whole, of large ones a
    sample (flagged) with the statistics of the whole array. When the tape is full, further arrays are kept as samples
    of 64 numbers. Other threads are not recorded; outside of the block nothing is slower.

    Args:
        elements: up to how many numbers an array is kept whole.
        budget: how many bytes of arrays the tape may hold.
        title: what the tape is called; the name of the user's file by default.

    Raises:
        ValueError: `elements` or `budget` is no positive whole number.
    """

    def __init__(self, elements: int = ELEMENTS, budget: int = BUDGET, title: str = "") -> None:
        self._elements = whole(elements, "record: elements", 1)
        self._budget = whole(budget, "record: budget", 1)
        self._title = title
        self._tape: Tape | None = None

    def __repr__(self) -> str:
        return f"record(elements={self._elements}, budget={self._budget})"

    @property
    def tape(self) -> Tape:
        """The tape; inside the block what is on it so far."""
        if self._tape is None:
            raise RuntimeError("nothing has been recorded yet: `with md.record() as tape:`")
        return self._tape

    # ---- the block

    def __enter__(self) -> Tape:
        """Begin a new tape."""
        if self._tape is not None:
            raise RuntimeError("this recording has begun already: write `with md.record() as tape:` for another one")
        self._tape = tape = Tape(printable(self._title))
        tape.program = Program()
        tape.recording = True
        self._registry = Registry(tape, self._elements, self._budget)
        self._frames = self._registry.frames
        tape.lines, tape.calls = self._frames.lines, self._frames.calls
        self._backwards = Backwards(self._registry)
        self._updates = Updates(self._registry)
        self._asked: list[_Asked] = []
        self._last = _Last()
        self._by_hand: int | None = None  # the line of the last op of an update by hand, until its write is noted
        self._handles = [
            RemovableHandle(after_backward, self._after_walk),
            RemovableHandle(before_step, self._before_step),
            RemovableHandle(after_step, self._after_step),
        ]
        observe(self)
        return tape

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: Any) -> None:
        """End it. An error of the program is noted; so is what it wrote into leaves without an optimizer."""
        leave(self)
        for handle in self._handles:
            handle.remove()
        tape = self.tape
        tape.recording = False
        if error is not None and tape.events:
            said = printable(f"then {type(error).__name__}: {error}".split("\n")[0])
            last = tape.events[-1]
            tape.events[-1] = replace(last, note=f"{last.note}; {said}" if last.note else said)
        self._name_last()
        self._updates.note_writes(self._by_hand, counted=False)
        self._registry.let_go()
        self._backwards.let_go()
        self._updates.let_go()
        self._asked = []
        tape.files = self._frames.files()
        if not tape.title and tape.files:
            tape.title = tape.files[-1].name
        if tape.program is not None and tape.program.too_large:
            tape.program = None

    # ---- forward

    def before_forward(self, op: Any, inputs: tuple[Any, ...]) -> None:
        """Note what the call of the op does not leave behind: where it was called, with which settings, on what."""
        seen = self._frames.look()
        if seen.delivering:
            return
        self._backwards.end_unless(seen.walk)
        if seen.line != self._last.line or seen.users is not self._last.users:
            self._name_last()
        if self._by_hand is not None or any(map(self._registry.was_written, inputs)):
            self._note_writes()
        values = tuple([self._registry.value_of(x, seen.call, seen.users) for x in inputs])
        program = self.tape.program
        copied = None if program is None or program.too_large else not_yet_called(op)
        in_backward = seen.walk is not None
        self._asked.append(_Asked(op, _options(op), copied, values, seen.line, seen.call, seen.users, in_backward))

    def after_forward(self, op: Any, inputs: tuple[Any, ...], result: Any) -> None:
        """The event of a forward."""
        while self._asked and self._asked[-1].op is not op:
            self._asked.pop()  # a call that failed
        if not self._asked:
            return
        asked, tape, number = self._asked.pop(), self.tape, len(self.tape.events)
        name, node = op.plain.__name__, result._op if result._op is op else None
        path = "" if asked.call is None else f"{tape.calls[asked.call].path}."
        output = self._registry.add(RESULT, result._data, f"{path}{name.lower()}", asked.call, node is not None)
        tape.values[output].event = number
        if node is not None:
            self._registry.made[node.order] = output
            self._registry.forward[node.order] = number
        else:
            self._registry.note_tensor(result, output)
        enabled = is_grad_enabled()
        phase = BACKWARD if asked.in_backward else FORWARD if enabled or not self._is_update(asked) else UPDATE
        if phase == UPDATE:
            self._by_hand = asked.line
        if asked.copied is not None and tape.program is not None:
            tape.program.add_op(number, asked.copied)
        tape.events.append(
            Event(
                number, phase, name, asked.options, asked.call, asked.inputs, output, number, line=asked.line,
                step=self._registry.step, grad_enabled=enabled, note=OWN if op.foreign else "",
            )
        )  # fmt: skip
        self._last = _Last(asked.line, asked.users, output, weakref.ref(result))

    def _is_update(self, asked: _Asked) -> bool:
        """Whether an op without history updates by hand, `w -= rate * w.grad`: of leaves, after a backward."""
        if asked.call is not None or not self._backwards.delivered:
            return False
        values = [self.tape.values[v] for v in asked.inputs]
        return all(v.kind != RESULT or self.tape.events[v.event or 0].phase == UPDATE for v in values)

    def _note_writes(self) -> None:
        """What the program wrote into leaves, before anything else happens."""
        self._updates.note_writes(self._by_hand)
        self._by_hand = None

    def _name_last(self) -> None:
        """Call the last result of a line by the name that the line assigns it to."""
        line, users, value, reference = self._last
        self._last = _Last()
        event = None if value is None else self.tape.values[value].event
        target = self._frames.target(line)
        if not target and users is not None:  # a line whose text cannot be had, or with several targets
            result = reference()
            target = "" if result is None else name_of(result, users)
        if value is None or event is None or not target:
            return
        if self.tape.events[event].phase in (FORWARD, LOSS, UPDATE):
            self._registry.rename(value, target)

    # ---- backward and update

    def after_raw(self, op: Any, inputs: tuple[Any, ...], result: Any) -> None:
        """A backward has called an op on arrays."""
        self._backwards.note_sum(op, inputs[0], result)

    def before_backward(self, node: Any, grad_out: Any) -> None:
        """The gradient of a node is complete."""
        self._name_last()
        if self._by_hand is not None:
            self._note_writes()
        self._backwards.arrive(node, grad_out)

    def after_backward(self, node: Any, grad_out: Any, input_grads: tuple[Any, ...]) -> None:
        """A node's backward has run."""
        self._backwards.leave(node, grad_out, input_grads)

    def _after_walk(self, loss: Any) -> None:
        if self in observers():
            self._backwards.deliver()

    def _before_step(self, optimizer: Any) -> None:
        if self in observers():
            self._name_last()
            self._note_writes()
            self._backwards.begin()
            self._updates.begin(optimizer)

    def _after_step(self, optimizer: Any) -> None:
        if self in observers():
            self._updates.end(optimizer)


_WINDOWS = ("kernel", "stride", "padding", "dilation", "groups")


def _options(op: Any) -> str:
    """An op's settings in words: what its constructor has left on it, as far as it is short."""
    names = [name for cls in reversed(type(op).__mro__[:-1]) for name in cls.__dict__.get("__slots__", ())]
    found = []
    for name in (*names, *getattr(op, "__dict__", ())):
        value = getattr(op, name, None)
        if isinstance(value, (Geometry, Window)):  # of a convolution, a pooling: how the window lies and moves
            found += [f"{part}={getattr(value, part)!r}" for part in _WINDOWS if hasattr(value, part)]
        if name in _ENGINES or name[0] == "_" or not isinstance(value, (int, float, str, tuple, slice, np.generic)):
            continue
        said = printable(repr(value))
        if len(said) <= _LONGEST:
            found.append(f"{name}={said}")
    return ", ".join(found)
