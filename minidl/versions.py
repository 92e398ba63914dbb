"""How minidl notices that an array was overwritten between a forward and its backward.

A gradient such as d(x*y)/dx = y is computed from the values the forward saw. If y is overwritten in between, the
result would be wrong without a sign. So each array that an op saved has a `Version`: every write through a Tensor
counts it up, an op notes the count when it saves the array and compares when it goes backward.
"""

from __future__ import annotations

import weakref
from typing import Any


class Version:
    """The count of writes to one piece of memory; all Tensors that share the memory share it.

    Attributes:
        count: how many writes there were.
        saved: whether an op saved the memory since the last write (then handing it out raw needs a guard).
        stale: None, or why the Tensors that hold this Version no longer show what they should.
        writer: the Tensor whose write made them stale.
    """

    __slots__ = ("_guards", "count", "saved", "stale", "writer")

    def __init__(self, saved: bool = False) -> None:
        self.count = 0
        self.saved = saved
        self.stale: str | None = None
        self.writer: weakref.ref[Any] | None = None
        self._guards: list[tuple[Any, Any]] | None = None  # (array handed out, its values at that time)

    def bump(self) -> None:
        """Count one write. Values guarded before it are history: every op that saved them will see the count."""
        self.count += 1
        self.saved = False
        self._guards = None

    def guard(self, array: Any) -> None:
        """Keep a copy of `array`, which is about to be handed out raw, to see later whether it was written."""
        if self._guards is None:
            self._guards = []
        if not any(known is array for known, _ in self._guards):
            self._guards.append((array, array.copy()))

    def as_saved(self) -> Version:
        """The Version for values an op saved: a write with history makes Tensors stale, not what was saved."""
        if self.stale is None:
            return self
        version = Version(saved=True)
        version.count = self.count
        return version

    def settled(self) -> int:
        """The count, after counting a write that was made through an array handed out raw.

        On a device this waits, once for each such array: an error that came after the gradients would come too late.
        """
        if self._guards is not None and any(_differ(array, before) for array, before in self._guards):
            self.bump()
        return self.count


def _differ(array: Any, before: Any) -> bool:
    """Whether some numbers differ; a NaN is equal to a NaN here. (`array_equal` waits for a device four times.)"""
    return bool(((array != before) & ((array == array) | (before == before))).any())
