"""Replay: the recorded forward computed once more in float64, and again with one number moved."""

from __future__ import annotations

import copy
import math
from typing import Any

import numpy as np

from minidl.errors import GraphError, printable
from minidl.stepper.contents import TapeContents
from minidl.stepper.events import ACCUMULATE, BACKWARD, SEED, Addend, Event, Value
from minidl.stepper.formula_table import PRODUCTS
from minidl.stepper.kept import Kept
from minidl.stepper.program import Program

STEPS = 8  # of a product take about as long as one number of another op
CALL = 10_000  # calling an op at all takes about as long as this many numbers of one
SAME = ("Cast", "ToDevice", "InputIdentity", "OutputIdentity")  # whose numbers stay, and are wanted in float64


class Walk:
    """One backward on a tape: where it began, and what it delivered.

    Attributes:
        seeds: the events with which it began: one, or one for each output that a gradient was asked of.
        end: the number of the first event that no longer belongs to it.
    """

    def __init__(self, tape: TapeContents, seeds: list[Event], end: int) -> None:
        self.tape = tape
        self.seeds = seeds
        self.end = end
        self._largest: float | None = None

    def received(self, value: Value) -> list[Addend]:
        """The addends of a value's gradient, in their order."""
        events = self.tape.events[self.seeds[0].number : self.end]
        return [addend for event in events for addend in event.addends if addend.value == value.number]

    def gradient(self, value: Value) -> Kept | None:
        """dL/d(value) as this backward has it; None if none arrived."""
        for event in self.tape.events[self.seeds[0].number : self.end]:
            ran = event.phase == BACKWARD and event.op != SEED
            if ran and event.output == value.number and event.gradient is not None:
                return event.gradient
        came = self.received(value)
        if not came:
            seeds = [seed.gradient for seed in self.seeds if seed.output == value.number]
            return seeds[-1] if seeds else None
        return came[-1].total if came[-1].total is not None else came[-1].grad

    def largest(self) -> float:
        """The largest number among all its gradients: what rounding leaves of others is measured by it."""
        if self._largest is None:
            events = self.tape.events[self.seeds[0].number : self.end]
            kept = [e.gradient for e in events if e.phase == BACKWARD and e.gradient is not None]
            sizes = [size for k in kept for size in (abs(k.low), abs(k.high)) if size < np.inf]
            self._largest = max(sizes, default=0.0)
        return self._largest


def walks_of(tape: TapeContents) -> list[Walk]:
    """The backwards on a tape, in their order."""
    found: list[Walk] = []
    for event in tape.events:
        if event.phase != BACKWARD or event.op != SEED:
            continue
        last = found[-1] if found else None
        if last is not None:
            between = tape.events[last.seeds[-1].number : event.number]
            together = (
                all(e.phase == BACKWARD and e.phase != ACCUMULATE for e in between)
                and event.caller == last.seeds[0].caller
                and all(seed.output != event.output for seed in last.seeds)
            )
            if together:  # one walk from several outputs: md.grad((a, b), x)
                last.seeds.append(event)
                continue
            last.end = event.number
        found.append(Walk(tape, [event], len(tape.events)))
    return found


