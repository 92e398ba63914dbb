"""Processes: other processes make batches ahead of the one who asks, as threads do in ahead.py, without a common lock.

A batch goes from the process that makes it to the one that trains through memory that both have mapped, a slot: it is
written there once, and the arrays that are handed out lie there. A slot is free again when nobody holds its arrays any
more. What finds no free slot, or is too large for one, goes through a pipe, which copies it twice.

The memory has no name that could be left behind: whatever ends a process, the system takes it back.

multiprocessing is imported where it is used: `import minidl` passes by here and should not wait for it.
"""

from __future__ import annotations

import os
import signal
import weakref
from collections import deque
from collections.abc import Generator, Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Any, NamedTuple

import numpy as np

from minidl.backend.starting import refuse_fork
from minidl.data.ahead import AHEAD
from minidl.data.making import Making
from minidl.data.worker import ALIGNED, HOW_TO_SEND, WHAT, Epoch, RemoteError, work
from minidl.errors import printable, warn

HELD = 3  # slots for what the training holds: a batch it computes with, the one before, one on its way to a GPU
PATIENCE = 5.0  # seconds that a process is given to end by itself
UNGUARDED = (
    "See its last words above. A program that uses processes must begin its work under `if __name__ == '__main__':` "
    "and be a file, since each process imports it first"
)
_said: set[str] = set()


class Worker(NamedTuple):
    """A process that makes batches, and the pipe to it."""

    process: Any
    pipe: Any


class Processes:
    """Processes that make batches, started once and used for one epoch after the other.

    They end when `close` is called, when nobody refers to this any more, and with the program.

    Attributes:
        is_broken: whether one of them has ended, or a question or an answer was cut: they are of no use any more.

    Args:
        making: how batches are made: it is sent to each.
        count: how many processes.
        largest: bytes of a batch, as far as is known.

    Raises:
        OSError, NotImplementedError, ImportError: the system starts no processes.
        RuntimeError: a process that was started for this program imports it, and would start more.
        TypeError: the data set or the transform cannot be sent.
    """

    def __init__(self, making: Making, count: int, largest: int) -> None:
        import multiprocessing

        if multiprocessing.current_process().daemon:
            raise OSError("this process is a daemon of multiprocessing, which may not start others")
        context = multiprocessing.get_context("spawn")
        self._home = os.getpid()
        self.is_broken = False
        self._slots = _shared(context, AHEAD * count + HELD, largest + 2 * ALIGNED)
        self._free = deque(range(len(self._slots)))
        self._asked: deque[tuple[Worker, int | None]] = deque()  # the batches to come, by whom and in which slot
        self._heard: set[Worker] = set()
        self._workers: list[Worker] = []
        self.close = weakref.finalize(self, _end, self._workers, self._home)
        try:
            for _ in range(count):
                pipe, theirs = context.Pipe()
                process = context.Process(target=work, args=(theirs, self._slots), name="minidl-loader", daemon=True)
                with _no_interrupt():
                    process.start()
                theirs.close()
                self._workers.append(Worker(process, pipe))
            for worker in self._workers:
                _send(worker, making)
        except BaseException:
            self.close()
            raise

    def batches(self, epoch: Epoch, numbers: Sequence[int]) -> Generator[tuple[Any, Any]]:
        """The batches `numbers` of an epoch in their order, at most AHEAD a process made ahead.

        An error in making one is raised when it is that batch's turn.

        Raises:
            RuntimeError: a process ended by itself; or another process, forked meanwhile, goes on with this.
        """
        for place, number in enumerate(numbers):
            self._refuse_fork()
            self._ask(self._workers[place % len(self._workers)], epoch, number)
            if place >= AHEAD * len(self._workers):
                yield self._answer()
        while self._asked:
            self._refuse_fork()
            yield self._answer()

    def is_ready(self) -> bool:
        """Whether an epoch can begin; what is still to come of a loop that was left is waited for and dropped."""
        while os.getpid() == self._home and not self.is_broken and self._asked:
            with suppress(Exception):
                self._answer()
        return os.getpid() == self._home and not self.is_broken and all(w.process.is_alive() for w in self._workers)

    def _refuse_fork(self) -> None:
        refuse_fork(
            self._home,
            f"in the middle of a `for` over a {WHAT}, whose processes answer only there",
            "begin a new `for` in this process",
        )

    def _ask(self, worker: Worker, epoch: Epoch, number: int) -> None:
        self.is_broken = True  # until all of the question is sent: Ctrl-C may cut it, and nothing would answer
        slot = self._free.popleft() if self._free else None
        self._asked.append((worker, slot))
        with suppress(OSError):  # it has ended, which is noticed when it is to answer
            worker.pipe.send((epoch, number, slot))
        self.is_broken = False

    def _answer(self) -> tuple[Any, Any]:
        """The batch that was asked for first; or the error that was raised in making it."""
        from multiprocessing.connection import wait

        self.is_broken = True  # until the whole answer is here: Ctrl-C may cut it
        worker, slot = self._asked.popleft()
        wait([worker.pipe, worker.process.sentinel])
        try:
            kind, content = worker.pipe.recv()
            arrays = [_received(worker.pipe, *layout) for layout in content] if kind == "pipe" else content
        except (EOFError, OSError):
            raise RuntimeError(self._death_of(worker)) from None
        self._heard.add(worker)
        if kind == "slot":
            arrays = self._lent(slot, content)
        elif slot is not None:
            self._free.append(slot)
        self.is_broken = False
        if kind == "error":
            failure, where = content
            raise failure from RemoteError(where)
        inputs, labels = arrays
        return inputs, labels

    def _lent(self, slot: Any, places: Any) -> list[Any]:
        """Arrays in a slot, which is free again when the last of them, and of their views, is gone."""
        whole = np.frombuffer(self._slots[slot], np.uint8)  # the base of all of them
        weakref.finalize(whole, self._free.append, slot).atexit = False
        return [whole[begin : begin + size].view(dtype).reshape(shape) for begin, size, dtype, shape in places]

    def _death_of(self, worker: Worker) -> str:
        worker.process.join(PATIENCE)
        code = worker.process.exitcode
        how, why = f"with exit code {code}", "See its last words above"
        if code is not None and code < 0:
            how = f"by signal {-code}"
            with suppress(ValueError):
                how = f"by {signal.Signals(-code).name}"
            why = "Was there too little memory? Fewer workers take less"
        elif worker not in self._heard:
            why = UNGUARDED
        return (
            f"{WHAT}: worker {self._workers.index(worker) + 1} of {len(self._workers)}, process {worker.process.pid}, "
            f"was ended {how} before its batch was made. {why}"
        )


