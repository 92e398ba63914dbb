"""How often the program had to wait for the device, and what it launched there."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable

_waits: list[str] = []
_launches: deque[str] = deque(maxlen=10_000)  # the last ones; a test of memory launches more
_process: list[int] = []  # in which the device was first used
_recording: list[Callable[[], None]] | None = None  # what a graph that is being captured holds so far


def refuse_in_fork() -> None:
    """What CUDA says in a process that was forked from one that uses it."""
    if not _process:
        _process.append(os.getpid())
    if _process[0] != os.getpid():
        raise RuntimeError("cudaErrorInitializationError: initialization error")


def synchronize(what: str) -> None:
    """Note one wait; `what` says which call caused it."""
    refuse_in_fork()
    refuse_while_capturing(what)
    _waits.append(what)


def synchronizations() -> tuple[str, ...]:
    """What made the program wait since the last reset, in order: `("float()", "asnumpy")`."""
    return tuple(_waits)


def reset_synchronizations() -> None:
    """Start counting anew."""
    _waits.clear()


def launch(name: str, again: Callable[[], None]) -> None:
    """Note work that was done on the device; `again` does it once more, with the same memory."""
    refuse_in_fork()
    _launches.append(name)
    if _recording is not None:
        _recording.append(again)


def run(name: str, work: Callable[[], None]) -> None:
    """Do work that writes to memory there is, and note it; while a stream is captured only note it, as CUDA does."""
    if _recording is None:
        work()
    launch(name, work)


def launches() -> tuple[str, ...]:
    """What was launched since the last reset, in order; CuPy may need several launches for one of these."""
    return tuple(_launches)


def reset_launches() -> None:
    """Start counting anew."""
    _launches.clear()


def capturing() -> bool:
    """Whether work is being recorded for a graph."""
    return _recording is not None


def record(tape: list[Callable[[], None]] | None) -> None:
    """Record every launch on `tape` from here on; None: no more."""
    global _recording
    _recording = tape


def refuse_while_capturing(what: str) -> None:
    """What CUDA refuses while a stream is captured, and what ends the capture."""
    if _recording is not None:
        raise RuntimeError(
            f"cudaErrorStreamCaptureUnsupported: operation not permitted when stream is capturing ({what})"
        )


def refuse_copy_while_capturing() -> None:
    """What CuPy says to a copy from the host."""
    if _recording is not None:
        raise RuntimeError("the current stream is capturing, so H2D transfers are disallowed")


def refuse_product_while_capturing() -> None:
    """What CuPy says to anything that it would ask cuBLAS for."""
    if _recording is not None:
        raise NotImplementedError("calling cuBLAS API during stream capture is currently unsupported")
