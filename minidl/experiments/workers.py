"""Independent runs on all cores: one process a core, each with one BLAS thread.

These networks are so small that BLAS threads would only wait for each other. And with one thread the order of every sum
is fixed, so a run gives the same bits however many cores there are. And the same where the system starts no processes,
as in a browser: then this process does the runs, one after another, and shares nothing out.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from types import TracebackType
from typing import TYPE_CHECKING, Any

from minidl.backend.starting import is_thread_refused, say_once, with_one_thread

if TYPE_CHECKING:
    from concurrent.futures import Future, ProcessPoolExecutor

_THREAD_VARIABLES = (
    "OPENBLAS_NUM_THREADS",
    "MKL_NUM_THREADS",
    "OMP_NUM_THREADS",
    "VECLIB_MAXIMUM_THREADS",
    "MINIDL_NUM_THREADS",
)
REFUSALS = (OSError, NotImplementedError, ImportError)  # where no process can be started; and some RuntimeErrors
INSTEAD = "They are done one after another in this process: the same runs, only without the other cores"
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
            try:
                self._pool = _new_pool()
            except REFUSALS as error:
                self._do_without(error)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._pool is not None:
            if kind is not None:  # stopped: what is still running is not waited for
                self._terminate()
            self._pool.shutdown(wait=True, cancel_futures=True)
        self._restore_environment()

    def _terminate(self) -> None:
        if self._pool is not None:
            for process in list((self._pool._processes or {}).values()):
                process.terminate()

    def _restore_environment(self) -> None:
        for name, value in self._environment.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value
        self._environment = {}

    def _do_without(self, error: BaseException) -> None:
        """From now on this process does the tasks."""
        if self._pool is not None:  # of which nothing is waited for: there may be no thread that would end it
            self._terminate()
            self._pool.shutdown(wait=False, cancel_futures=True)
            self._pool = None
        self._restore_environment()
        say_once("independent runs", "processes", str(error) or type(error).__name__, INSTEAD)

    def map(self, function: Callable[..., Any], tasks: Iterable[tuple[Any, ...]]) -> Iterator[tuple[int, Any]]:
        """(number of the task, function(*task)) for each task, in the order in which they are done.

        Raises:
            ChildProcessError: the system ended a process. What was done until then has been handed out.
        """
        tasks = list(tasks)
        futures = self._hand_out(function, tasks)
        if futures is None:
            for i, task in enumerate(tasks):
                yield i, function(*task) if self._in_process else with_one_thread(function, *task)
            return
        from concurrent.futures import as_completed
        from concurrent.futures.process import BrokenProcessPool

        broken: BaseException | None = None
        for future in as_completed(futures):
            if isinstance(future.exception(), BrokenProcessPool):
                broken = future.exception()
            else:
                yield futures[future], future.result()
        if broken is not None:  # what was done before is handed out first
            raise ChildProcessError(ENDED) from broken

    def _hand_out(self, function: Callable[..., Any], tasks: list[tuple[Any, ...]]) -> dict[Future[Any], int] | None:
        """The number of each task's future; None where this process is to do them."""
        if self._pool is None:
            return None
        from concurrent.futures.process import BrokenProcessPool

        try:
            return {self._pool.submit(function, *task): i for i, task in enumerate(tasks)}
        except BrokenProcessPool as error:  # while they were handed out
            raise ChildProcessError(ENDED) from error
        except REFUSALS as error:
            self._do_without(error)
        except RuntimeError as error:
            if not is_thread_refused(error):  # the one in this process that minds the others
                raise
            self._do_without(error)
        return None


def _new_pool() -> ProcessPoolExecutor:
    from concurrent.futures import ProcessPoolExecutor  # ImportError where Python is built without processes

    return ProcessPoolExecutor(
        max_workers=max(1, os.cpu_count() or 1),
        mp_context=multiprocessing.get_context("spawn"),
        initializer=_begin,
    )


def _begin() -> None:
    """In a worker: Ctrl-C is for the parent, which then ends the workers; and a worker ends when its parent does."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    with suppress(RuntimeError):  # a worker that is given no thread for that is no worse at its work
        threading.Thread(target=_leave_with_parent, daemon=True).start()


def _leave_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)
