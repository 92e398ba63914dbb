"""Independent runs on all cores: one process a core, each with one BLAS thread.

These networks are so small that BLAS threads would only wait for each other. And with one thread the order of every sum
is fixed, so a run gives the same bits however many cores there are.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from types import TracebackType
from typing import Any

_THREAD_VARIABLES = (
    "OPENBLAS_NUM_THREADS",
    "MKL_NUM_THREADS",
    "OMP_NUM_THREADS",
    "VECLIB_MAXIMUM_THREADS",
    "MINIDL_NUM_THREADS",
)
ENDED = "a process was ended by the system (too little memory?)"


class Workers:
    """A pool of processes, as a context manager; with `in_process` everything runs here instead (for a GPU)."""

    def __init__(self, in_process: bool = False) -> None:
        self._in_process = in_process
        self._pool: ProcessPoolExecutor | None = None
        self._environment: dict[str, str | None] = {}

    def __enter__(self) -> Workers:
        if not self._in_process:
            # NumPy reads these when a new process imports it; the processes start with the first tasks.
            self._environment = {name: os.environ.get(name) for name in _THREAD_VARIABLES}
            os.environ.update(dict.fromkeys(_THREAD_VARIABLES, "1"))
            self._pool = ProcessPoolExecutor(
                max_workers=max(1, os.cpu_count() or 1),
                mp_context=multiprocessing.get_context("spawn"),
                initializer=_begin,
            )
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._pool is not None:
            if kind is not None:  # stopped: what is still running is not waited for
                for process in list((self._pool._processes or {}).values()):
                    process.terminate()
            self._pool.shutdown(wait=True, cancel_futures=True)
            for name, value in self._environment.items():
                if value is None:
                    os.environ.pop(name, None)
                else:
                    os.environ[name] = value

    def map(self, function: Callable[..., Any], tasks: Iterable[tuple[Any, ...]]) -> Iterator[tuple[int, Any]]:
        """(number of the task, function(*task)) for each task, in the order in which they are done.

        Raises:
            ChildProcessError: the system ended a process. What was done until then has been handed out.
        """
        if self._pool is None:
            for i, task in enumerate(tasks):
                yield i, function(*task)
            return
        broken: BaseException | None = None
        try:
            futures = {self._pool.submit(function, *task): i for i, task in enumerate(tasks)}
        except BrokenProcessPool as error:  # while they were handed out
            raise ChildProcessError(ENDED) from error
        for future in as_completed(futures):
            if isinstance(future.exception(), BrokenProcessPool):
                broken = future.exception()
            else:
                yield futures[future], future.result()
        if broken is not None:  # what was done before is handed out first
            raise ChildProcessError(ENDED) from broken


def _begin() -> None:
    """In a worker: Ctrl-C is for the parent, which then ends the workers; and a worker ends when its parent does."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_leave_with_parent, daemon=True).start()


def _leave_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)