class Replay:
    """The forward that led to where a backward began, ready to be computed again.

    Attributes:
        once: about how many numbers it takes to compute all of it; the same on every machine.
        work: how many it has taken until now.

    Raises:
        GraphError: the tape does not hold what that needs, the ops do not come to the recorded numbers again, or it
            takes more than `most` numbers.
    """

    def __init__(self, tape: TapeContents, program: Program, walk: Walk, most: int | None = None) -> None:
        self.tape = tape
        self.program = program
        self.walk = walk
        self.order = self._ancestors()
        self.work = 0
        self.once = sum(self._work(event) for event in self.order)
        if most is not None and self.once > most:
            raise GraphError(f"to compute the forward again takes about {self.once:,} numbers, more than {most:,}")
        self.results: dict[int, Any] = {}
        self.ops = {event.number: self._op(event) for event in self.order}
        for event in self.order:
            assert event.output is not None
            self.results[event.output] = self._computed(event, self.results, None, None)
            self._compare(event, self.results[event.output])
        self.loss = self._loss(self.results)

    def _ancestors(self) -> list[Event]:
        """The forward events that the seeds depend on, in their order."""
        found: dict[int, Event] = {}
        waiting = [seed.output for seed in self.walk.seeds if seed.output is not None]
        while waiting:
            made = self.tape.values[waiting.pop()].event
            if made is not None and made not in found:
                found[made] = self.tape.events[made]
                waiting += found[made].inputs
        return [found[number] for number in sorted(found)]

    def _work(self, event: Event) -> int:
        """About how many numbers an op computes: a product of matrices (m, k) and (k, n) takes m k n steps."""
        sizes = [math.prod(self.tape.values[n].shape) for n in (event.output or 0, *event.inputs)]
        steps = math.isqrt(math.prod(sizes[:3])) // STEPS if event.op in PRODUCTS else 0
        return CALL + sum(sizes) + steps

    def _op(self, event: Event) -> Any:
        """The op of an event, so that calling it again has no effect on the program, and draws what was drawn."""
        op = self.program.ops.get(event.number)
        if op is None:
            raise GraphError(
                f"the op {event.op} (event {event.number}) could not be copied, so nothing is computed again"
            )
        op = copy.copy(op)
        if event.op == "BatchNorm":
            op.running = None  # the running statistics have seen this batch already
        return op

    def _computed(self, event: Event, results: dict[int, Any], moved: int | None, delta: Any) -> Any:
        """The output of an event, with the value `moved` moved by `delta`."""
        self.work += self._work(event)
        inputs = []
        for number in event.inputs:
            x = results[number] if number in results else self._base(self.tape.values[number], event)
            inputs.append(x + delta if number == moved and number not in results else x)
        if event.op in SAME:
            return inputs[0]
        if event.op == "Dropout":
            return inputs[0] * self._drawn(event)
        op = copy.copy(self.ops[event.number])
        try:
            with np.errstate(all="ignore"):
                out = op.forward(*inputs)
        except Exception as error:
            raise GraphError(f"{event.op} could not be computed again in float64: {error}") from error
        return _wide(out)

    def _base(self, value: Value, event: Event) -> Any:
        """A value that no op on the tape made, as the op of `event` met it."""
        kept = value.content(event.number)
        whole = self.program.arrays.get(value.number)
        if whole is None or (value.contents and kept is not value.contents[0][1]):
            if kept is None or kept.sampled:
                raise GraphError(
                    f"of {printable(value.key)} the tape holds only a sample at event {event.number}: record with "
                    f"md.record(elements={kept.size if kept else 4096})"
                )
            whole = kept.values
        return None if whole.dtype.kind == "O" else _wide(whole)

    def _drawn(self, event: Event) -> Any:
        """What dropout multiplied by, as the recorded numbers show."""
        x, z = (self.tape.values[n].content(event.number) for n in (event.inputs[0], event.output or 0))
        if x is None or z is None or x.sampled or z.sampled:
            raise GraphError(
                f"Dropout (event {event.number}) drew at random, and the tape holds only a sample of what it let pass: "
                f"record with md.record(elements={x.size if x else 4096}), or call model.eval() first"
            )
        through = z.values != 0
        for later in self.tape.events[event.number + 1 :]:
            if later.node == event.number and later.phase == BACKWARD and later.addends:
                sent = later.addends[0].grad  # where x is 0, the gradient shows it
                through = through | (sent.values != 0) if not sent.sampled else through
        p = float(getattr(self.ops[event.number], "p", 0.0))
        return through / (1 - p) if p < 1 else through * 0.0

    def _compare(self, event: Event, out: Any) -> None:
        """Refuse what does not come to the recorded numbers again."""
        kept = self.tape.values[event.output or 0].content(event.number)
        if kept is None or kept.shape != np.shape(out) or np.asarray(kept.values).dtype.kind != "f":
            return
        again = np.asarray(out, dtype=np.float64)[np.ix_(*kept.places())] if kept.shape else np.asarray(out)
        recorded = np.asarray(kept.values, dtype=np.float64)
        close = {"float16": 5e-2, "float64": 1e-6}.get(kept.dtype, 2e-3)
        scale = float(np.abs(recorded[np.isfinite(recorded)]).max(initial=1e-6))
        with np.errstate(invalid="ignore"):
            apart = np.abs(again - recorded) > close * (np.abs(recorded) + scale)
        if np.any(apart & np.isfinite(recorded)):
            raise GraphError(
                f"{event.op} (event {event.number}) does not come to the recorded numbers again: it draws at random or "
                "depends on something that the program has changed since; so a difference would mean nothing"
            )

    def _loss(self, results: dict[int, Any]) -> float:
        """What the backward began with: the loss, or the outputs times the gradients given for them."""
        total = 0.0
        for seed in self.walk.seeds:
            if seed.output is None or seed.gradient is None or seed.gradient.sampled:
                raise GraphError("the tape does not hold the whole gradient that this backward began with")
            value = self.tape.values[seed.output]
            out = results[seed.output] if seed.output in results else self._base(value, seed)
            total += float(np.sum(out * seed.gradient.values.astype(np.float64)))
        return total

    # ---- with one number moved

    def moved(self, value: Value, place: tuple[int, ...], by: float) -> float:
        """The loss with one number of a value moved; only what depends on it is computed again."""
        delta = np.zeros(value.shape)
        delta[place] = by
        results, changed = dict(self.results), {value.number}
        own = value.number in results
        if own:
            results[value.number] = results[value.number] + delta
        for event in self.order:
            output = self.tape.values[event.output or 0]
            if event.output == value.number or not output.requires_grad or changed.isdisjoint(event.inputs):
                continue
            results[output.number] = self._computed(event, results, None if own else value.number, delta)
            changed.add(output.number)
        return self._loss(results)


def _wide(array: Any) -> Any:
    """In float64, if it is floating."""
    array = np.asarray(array)
    return array.astype(np.float64) if array.dtype.kind == "f" else array
