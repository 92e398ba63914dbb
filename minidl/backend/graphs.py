"""Work on the GPU that is recorded once and done again with one call: CUDA graphs.

A training step of a small network is some hundred launches, and asking for each takes the host longer than the GPU
takes to do it. A stream can record what it is given instead of doing it; what was recorded is then launched as a whole.

What is recorded is the launches alone, with the very addresses they were given:

* Python does not run in a replay. What it computed while recording, a rate, a number of steps, a branch, stays.
* Arrays made while recording get memory from a pool of the recording's own, so that nobody else is given what a replay
  will write to. CuPy's pool gives back freed memory in the order of the stream, which the replay keeps.
* Nobody can wait for the device, since nothing is done yet: a look at a value is refused by CUDA, and ends the
  recording ("operation not permitted when stream is capturing").
* A copy from the host would be recorded with the address of the page-locked memory that CuPy copies through, and give
  whatever lies there at a replay, without a sign. So that memory is refused while recording.
* Random numbers would be the same in every replay, so drawing them is refused too.

What CuPy makes when it is first used, modules with kernels and the handle and workspace of cuBLAS, has to be there
before: the same work has to be done at least once without recording.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextvars import ContextVar
from typing import Any

from minidl.backend import choice
from minidl.errors import GraphError

_recording: ContextVar[bool] = ContextVar("minidl_recording", default=False)

_COPY = (
    "an array was copied from the host to the GPU while a step was recorded: a replay would copy whatever lies there "
    "then. Make it before, on the GPU, and use that one"
)


class Graph:
    """What was recorded; `launch` does it, in the current stream."""

    def __init__(self, graph: Any, pool: Any) -> None:
        self._graph = graph
        self._pool = pool  # lives as long as there may be a replay

    def launch(self) -> None:
        """Ask for all of it; does not wait."""
        self._graph.launch()


def recording() -> bool:
    """Whether this thread records."""
    return _recording.get()


def refuse_draws(what: str) -> None:
    """GraphError while recording: random numbers would be the same in every replay."""
    if _recording.get():
        raise GraphError(
            f"{what} draws random numbers, which cannot be recorded: every replay would draw the same ones. Leave it "
            f"out (p=0), or train without recording"
        )


def recorded(work: Callable[[], Any]) -> tuple[Graph, Any]:
    """(what `work` asks of the GPU, as a Graph, and what it returns). Nothing is done yet: the arrays hold no results.

    Raises:
        GraphError: `work` copies something from the host, or draws random numbers.
        Whatever `work` raises; of CUDA if it waits for the device.
    """
    cupy = choice.module("cupy")
    stream, pool = cupy.cuda.Stream(non_blocking=True), cupy.cuda.MemoryPool()
    page_locked, thread = cupy.get_default_pinned_memory_pool().malloc, threading.get_ident()

    def refused(size: int) -> Any:
        if threading.get_ident() != thread:  # a loader, say, that reads ahead
            return page_locked(size)
        raise GraphError(_COPY)

    token = _recording.set(True)
    cupy.cuda.set_pinned_memory_allocator(refused)
    try:
        with cupy.cuda.using_allocator(pool.malloc), stream:
            stream.begin_capture()
            try:
                result = work()
            except BaseException:
                _abandon(stream)
                raise
            graph = stream.end_capture()
    finally:
        cupy.cuda.set_pinned_memory_allocator(page_locked)
        _recording.reset(token)
    return Graph(graph, pool), result


def _abandon(stream: Any) -> None:
    """End a recording that failed; CUDA then says once more that it did."""
    try:
        stream.end_capture()
    except Exception:
        return
