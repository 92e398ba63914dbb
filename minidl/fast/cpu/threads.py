"""The CPU's cores and caches: work cut into blocks that fit the cache, and shared out among threads.

A loop over blocks of images wins twice. What one step of the loop writes the next reads from the cache, not from
memory, which is four times slower; and no array as large as the whole batch's work has to exist. Several threads take a
part of the images each, since NumPy lets others run while it computes.

Those threads would fight with the ones that BLAS, which multiplies NumPy's matrices, starts for itself. So minidl holds
BLAS to one thread before anything is shared out (`blas.py` says why and how), and shares out large products as well
(`products.py`). Where it must not, or cannot, everything runs on one thread, and BLAS as it comes.

The parts depend on the number of threads alone, and what they add up is added in order: a program that runs again with
the same number of threads gives the same bits. A part that no other thread has begun when the caller is done with its
own, because other programs keep the cores busy, the caller does itself; and all of them where the system starts no
threads, so that the bits are those of the number that was asked for.
"""

from __future__ import annotations

import math
import os
import sys
import threading
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from minidl.backend.silence import ERROR_STATE, SILENT
from minidl.backend.starting import NO_THREADS, ONE_THREAD, say_once, started_pool
from minidl.checks import is_whole
from minidl.fast.cpu.blas import Blas

BLOCK = 2 << 20  # bytes that one step of a loop works on: about a core's share of the cache (0.5 to 4 MiB are alike)
BESIDE_OTHERS = 2  # times as many where threads share a loop out: each call of NumPy may wait 50 us for Python's lock
WORTH = 1 << 19  # bytes of work below which waking another thread (50 us) takes longer than it saves
SHARING = "loops and products on several threads (set_num_threads({}))"
INSTEAD = "The parts run one after another on the caller's: the same numbers, only slower"

blas = Blas()


class _Part:
    """A part of a loop, done on a thread of the pool or, if that is late, on the caller's."""

    def __init__(self, pool: Any, work: Callable[..., Any], *arguments: Any) -> None:
        self.work, self.arguments = work, arguments
        self.future = pool.submit(work, *arguments)
        self.own: Any = None  # what the caller's thread found

    def do_unless_begun(self) -> None:
        if self.future.cancel():  # no thread of the pool has begun, and now none will
            self.own = self.work(*self.arguments)

    def result(self) -> Any:
        return self.own if self.future.cancelled() else self.future.result()


class _NoThreads:
    """A pool that begins nothing, so that the caller does each part; where the system starts no threads."""

    def submit(self, work: Callable[..., Any], *arguments: Any) -> Any:
        from concurrent.futures import Future

        never: Future[Any] = Future()
        never.cancel()
        return never

    def shutdown(self) -> None:
        pass


class _Threads:
    """How many threads there are, and the pool of them."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.wanted: int | None = None  # what set_num_threads or the environment asked for
        self.pool: Any = None

    def count(self) -> int:
        """Threads for a loop: what was asked for, or as many as BLAS would use; 1 where BLAS is left alone."""
        if not blas.allowed or not blas.controllers() or ONE_THREAD.get():
            return 1
        if self.wanted is None:
            self.wanted = _from_environment() or blas.threads()
        return self.wanted

    def submit(self, work: Callable[..., Any], count: int, operands: tuple[Any, ...]) -> tuple[list[_Part], int]:
        """Let other threads begin with their parts of range(count); those, and where the caller's part ends.

        The lock keeps `set_num_threads` in another thread away meanwhile.
        """
        with self.lock:
            parts = min(self.count(), count)
            if parts <= 1:
                return [], count
            bounds = [count * i // parts for i in range(parts + 1)]
            try:
                if self.pool is None:
                    self.pool = self.new_pool()
                others = [_Part(self.pool, work, *bounds[i : i + 2], *operands) for i in range(1, parts)]
            except RuntimeError:  # the program is ending: Python starts nothing on other threads any more
                return [], count
            return others, bounds[1]

    def new_pool(self) -> Any:
        """Threads for all parts but the caller's; a pool of none where the system does not start so many."""
        number = self.count()
        return started_pool(number - 1, "minidl", SHARING.format(number), INSTEAD, _begin_thread) or _NoThreads()

    def set(self, number: int | None) -> None:
        """From now on `number` threads, or as many as at first."""
        with self.lock:
            pool, self.pool = self.pool, None
            if pool is not None:
                pool.shutdown()  # what was begun is ended first
            self.wanted = number


_threads = _Threads()
_own = threading.local()  # what a thread has for itself


def _begin_thread() -> None:
    _own.is_ours = True
    ERROR_STATE.set(SILENT)


def _after_fork() -> None:
    """A child process has the pool's object but none of its threads."""
    _threads.lock = threading.Lock()
    _threads.pool = None
    _own.__dict__.clear()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)


def _from_environment() -> int | None:
    given = os.environ.get("MINIDL_NUM_THREADS")
    if given is None:
        return None
    if not given.isdecimal() or int(given) < 1:
        raise ValueError(f"MINIDL_NUM_THREADS: expected a whole number of at least 1; got {given!r}")
    return int(given)


