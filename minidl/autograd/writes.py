"""How minidl notices that an array was overwritten between a forward and its backward.

A gradient such as d(x*y)/dx = y is computed from the values the forward saw. If y is overwritten in between, the
result would be wrong without a sign. So each array that an op saved has a `WriteCount`: every write through a Tensor
counts it up, an op notes the count when it saves the array and compares when it goes backward.

A write through the raw array, `t.data[...] = 0`, counts nothing. So whoever is handed the raw array of a saved tensor
leaves a `Guard` behind, a copy to compare with. Guards end with the graphs that need them. An example, and why it is
so: docs/decisions/write-counts.md.
"""

from __future__ import annotations

import weakref
from collections.abc import Callable
from typing import Any, ClassVar

UNKNOWN = -1  # `Stretch.seen` while raw arrays are out, through which a write counts nothing: always look


class Activity:
    """Whether anything was written at all: as long as `count` stays, no node has to look at what it saved.

    Attributes:
        count: of all writes, and of all arrays that were handed out raw.
        guards: how many of these are still watched; a write through them counts nothing.
    """

    __slots__ = ("count", "guards")

    def __init__(self) -> None:
        self.count = 0
        self.guards = 0


activity = Activity()


class Stretch:
    """A stretch of time in which nothing was written, and no graph walked. All nodes recorded in it refer to it.

    If nothing was written since either, none of them has to look at what it saved. It ends with the last of its nodes
    that was not walked.

    Attributes:
        guards: of arrays that these nodes may have saved.
        seen: `activity.count` in this stretch: if it is the same in the walk, nothing was written.
        live: all that have not ended.
        latest: gives the one that new nodes belong to, unless something was written since it began; or None.
    """

    __slots__ = ("__weakref__", "guards", "seen")
    live: ClassVar[weakref.WeakSet[Stretch]] = weakref.WeakSet()
    latest: ClassVar[Callable[[], Stretch | None]]

    def __init__(self) -> None:
        self.guards: list[Guard] = []
        self.seen = activity.count if activity.guards == 0 else UNKNOWN
        Stretch.live.add(self)

    @classmethod
    def now(cls) -> Stretch:
        """The one that a node recorded now belongs to."""
        latest = cls.latest()
        return latest if latest is not None and latest.seen == activity.count else cls.begin()

    @classmethod
    def all_live(cls) -> list[Stretch]:
        """All there are; another thread may begin one meanwhile."""
        while True:
            try:
                return list(cls.live)
            except RuntimeError:  # the set changed while it was read
                continue

    @classmethod
    def begin(cls) -> Stretch:
        """A new one, for the nodes recorded from now on."""
        stretch = cls()
        cls.latest = weakref.ref(stretch)
        return stretch

    @classmethod
    def end(cls) -> None:
        """What is recorded after this, as after a walk, belongs to another one."""
        cls.latest = _none


def _none() -> None:
    return None


Stretch.end()


class Guard:
    """An array that was handed out raw, and its values at that time."""

    __slots__ = ("__weakref__", "array", "before")

    def __init__(self, array: Any) -> None:
        self.array = array
        self.before = array.copy()
        activity.count += 1
        activity.guards += 1

    def __del__(self) -> None:
        activity.guards -= 1

    def broken(self) -> bool:
        """Whether some numbers differ now; a NaN is equal to a NaN here. (`array_equal` waits for a device 4 times.)"""
        array, before = self.array, self.before
        return bool(((array != before) & ((array == array) | (before == before))).any())


class WriteCount:
    """The count of writes to one piece of memory; all Tensors that share the memory share it.

    Attributes:
        count: how many writes there were.
        saved: whether an op saved the memory since the last write (then handing it out raw needs a guard).
        stale: None, or why the Tensors that hold this count no longer show what they should.
        writer: the Tensor whose write made them stale.
        written: the array it had before, which is the part of the memory that should have been written.
        before_write: called once, before the memory may next be written: for a norm of it that is not yet computed.
        handed_out: whether the raw array was handed out, so that it may be written to at any time.
    """

    __slots__ = ("_guards", "before_write", "count", "handed_out", "saved", "stale", "writer", "written")

    def __init__(self) -> None:
        self.count = 0
        self.saved = self.handed_out = False
        self.stale: str | None = None
        self.writer: weakref.ref[Any] | None = None
        self.written: Any = None
        self.before_write: Callable[[], Any] | None = None
        self._guards: list[weakref.ref[Guard]] | None = None

    def bump(self) -> None:
        """Count one write. Older guards are no longer needed: every op that saved the memory sees the count."""
        self.count += 1
        activity.count += 1
        self.saved = False
        self._guards = None

    def announce(self) -> None:
        """Say that the memory is about to be written, or handed out to somebody who may write to it."""
        if self.before_write is not None:
            call, self.before_write = self.before_write, None
            call()

    def guard(self, array: Any) -> None:
        """Keep a copy of `array`, which is about to be handed out raw, as long as a graph may have saved it."""
        known = [ref for ref in self._guards or () if ref() is not None]
        if not any(_guards_this(ref, array) for ref in known) and Stretch.live:
            guard = Guard(array)
            for stretch in Stretch.all_live():
                stretch.guards.append(guard)
            known.append(weakref.ref(guard))
        self._guards = known or None

    def guard_for(self, stretch: Stretch) -> None:
        """The memory was saved again, by a node of `stretch`, which needs the guards that there are too."""
        guards = [guard for ref in self._guards or () if (guard := ref()) is not None]
        stretch.guards += [guard for guard in guards if all(guard is not known for known in stretch.guards)]

    def as_saved(self) -> WriteCount:
        """The count for values that an op saved: a write with history makes Tensors stale, but not what was saved."""
        if self.stale is None:
            return self
        writes = WriteCount()
        writes.count, writes.saved = self.count, True
        return writes

    def settled(self) -> int:
        """The count, after counting a write that was made through an array handed out raw.

        On a device this waits, once for each such array: an error that came after the gradients would come too late.
        """
        if self._guards is not None:
            guards = [guard for ref in self._guards if (guard := ref()) is not None]
            if any(guard.broken() for guard in guards):
                self.bump()
            elif not guards:
                self._guards = None
        return self.count


def _guards_this(ref: weakref.ref[Guard], array: Any) -> bool:
    guard = ref()
    return guard is not None and guard.array is array
