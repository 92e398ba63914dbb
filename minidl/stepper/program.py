"""Program: what is needed to compute the forward of a tape again, while the program that was recorded still runs."""

from __future__ import annotations

import copy
from typing import Any

import numpy as np

from minidl import backend
from minidl.autograd.variable import Variable

BYTES = 32 << 20


class Program:
    """The ops of a tape as they were before they were called, and the arrays that no op made.

    It is not saved with the tape, and is only kept while it takes at most `BYTES`.

    Attributes:
        ops: by the number of the forward event an op that has not been called yet.
        arrays: by the number of the value the whole array, on the host, as it was when it was first used.
    """

    def __init__(self) -> None:
        self.ops: dict[int, Any] = {}
        self.arrays: dict[int, Any] = {}
        self._bytes = 0

    def __repr__(self) -> str:
        return f"Program({len(self.ops)} ops, {len(self.arrays)} arrays, {self._bytes:,} bytes)"

    @property
    def too_large(self) -> bool:
        """Whether it takes more than it may."""
        return self._bytes > BYTES

    def add_array(self, value: int, array: Any) -> None:
        """Keep a copy of an array, unless there is too much already."""
        self._bytes += getattr(array, "nbytes", 8)
        if not self.too_large:
            self.arrays[value] = np.array(backend.to_numpy(array)) if backend.is_array(array) else np.asarray(array)

    def add_op(self, event: int, op: Any) -> None:
        """Keep an op, as `not_yet_called` made it."""
        self.ops[event] = op


def not_yet_called(op: Any) -> Any:
    """A copy of an op that is about to be called, with nothing of a device in it; None if it cannot be copied."""
    try:
        found = copy.copy(op)
    except Exception:  # an op of the user's may refuse, in any way
        return None
    names = [name for cls in type(op).__mro__ for name in getattr(cls, "__slots__", ())]
    for name in (*names, *getattr(op, "__dict__", ())):
        held = getattr(op, name, None)
        raw = held._data if isinstance(held, Variable) else held
        if backend.is_array(raw):
            setattr(found, name, np.array(backend.to_numpy(raw)))
    return found
