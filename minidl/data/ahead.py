"""in_order: work that threads do ahead of the one who asks for it."""

from __future__ import annotations

import os
import threading
from collections import deque
from collections.abc import Callable, Generator, Sequence
from typing import TYPE_CHECKING, TypeVar

from minidl.backend.starting import refuse_fork, started_pool

if TYPE_CHECKING:
    from concurrent.futures import Future

T = TypeVar("T")
AHEAD = 2  # results for each worker that wait or are being made: one in hand, one to go on with
INSTEAD = (
    "Each batch is made when it is asked for, as with workers=0: the same batches, only none ahead of the training"
)


def in_order(
    make: Callable[[int], T], numbers: Sequence[int], workers: int, what: str = "Loader"
) -> Generator[T, None, None]:
    """make(number) for each of the numbers, in their order, made by `workers` threads; by none if it is 0.

    While one result is out, at most AHEAD * workers later ones are done or being made. An exception in `make` is raised
    here, in the place of its result. Threads help where `make` waits or computes outside the interpreter's lock, as
    reading files, decoding images and NumPy on large arrays do.

    However the iteration ends (at the end, by an exception, Ctrl-C, `close`, or because nobody refers to it any more),
    no further work is begun and the threads end; who ends it waits for the results in the making.

    Where the system starts no threads, or not so many, each result is made when it is asked for, as with 0 workers; a
    warning says so once.

    Raises:
        RuntimeError: another process, forked meanwhile, goes on with the iteration: the threads are not there.
    """
    threads = min(workers, len(numbers))
    pool = started_pool(threads, "minidl-loader", f"{what}(workers={workers})", INSTEAD) if threads else None
    if pool is None:
        for number in numbers:
            yield make(number)
        return
    process, consumer = os.getpid(), threading.get_ident()
    waiting: deque[Future[T]] = deque()
    try:
        for number in numbers:
            waiting.append(pool.submit(make, number))
            if len(waiting) > AHEAD * workers:
                # Unnamed: a name in this frame would tie a failed result and its traceback into a circle.
                yield waiting.popleft().result()
                _refuse_in_another(process)
        while waiting:
            yield waiting.popleft().result()
            _refuse_in_another(process)
    finally:
        if os.getpid() == process:
            # The collector may end this generator in any thread, even one of the pool's, which cannot wait for itself.
            pool.shutdown(wait=threading.get_ident() == consumer, cancel_futures=True)


def _refuse_in_another(process: int) -> None:
    """Raise in any process but this one: a fork copies the pool and what waits in it, but none of its threads."""
    refuse_fork(
        process,
        "in the middle of a `for` over a Loader with workers, whose threads are only there",
        "begin a new `for` in this process, or use workers=0",
    )