def _send(worker: Worker, making: Making) -> None:
    """How batches are made. That a process has ended already is noticed when it is asked for one."""
    from pickle import PicklingError

    try:
        with suppress(OSError):
            worker.pipe.send(making)
    except (TypeError, AttributeError, ValueError, PicklingError) as error:
        raise TypeError(
            f"{WHAT}: the data set and the transform are sent to other processes, and something in them cannot be: "
            f"{error}. {HOW_TO_SEND}"
        ) from error


def _received(pipe: Any, dtype: Any, shape: tuple[int, ...]) -> Any:
    """An array whose bytes come next."""
    array = np.empty(shape, dtype)
    content = pipe.recv_bytes_into(array.reshape(-1).view(np.uint8)) if array.nbytes else 0
    assert content == array.nbytes
    return array


def _shared(context: Any, count: int, size: int) -> list[Any]:
    """Pieces of memory that processes started from now on can map; fewer, and a warning, where there is less."""
    slots: list[Any] = []
    try:
        for _ in range(count):
            slots.append(context.RawArray("B", size))
    except (OSError, ImportError, MemoryError) as error:
        if "shared" not in _said:
            _said.add("shared")
            warn(
                f"{WHAT}: there is not enough shared memory here for {count} batches of {size:,} bytes "
                f"({printable(str(error))}). Batches go through pipes, the same batches, only slower"
            )
    return slots


@contextmanager
def _no_interrupt() -> Iterator[None]:
    """Processes that are started here get no Ctrl-C: it is for the program, which ends them."""
    if not hasattr(signal, "pthread_sigmask"):  # Windows, where each ignores it once it runs
        yield
        return
    from multiprocessing import resource_tracker

    resource_tracker.ensure_running()  # a process of Python's own; starting that would let Ctrl-C through again
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _end(workers: list[Worker], home: int) -> None:
    if os.getpid() != home:  # a fork of the process that has them
        return
    for worker in workers:
        worker.pipe.close()  # at which it ends, once it has made what it is making
    for worker in workers:
        for last in (worker.process.terminate, worker.process.kill):
            worker.process.join(PATIENCE)
            if worker.process.exitcode is None:
                last()
        worker.process.join()
        worker.process.close()
    workers.clear()
