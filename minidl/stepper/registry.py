"""Registry: gives the tensors, arrays and numbers of a running program their numbers and names on a tape."""

from __future__ import annotations

import weakref
from types import FrameType
from typing import Any

import numpy as np

from minidl import backend
from minidl.autograd.variable import Variable
from minidl.errors import printable
from minidl.nn import Parameter
from minidl.stepper.contents import TapeContents
from minidl.stepper.events import CONSTANT, INPUT, LEAF, PARAMETER, RESULT, Value
from minidl.stepper.frames import Frames, name_of
from minidl.stepper.kept import Kept, keep

LONGEST = 160  # characters of a name; of a longer one both ends are kept
FULL = 64  # numbers that are kept of an array when the tape is full


class Registry:
    """What a recorder knows of the values on its tape.

    Attributes:
        tape: it.
        frames: who looks where the program is.
        made: by the order of a node the value that it made.
        forward: by the order of a node the number of its forward event.
        step: how many updates there have been.
    """

    def __init__(self, tape: TapeContents, elements: int, budget: int) -> None:
        self.tape = tape
        self.frames = Frames()
        self.made: dict[int, int] = {}
        self.forward: dict[int, int] = {}
        self.step = 0
        self._elements, self._budget, self._bytes = elements, budget, 0
        self._keys: set[str] = set()
        self._next_of_key: dict[str, int] = {}
        self._tensors: dict[int, tuple[Any, int]] = {}  # by id: those that no op made, and their values
        self._writes: dict[int, int] = {}  # by value: how often its memory had been written when it was looked at

    def keep(self, array: Any) -> Kept:
        """A copy of `array`, or a sample of it."""
        kept = keep(array, self._elements if self._bytes < self._budget else min(FULL, self._elements))
        self._bytes += kept.values.nbytes
        return kept

    # ---- values

    def value_of(self, x: Any, call: int | None, users: FrameType | None = None) -> int:
        """The number of the value that an op's input is; `users` is the frame in which its name may be found."""
        if not isinstance(x, Variable):
            array = x if backend.is_array(x) else np.asarray(x)
            number = array.size == 1 and array.dtype.kind in "fiub"  # None stands for a bias that is not there
            key = f"{array.item():g}" if number else "none" if x is None else "array"
            return self.add(CONSTANT, array, key, call, False)
        if x._op is not None and x._op.order in self.made:
            return self.made[x._op.order]
        found = self._tensors.get(id(x))
        if found is not None and found[0]() is x:
            self._look_again(found[1], x)
            return found[1]
        kind = PARAMETER if isinstance(x, Parameter) else LEAF if x._requires_grad and x._op is None else INPUT
        key = printable(getattr(x, "name", None) or "") or self._name_of(x, users)
        number = self.add(kind, x._data, key, call, x._requires_grad)
        self.note_tensor(x, number)
        if x._op is not None:
            self.made[x._op.order] = number
        return number

    def add(self, kind: str, array: Any, key: str, call: int | None, requires_grad: bool) -> int:
        """A new value, and its number."""
        tape, number, whole = self.tape, len(self.tape.values), array
        if array.dtype.kind not in "fiub":
            array = np.empty(0)  # what holds no numbers, such as a bias that is not there, is kept as nothing
        shape, dtype, device = tuple(array.shape), str(array.dtype), backend.device_of(array)
        value = Value(number, self._unique(key), kind, shape, dtype, device, None, call, requires_grad)
        value.contents.append((len(tape.events), self.keep(array)))
        tape.values.append(value)
        if kind != RESULT and tape.program is not None:
            tape.program.add_array(number, whole)
        return number

    def made_by(self, node: Any) -> int | None:
        """The value that a node made; one from before the tape began gets a number now, if its array is still there."""
        if node.order not in self.made:
            if getattr(node, "_data", None) is None:
                return None
            key = f"earlier.{node.plain.__name__.lower()}"
            self.made[node.order] = self.add(RESULT, node._data, key, None, True)
        return self.made[node.order]

    def note_tensor(self, x: Variable, number: int) -> None:
        """Know the tensor x again, which the graph does not know."""
        self._tensors[id(x)] = weakref.ref(x), number
        self._writes[number] = _written(x)

    def _look_again(self, number: int, x: Variable) -> None:
        """A tensor that no op made is used again: it may have been written to."""
        if _written(x) != self._writes[number]:
            self._writes[number] = _written(x)
            value, kept = self.tape.values[number], self.keep(x._data)
            if not alike(kept, value.contents[-1][1]):
                value.contents.append((len(self.tape.events), kept))

    def was_written(self, x: Any) -> bool:
        """Whether x is a leaf whose memory was written to since it was last looked at."""
        found = self._tensors.get(id(x))
        if found is None or found[0]() is not x or self.tape.values[found[1]].kind not in (LEAF, PARAMETER):
            return False
        return _written(x) != self._writes[found[1]]

    def note_update(self, number: int, x: Variable, kept: Kept) -> None:
        """A value is `kept` from the next event on."""
        self.tape.values[number].contents.append((len(self.tape.events), kept))
        self._writes[number] = _written(x)

    def leaves(self) -> list[tuple[Any, int]]:
        """The leaves that are still there: (tensor, value)."""
        found = [(reference(), number) for reference, number in self._tensors.values()]
        return [(x, n) for x, n in found if x is not None and self.tape.values[n].kind in (LEAF, PARAMETER)]

    def let_go(self) -> None:
        """Forget all that belongs to the running program."""
        self._tensors, self._writes = {}, {}
        self.frames.let_go()

    # ---- names

    def rename(self, number: int, name: str) -> None:
        """Call a value `name`, or if that is taken so with a number behind it."""
        self.tape.values[number].key = self._unique(name)

    def _name_of(self, x: Variable, users: FrameType | None) -> str:
        """What the user's program calls a tensor: the name of a variable, "w.grad", or "x" if none is found."""
        for leaf, number in self.leaves():
            if leaf._grad is x:
                return f"{self.tape.values[number].key}.grad"
        return (name_of(x, users) if users is not None else "") or "x"

    def _unique(self, key: str) -> str:
        """`key`, with a number behind it if another value has it already."""
        if len(key) > LONGEST:
            key = f"{key[: LONGEST // 2]}...{key[-LONGEST // 2 :]}"
        number, found = self._next_of_key.get(key, 2), key
        while found in self._keys:
            found = f"{key}_{number}" if key[-1:].isdigit() else f"{key}{number}"
            number += 1
        self._next_of_key[key] = number
        self._keys.add(found)
        return found


def _written(x: Variable) -> int:
    return 0 if x._writes is None else x._writes.count


def alike(one: Kept, other: Kept) -> bool:
    """Whether two looks at an array saw the same numbers, as far as they were kept."""
    if one.values.shape != other.values.shape or one.dtype != other.dtype:
        return False
    statistics = np.array_equal([one.norm, one.mean], [other.norm, other.mean], equal_nan=True)
    return statistics and bool(np.array_equal(one.values, other.values, equal_nan=one.values.dtype.kind == "f"))
