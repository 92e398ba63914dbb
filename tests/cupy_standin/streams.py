"""Streams, events and page-locked memory: what happens beside the program.

Work on the default stream is done at once. A copy given to another stream is done as late as CUDA may do it: when
somebody waits for an event recorded after it. Until then its destination holds NaN, and what is written to the source
meanwhile is what arrives, so that a missing wait and a buffer used again too early both give wrong numbers.
"""

from __future__ import annotations

import ctypes
from collections import deque
from collections.abc import Callable
from contextvars import ContextVar
from typing import Any

import numpy as np

from tests.cupy_standin.counting import capturing, launch, record, refuse_in_fork, synchronize

_current: ContextVar[Stream | None] = ContextVar("standin_stream", default=None)


class Stream:
    """Work in order."""

    null: Stream

    def __init__(self, null: bool = False, non_blocking: bool = False) -> None:
        self.non_blocking = non_blocking
        self.ptr = 0 if null else id(self)
        self._waiting: deque[Callable[[], None]] = deque()
        self._done = 0  # pieces of work, of all that ever waited
        self._outer: list[Any] = []

    def _later(self, work: Callable[[], None]) -> None:
        if self.ptr == 0:
            work()
        else:
            self._waiting.append(work)

    def _run_to(self, number: int) -> None:
        while self._done < number and self._waiting:
            self._done += 1
            self._waiting.popleft()()

    def record(self, event: Event | None = None) -> Event:
        event = Event() if event is None else event
        event.record(self)
        return event

    def wait_event(self, event: Event) -> None:
        if self.ptr == 0 or self is get_current_stream():  # what is computed here is computed at once
            event._reach()
        else:
            self._waiting.append(event._reach)

    def synchronize(self) -> None:
        synchronize("Stream.synchronize()")
        self._run_to(self._done + len(self._waiting))

    def begin_capture(self, mode: int | None = None) -> None:
        """From here on what is computed is recorded instead; the stream must be the current one."""
        if self.ptr == 0:
            raise RuntimeError("cannot capture on the default (legacy) stream")
        assert get_current_stream() is self, "the stand-in captures what the current stream is given"
        self._recorded: list[Callable[[], None]] = []
        record(self._recorded)

    def end_capture(self) -> Graph:
        record(None)
        return Graph(self._recorded)

    def is_capturing(self) -> bool:
        return capturing()

    def use(self) -> Stream:
        _current.set(self)
        return self

    def __enter__(self) -> Stream:
        self._outer.append(_current.set(self))
        return self

    def __exit__(self, *exception: object) -> None:
        _current.reset(self._outer.pop())


Stream.null = Stream(null=True)


class Graph:
    """Work that was recorded, to be done with one call."""

    def __init__(self, work: list[Callable[[], None]]) -> None:
        self._work = work

    def launch(self, stream: Stream | None = None) -> None:
        launch(f"graph of {len(self._work)}", self.launch)
        for work in self._work:
            work()


class Event:
    """A mark in a stream."""

    def __init__(self, block: bool = False, disable_timing: bool = False) -> None:
        self._stream = Stream.null
        self._number = 0

    def record(self, stream: Stream | None = None) -> None:
        self._stream = get_current_stream() if stream is None else stream
        self._number = self._stream._done + len(self._stream._waiting)

    def _reach(self) -> None:
        self._stream._run_to(self._number)

    @property
    def done(self) -> bool:
        refuse_in_fork()
        return self._stream._done >= self._number

    def synchronize(self) -> None:
        synchronize("Event.synchronize()")
        self._reach()


def get_current_stream(device_id: int = -1) -> Stream:
    return _current.get() or Stream.null


def get_elapsed_time(start_event: Event, end_event: Event) -> float:
    return 0.0


_pinned: dict[int, bytearray] = {}  # by address


class PinnedMemoryPool:
    """The pool of page-locked memory."""

    def free_all_blocks(self) -> None:
        return None


def alloc_pinned_memory(size: int) -> Any:
    """Page-locked memory from the pool."""
    return _page_locked(size)


def _page_locked(size: int) -> Any:
    """Memory that the device reads by itself; numpy.frombuffer makes an array of it.

    As soon as nobody refers to it any more it belongs to somebody else, who writes to it, whatever still reads it.
    """
    memory = bytearray(b"\xff" * size)

    def given_back(owner: Any) -> None:
        del _pinned[ctypes.addressof(owner)]
        memory[:] = b"\xff" * size

    owner = type("PinnedMemory", (ctypes.c_ubyte * size,), {"__del__": given_back}).from_buffer(memory)
    _pinned[ctypes.addressof(owner)] = memory
    return owner


def copy_from_host(target: Any, source: Any, stream: Stream | None) -> None:
    """ndarray.set on the NumPy array inside. Only from pinned memory is it put off."""
    stream = get_current_stream() if stream is None else stream
    memory = _pinned.get(source.__array_interface__["data"][0])
    if stream.ptr == 0 or memory is None:
        target[...] = source
        return
    if target.dtype.kind != "b":
        target[...] = np.nan if target.dtype.kind == "f" else np.iinfo(target.dtype).max
    read = np.frombuffer(memory, source.dtype, source.size).reshape(source.shape)  # which keeps the owner of nothing

    def work() -> None:
        target[...] = read

    stream._later(work)
