"""Streams, events and page-locked memory: what happens beside the program.

Work on the default stream is done at once. A copy given to another stream is done as late as CUDA may do it: when
somebody waits for an event recorded after it. Until then its destination holds NaN, and what is written to the source
meanwhile is what arrives, so that a missing wait and a buffer used again too early both give wrong numbers.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from contextvars import ContextVar
from typing import Any

import numpy as np

from tests.cupy_standin.counting import synchronize

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
        if self.ptr == 0:
            event._reach()
        else:
            self._waiting.append(event._reach)

    def synchronize(self) -> None:
        synchronize("Stream.synchronize()")
        self._run_to(self._done + len(self._waiting))

    def use(self) -> Stream:
        _current.set(self)
        return self

    def __enter__(self) -> Stream:
        self._outer.append(_current.set(self))
        return self

    def __exit__(self, *exception: object) -> None:
        _current.reset(self._outer.pop())


Stream.null = Stream(null=True)


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
        return self._stream._done >= self._number

    def synchronize(self) -> None:
        synchronize("Event.synchronize()")
        self._reach()


def get_current_stream(device_id: int = -1) -> Stream:
    return _current.get() or Stream.null


def get_elapsed_time(start_event: Event, end_event: Event) -> float:
    return 0.0


def alloc_pinned_memory(size: int) -> Any:
    """Memory on the host that cannot be swapped out; numpy.frombuffer makes an array of it."""
    if size <= 0:
        raise ValueError("the stand-in refuses to allocate no pinned memory: CuPy gives a block that is not empty")
    return memoryview(bytearray(np.full(size, 255, np.uint8)))


def copy_from_host(target: Any, source: Any, stream: Stream | None) -> None:
    """ndarray.set on the NumPy array inside."""
    stream = get_current_stream() if stream is None else stream
    if stream.ptr == 0:
        target[...] = source
        return
    if target.dtype.kind != "b":
        target[...] = np.nan if target.dtype.kind == "f" else np.iinfo(target.dtype).max

    def work() -> None:
        target[...] = source

    stream._later(work)
