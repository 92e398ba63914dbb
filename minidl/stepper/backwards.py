"""Backwards: writes what happens in a backward onto a tape, from the seed to what is added to each `.grad`."""

from __future__ import annotations

import inspect
from dataclasses import replace
from types import FrameType
from typing import Any

import numpy as np

from minidl import backend
from minidl.autograd.variable import Variable
from minidl.functional.broadcasting import Sum
from minidl.stepper.events import ACCUMULATE, BACKWARD, CONSTANT, FORWARD, LOSS, RESULT, SEED, Addend, Event
from minidl.stepper.kept import Kept
from minidl.stepper.registry import Registry, alike


class Backwards:
    """One walk back after the other, as a recorder sees it.

    Attributes:
        delivered: whether a backward has filled a `.grad`.
        filled: the leaves whose `.grad` the last backward has filled. They are held, as a function that updates them
            by hand may let go of them right afterwards, when it returns.
    """

    def __init__(self, registry: Registry) -> None:
        self._registry = registry
        self._tape = registry.tape
        self.delivered = False
        self.filled: list[Any] = []
        self.begin()

    def begin(self) -> None:
        """Forget the walk before."""
        self._walk: FrameType | None = None  # of the walk that runs; held, so that another one is told from it
        self._sums: dict[Any, tuple[Any, Kept, int]] = {}  # by source: the sum so far, what is kept of it, how many
        self._leaves: dict[int, tuple[Any, int, Kept | None]] = {}  # that were reached: tensor, value, .grad before
        self._reduced: list[tuple[Any, Any]] = []  # results of sums in the backward that runs, and what was summed
        self._caller: int | None = None

    def let_go(self) -> None:
        """Hold nothing of the program any more."""
        self.filled = []
        self.begin()

    def end_unless(self, walk: FrameType | None) -> None:
        """A forward runs under `walk`, or under none: then a walk by md.grad has ended, of which nobody else tells."""
        if walk is None and self._walk is not None and not self._walk.f_code.co_flags & inspect.CO_GENERATOR:
            self.begin()

    # ---- at a node

    def note_sum(self, op: Any, summed: Any, result: Any) -> None:
        """A backward has summed an addend over the axes along which an input was broadcast."""
        if self._walk is not None and isinstance(op, Sum) and op.keepdims:
            self._reduced.append((result, summed))

    def arrive(self, node: Any, grad_out: Any) -> None:
        """The gradient of a node is complete. Of the first node of a walk nobody has sent it: that is the seed."""
        self._reduced = []
        if node in self._sums:
            return
        seen = self._registry.frames.look()
        if seen.walk is not self._walk:
            self.begin()
            self._walk, self._caller = seen.walk, seen.line
        forward = self._registry.forward.get(node.order)
        output = self._registry.made_by(node)
        self._mark_loss(forward)
        kept, scale = self._registry.keep(grad_out), self._scale(forward)
        is_one = kept.size == 1 and kept.low == 1
        note = "dL/dL = 1" if is_one else "the gradient that backward() was given"
        if scale is not None:
            note = f"{note}; the loss was multiplied by {scale:g}, and so is every gradient"
        self._sums[node] = grad_out, kept, 1
        self._add(
            BACKWARD, SEED, output=output, node=forward, gradient=kept, note=note,
            numbers={} if scale is None else {"scale": scale},
        )  # fmt: skip

    def leave(self, node: Any, grad_out: Any, input_grads: tuple[Any, ...]) -> None:
        """A node's backward has run: the event, with what it sends to each input."""
        known = self._sums.pop(node, None)
        if known is None or node.inputs is None:
            return
        raw = _raw(grad_out)
        gradient = known[1] if raw is _raw(known[0]) else self._registry.keep(raw)  # a hook may have replaced it
        forward = self._registry.forward.get(node.order)
        origin = None if forward is None else self._tape.events[forward]
        inputs = () if origin is None else origin.inputs
        addends = []
        for i, grad in enumerate(input_grads):
            if grad is not None and node.needs(i):
                kept = gradient if _raw(grad) is raw else None
                value = self._value(node.inputs[i], inputs[i] if inputs else None)
                addends.append(self._addend(node.inputs[i], i, value, _raw(grad), kept))
        sent = tuple([addend for addend in addends if addend is not None])
        self._add(
            BACKWARD, node.plain.__name__, inputs=inputs, output=self._registry.made_by(node), node=forward,
            gradient=gradient, addends=sent, options="" if origin is None else origin.options,
            call=None if origin is None else origin.call, line=None if origin is None else origin.line,
            note="its forward ran before the tape began" if origin is None else "",
        )  # fmt: skip

    def _value(self, source: Any, known: int | None) -> int | None:
        """The value that stands for an entry of a node's inputs; a leaf's `.grad` is looked at, before it changes."""
        if not isinstance(source, Variable):
            return self._registry.made_by(source) if known is None else known
        value = self._registry.value_of(source, None) if known is None else known
        if id(source) not in self._leaves:
            before = None if source._grad is None else self._registry.keep(source._grad._data)
            self._leaves[id(source)] = source, value, before
        return value

    def _addend(self, source: Any, i: int, value: int | None, raw: Any, kept: Kept | None) -> Addend | None:
        """What goes to an input, added to what came before; `kept` if it is known already. None without a `value`."""
        raw = raw if backend.is_array(raw) else np.asarray(raw)
        kept = self._registry.keep(raw) if kept is None else kept
        shape = next((tuple(summed.shape) for result, summed in self._reduced if _is_of(raw, result)), None)
        known, total = self._sums.get(source), None
        if known is None:
            self._sums[source] = raw, kept, 1
        else:
            summed = _raw(known[0]) + raw
            total = self._registry.keep(summed)
            self._sums[source] = summed, total, known[2] + 1
        if value is None:
            return None
        dtype = None if str(raw.dtype) == self._tape.values[value].dtype else str(raw.dtype)
        return Addend(i, value, kept, shape, dtype, total)

    # ---- the loss

    def _mark_loss(self, number: int | None) -> None:
        """The forward of what backward() was called on: its last op, and what else came after the last module."""
        events = self._tape.events
        while number is not None and events[number].phase == FORWARD:
            event = events[number]
            if self._in_model(event):
                return
            events[number] = replace(event, phase=LOSS)
            before = [self._tape.values[v].event for v in event.inputs]
            made = [n for n in before if n is not None and events[n].phase == FORWARD]
            after_model = any(self._in_model(e) for e in events[: event.number])
            number = max(made) if made and after_model else None

    def _in_model(self, event: Event) -> bool:
        """Whether an event belongs to a module that is no loss."""
        return event.call is not None and not self._tape.calls[event.call].label.split(" ")[0].endswith("Loss")

    def _scale(self, forward: int | None) -> float | None:
        """The number that a loss was multiplied by before backward(), if it was: (loss * 1024).backward()."""
        if forward is None or self._tape.events[forward].op not in ("Mul", "Div"):
            return None
        event = self._tape.events[forward]
        values = [self._tape.values[v] for v in event.inputs]
        numbers = [v for v in values if v.kind == CONSTANT and v.shape == ()]
        others = [v for v in values if v.kind == RESULT and v.shape == ()]
        if len(numbers) != 1 or len(others) != 1 or (event.op == "Div" and values[1] is not numbers[0]):
            return None
        number = float(numbers[0].contents[0][1].values)
        return number if event.op == "Mul" else 1 / number if number else None

    # ---- at the leaves

    def deliver(self) -> None:
        """backward() has filled the `.grad`s: an event for each."""
        self.filled = [source for source, _, _ in self._leaves.values()]
        for source, value, before in self._leaves.values():
            if source._grad is None or not source._requires_grad:
                continue
            self.delivered = True
            after, sent = self._registry.keep(source._grad._data), self._sums[source][1]
            note = "" if before is None else "the .grad was not empty: the new gradient was added to it"
            if before is None and after.dtype != sent.dtype:
                note = f"the gradient was converted from {sent.dtype} to {after.dtype}, the dtype of its leaf"
            elif before is None and not alike(after, sent):
                note = "a hook changed the gradient on its way"
            self._add(
                ACCUMULATE, ACCUMULATE, inputs=(value,), output=value, gradient=after if before is None else sent,
                before=before, after=after, note=note,
            )  # fmt: skip
        self.begin()

    def _add(self, phase: str, op: str, **more: Any) -> None:
        number, step = len(self._tape.events), self._registry.step
        self._tape.events.append(Event(number, phase, op, caller=self._caller, step=step, **more))


def _raw(x: Any) -> Any:
    return x._data if isinstance(x, Variable) else x


def _is_of(array: Any, result: Any) -> bool:
    """Whether `array` is `result`, or another shape of the same memory."""
    return array is result or (
        array.base is not None and (array.base is result or array.base is getattr(result, "base", None))
    )
