"""What a tape is made of: events in the order in which they happened, and the values that they are about.

Everything here is plain data: numbers, texts and arrays on the host.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from minidl.stepper.kept import Kept
from minidl.types import Shape

FORWARD, LOSS, BACKWARD, ACCUMULATE, UPDATE = PHASES = ("forward", "loss", "backward", "accumulate", "update")
PARAMETER, LEAF, INPUT, CONSTANT, RESULT = KINDS = ("parameter", "leaf", "input", "constant", "result")
OWN = "an op of your own"  # the note of its forward: no formula of minidl's is meant, whatever it is called
SEED = "seed"  # the op of the event with which a backward begins: dL/dL = 1


@dataclass(frozen=True, slots=True)
class Line:
    """A line of the user's program.

    Attributes:
        file: which of the tape's files.
        line: its number, from 1.
        function: in which function it stands; "<module>" if in none.
    """

    file: int
    line: int
    function: str


@dataclass(frozen=True, slots=True)
class File:
    """A file of the user's program, or a part of it.

    Attributes:
        name: as a reader knows it: relative to the working directory, or without its folders.
        first: the number of the first line in `text`.
        text: its lines; "" if they could not be had.
    """

    name: str
    first: int
    text: str

    def line(self, number: int) -> str:
        """A line by its number; "" if it is not there."""
        lines = self.text.split("\n")
        return lines[number - self.first] if 0 <= number - self.first < len(lines) else ""


@dataclass(frozen=True, slots=True)
class Call:
    """A call of a module: what happened inside belongs to this layer.

    Attributes:
        path: its dotted name in the model, "encoder.fc1"; of the model itself its class.
        label: what it says of itself: "Linear 30->10".
        nth: the how manieth call of this module on this tape it is, from 1.
        parent: the call inside which it was made, or None.
    """

    path: str
    label: str
    nth: int
    parent: int | None


@dataclass(frozen=True, slots=True, eq=False)
class Addend:
    """What an op's backward sent to one of its inputs.

    Attributes:
        input: which input of the op, from 0.
        value: the number of the value that this is.
        grad: the addend of dL/d(value).
        shape_before, dtype_before: of the addend before it was summed to the input's shape, where the input had been
            broadcast, and before it was converted to the input's dtype; None where neither happened.
        total: the sum of all addends that have reached the value, this one included; None if this is the first.
    """

    input: int
    value: int
    grad: Kept
    shape_before: Shape | None = None
    dtype_before: str | None = None
    total: Kept | None = None


@dataclass(frozen=True, slots=True, eq=False)
class Event:
    """One thing that happened: an op was computed, its backward ran, a gradient was added to a `.grad`, a weight moved.

    Attributes:
        number: which event of the tape it is, from 0.
        phase: "forward", "loss" (the forward of what `backward()` was called on), "backward", "accumulate" or "update".
        op: the op's class, "Mul"; "seed" for the 1 that a backward begins with; "accumulate"; the optimizer's class.
        options: the op's settings in words, "axis=1, keepdims=False".
        call: the innermost module call it belongs to, or None.
        inputs: the numbers of the op's input values.
        output: the number of the value that was made, whose gradient came in, or which was updated.
        node: for a backward the number of the op's forward event, if the tape has it; for a forward its own number.
        gradient: the incoming gradient dL/d(output); for accumulate what is added; for update the gradient used.
        addends: what a backward sent to its inputs, in their order; only those that were wanted.
        before, after: the `.grad` before (None: there was none) and after it was added to; the weight before and after.
        numbers: of an update: "lr", "multiplier", "rate", "weight_decay", "step"; of a seed whose loss was scaled
            "scale".
        line: the user's line that called the op (for a backward: its forward).
        caller: the user's line that called `backward()` or `step()`.
        step: how many updates by an optimizer have been made before, on this tape.
        grad_enabled: whether a history was recorded.
        note: anything more, in words.
    """

    number: int
    phase: str
    op: str
    options: str = ""
    call: int | None = None
    inputs: tuple[int, ...] = ()
    output: int | None = None
    node: int | None = None
    gradient: Kept | None = None
    addends: tuple[Addend, ...] = ()
    before: Kept | None = None
    after: Kept | None = None
    numbers: dict[str, float] = field(default_factory=dict)
    line: int | None = None
    caller: int | None = None
    step: int = 0
    grad_enabled: bool = True
    note: str = ""


@dataclass(slots=True, eq=False)
class Value:
    """A tensor, array or number that the recorded program computed with.

    Attributes:
        number: which value of the tape it is, from 0.
        key: a short name that no other value has: "fc1.weight", "h", "mul2".
        kind: "parameter" (a layer's), "leaf" (another tensor that requires a gradient and that no op made), "input" (a
            tensor that requires none), "constant" (a number or raw array), "result" (an op made it).
        shape, dtype, device: of the array.
        event: the number of the event that made it; None if no op on the tape did.
        call: the innermost module call in which it was made.
        requires_grad: whether it has a gradient.
        contents: (number of the event at which it was seen so, what it held): one entry, or more if it was written to.
    """

    number: int
    key: str
    kind: str
    shape: Shape
    dtype: str
    device: str = "numpy"
    event: int | None = None
    call: int | None = None
    requires_grad: bool = False
    contents: list[tuple[int, Kept]] = field(default_factory=list)

    @property
    def missing(self) -> bool:
        """Whether it only stands for an input that was left out, such as a layer's bias: no view shows it."""
        return self.kind == CONSTANT and self.shape == (0,) and self.key.startswith("none")

    @property
    def label(self) -> str:
        """Its name in a formula: its key, but of a number used again, "2_3", the number alone."""
        found = _NUMBER_AGAIN.fullmatch(self.key) if self.kind == CONSTANT else None
        return self.key if found is None else found[1] or found[2]

    def content(self, moment: int) -> Kept | None:
        """What it held after event `moment`; None if it had not been computed yet."""
        found = None
        for number, kept in self.contents:
            if number <= moment or (self.event is None and found is None):
                found = kept  # what no op made was there from the beginning
        return found


_NUMBER_AGAIN = re.compile(r"(-?[\d.]+(?:e[-+]\d+)?)_\d+|(-?inf|nan)\d+")


@dataclass(frozen=True, slots=True, eq=False)
class Gradient:
    """What is known of a value's gradient at one moment.

    Attributes:
        total: the sum of the addends so far; None if none has come.
        addends: the (number of the event, addend) so far.
        complete: whether no more will come in this backward.
    """

    total: Kept | None
    addends: tuple[tuple[int, Addend], ...]
    complete: bool
