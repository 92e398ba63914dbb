"""Batches on their way to the GPU while it computes.

A copy that is asked for like any computation waits for everything asked for before it, and the GPU then waits for the
copy. Two things make the copy run beside the computation instead: a stream of its own, which the GPU's copy engine
works on, and page-locked ("pinned") memory on the host, which that engine can read without the processor's help.

Two streams that touch the same memory have to be kept apart by events, marks that one stream sets and another waits
for, without the host waiting:

* A batch's array on the device may lie where an earlier result lay that the GPU has yet to read, so the copy waits for
  everything asked for until now.
* The computation waits for the batch it was given.
* Pinned memory is kept until its copy is done. The array on the device belongs to the computing stream, so that its
  memory is given to nobody else before that stream is done with it.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Generator, Iterator
from typing import Any

import numpy as np

from minidl.backend import choice
from minidl.errors import warn

AHEAD = 1  # batches under way while one is used
KEPT = 4  # copies that may be unfinished; a host that is further ahead of the GPU waits

Batch = tuple[Any, ...]  # of arrays


def pinned(array: Any) -> Any:
    """A copy of a NumPy array in page-locked memory, for `sent_ahead`; any thread may ask for it.

    The array itself, with a warning, if the host has no more memory to lock; it is then copied more slowly.
    """
    if array.size == 0 or not isinstance(array, np.ndarray):
        return array
    cuda = choice.module("cupy").cuda
    try:
        memory = cuda.alloc_pinned_memory(array.nbytes)
    except cuda.runtime.CUDARuntimeError as error:
        warn(
            f"batches of {array.nbytes / 2**20:.0f} MiB go to the GPU from ordinary memory, and while they do training "
            f"waits: the host has no more memory to lock for them ({error})"
        )
        return array
    copy = np.frombuffer(memory, array.dtype, array.size).reshape(array.shape)
    copy[...] = array
    return copy


def sent_ahead(batches: Iterator[Batch]) -> Generator[Batch]:
    """The batches, tuples of NumPy arrays, on the GPU; while one is out, the next is under way.

    An exception in `batches` is raised in its turn, after the batches that came before it.

    Raises:
        RuntimeError: another process, forked meanwhile, goes on with them: CUDA is only in the first.
    """
    cupy = choice.module("cupy")
    copying = cupy.cuda.Stream(non_blocking=True)
    under_way: deque[tuple[Any, Batch]] = deque()
    sources: deque[tuple[Any, Batch]] = deque()  # what copies may still be reading

    def send(batch: Batch) -> None:
        while sources and (sources[0][0].done or len(sources) >= KEPT):
            _wait_on_host(sources.popleft()[0])
        arrays = tuple(cupy.empty(x.shape, x.dtype) if isinstance(x, np.ndarray) else x for x in batch)
        copying.wait_event(cupy.cuda.get_current_stream().record())
        for array, source in zip(arrays, batch, strict=True):
            if array is not source and source.size:
                array.set(source, stream=copying)
        arrived = copying.record()
        sources.append((arrived, batch))
        under_way.append((arrived, arrays))

    def received() -> Batch:
        arrived, arrays = under_way.popleft()
        cupy.cuda.get_current_stream().wait_event(arrived)
        return arrays

    try:
        try:
            for batch in batches:
                send(batch)
                if len(under_way) > AHEAD:
                    yield received()
                    choice.refuse_cuda_in_fork()
        except Exception:
            while under_way and not choice.in_fork():
                yield received()
            raise
        while under_way:
            yield received()
            choice.refuse_cuda_in_fork()
    finally:  # whoever gets this memory next must not meet a copy that still runs
        if not choice.in_fork():
            for arrived, _ in sources:
                _wait_on_host(arrived)


def _wait_on_host(event: Any) -> None:
    if not event.done:
        event.synchronize()