def get_num_threads() -> int:
    """How many threads share out loops over blocks of images, and large products of matrices."""
    return _threads.count()


def set_num_threads(number: int) -> None:
    """Let `number` threads share out loops over blocks of images, and large products of matrices.

    At first it is `MINIDL_NUM_THREADS`, or as many threads as BLAS would use (`OPENBLAS_NUM_THREADS`, or the cores).
    Where the system starts no threads, as in a browser, or not so many, one thread does everything, and a warning says
    so once.

    Raises:
        ValueError: it is no whole number of at least 1.
        RuntimeError: more than 1 where minidl cannot, or must not, hold BLAS to one thread.
    """
    if not is_whole(number, 1):
        raise ValueError(f"set_num_threads: expected a whole number of at least 1; got {number!r}")
    if number > 1 and NO_THREADS:
        say_once(SHARING.format(number), "threads", sys.platform, "One thread does everything, which is only slower")
    elif number > 1 and not (blas.allowed and blas.controllers()):
        raise RuntimeError(
            f"set_num_threads({number}): several threads need BLAS to have one each, {_why_it_has_not()}"
        )
    _threads.set(int(number))


def _why_it_has_not() -> str:
    if not blas.allowed:
        return "which md.fast.tune_process(False), or MINIDL_TUNE_PROCESS=0, forbids"
    return "but minidl finds none that threadpoolctl knows: pip install threadpoolctl"


def hold_blas(allowed: bool) -> None:
    """Whether minidl may hold BLAS to one thread. If not, BLAS has its own again, and everything else runs on one."""
    with _threads.lock:
        blas.allowed = allowed
        if not allowed:
            blas.give_back()


def take_over_blas() -> bool:
    """Hold BLAS to one thread from now on, unless that has been done; whether it is, so that work may be shared out.

    Asked before every product and every loop.
    """
    if not blas.taken:
        with _threads.lock:
            blas.take_over()
    return blas.taken


def shared_out(
    work: Callable[..., Any], count: int, size_each: float, *operands: Any, least: float | None = None
) -> list[Any]:
    """`work(start, stop, *operands)` on consecutive parts of range(count), one a thread; the results in order.

    Args:
        work: what to do, silenced as every op. What another thread shares out in its part is not shared out further.
        count: how many units there are, images for example.
        size_each: how much one of them is to work on, in bytes or in what `least` is in.
        operands: what `work` is handed besides.
        least: how much work in all is worth waking other threads for; WORTH bytes if it is not said.
    """
    if not take_over_blas() or count * size_each < (WORTH if least is None else least) or hasattr(_own, "is_ours"):
        return [work(0, count, *operands)]
    parts, end = _threads.submit(work, count, operands)
    loud = ERROR_STATE.set(SILENT)
    try:
        first = work(0, end, *operands)
        for part in parts:
            part.do_unless_begun()
    finally:
        ERROR_STATE.reset(loud)
        _wait(parts)  # even after an error: they write into arrays of this call
    return [first, *[part.result() for part in parts]]


def _wait(parts: list[_Part]) -> None:
    """Until all have ended; a Ctrl-C meanwhile is raised then."""
    interrupt: KeyboardInterrupt | None = None
    for part in parts:
        while not part.future.done():
            try:
                part.future.exception()
            except KeyboardInterrupt as error:
                interrupt = error
    if interrupt is not None:
        raise interrupt


def block_bytes() -> int:
    """How much one step of a loop works on; it depends on the number of threads alone."""
    return BLOCK if _threads.count() == 1 else BESIDE_OTHERS * BLOCK


def per_block(bytes_each: int, count: int) -> int:
    """How many of `count` units fit into a block; at least 1."""
    return max(1, min(count, block_bytes() // max(1, bytes_each)))


def blocks(start: int, stop: int, bytes_each: int) -> Iterator[slice]:
    """Consecutive slices of range(start, stop) of about `block_bytes()` each."""
    size = per_block(bytes_each, stop - start)
    for first in range(start, stop, size):
        yield slice(first, min(first + size, stop))


def workspace(name: str, shape: tuple[int, ...], dtype: Any) -> Any:
    """An uninitialised array that belongs to this thread until it asks for another of the same name.

    Memory fresh from the system costs more than the work that is done in it: a page fault for each 4 KiB.
    """
    dtype = np.dtype(dtype)
    size = math.prod(shape) * dtype.itemsize
    memory = getattr(_own, name, None)
    if memory is None or memory.size < size:
        memory = np.empty(size, np.uint8)
        if size <= 4 * block_bytes():  # more, for a huge image, is not held for ever
            setattr(_own, name, memory)
    return memory[:size].view(dtype).reshape(shape)


def in_blocks(
    work: Callable[..., None], count: int, bytes_each: int, *operands: Any, least: float | None = None
) -> None:
    """`work(block, *operands)` for slices that cover range(count), shared out among the threads as by `shared_out`."""
    shared_out(_each_block, count, bytes_each, work, bytes_each, operands, least=least)


def _each_block(start: int, stop: int, work: Callable[..., None], bytes_each: int, operands: tuple[Any, ...]) -> None:
    for block in blocks(start, stop, bytes_each):
        work(block, *operands)
