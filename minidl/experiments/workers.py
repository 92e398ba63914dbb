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
    """A pool of processes, as a context manager; with `in_process` everything runs here instead (for a GPU).

    Args:
        in_process: whether everything runs here.
        processes: how many there are; None for one a core.
    """

    def __init__(self, in_process: bool = False, processes: int | None = None) -> None:
        self._in_process = in_process
        self._processes = processes
        self._pool: ProcessPoolExecutor | None = None
        self._environment: dict[str, str | None] = {}

    def __enter__(self) -> Workers:
        if not self._in_process:
            # NumPy reads these when a new process imports it; the processes start with the first tasks.
            self._environment = {name: os.environ.get(name) for name in _THREAD_VARIABLES}
            os.environ.update(dict.fromkeys(_THREAD_VARIABLES, "1"))
            try:
                self._pool = _new_pool(self._processes)
            except REFUSALS as error:
                self._do_without(error)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._pool is not None:
            if kind is not None:  # stopped: what is still running is not waited for
                self.terminate()
            self._pool.shutdown(wait=True, cancel_futures=True)
        self._restore_environment()

    def terminate(self) -> None:
        """End the processes, whatever they do."""
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
            self.terminate()
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
                yield i, self._do_here(function, task)
            return
        from concurrent.futures import BrokenExecutor, as_completed

        broken: BaseException | None = None
        for future in as_completed(futures):
            if isinstance(future.exception(), BrokenExecutor):
                broken = future.exception()
            else:
                yield futures[future], future.result()
        if broken is not None:  # what was done before is handed out first
            raise ChildProcessError(ENDED) from broken

    def submit(self, function: Callable[..., Any], *task: Any) -> Future[Any]:
        """Begin function(*task): in a process, a new one if the system ended the last; where there is none, here.

        The future's exception is the task's own, or a BrokenExecutor if the system ended its process (or that of
        another task, if there are several).
        """
        from concurrent.futures import BrokenExecutor, Future

        try:
            begun = self._begin(function, task)
        except BrokenExecutor:
            self._renew()
            begun = self._begin(function, task)
        if begun is None:
            begun = Future()
            try:
                begun.set_result(self._do_here(function, task))
            except Exception as error:
                begun.set_exception(error)
        return begun

    def _begin(self, function: Callable[..., Any], task: tuple[Any, ...]) -> Future[Any] | None:
        """Hand a task to the processes; None where this process is to do it."""
        if self._pool is None:
            return None
        try:
            return self._pool.submit(function, *task)
        except REFUSALS as error:
            self._do_without(error)
        except RuntimeError as error:
            if not is_thread_refused(error):  # the one in this process that minds the others
                raise
            self._do_without(error)
        return None

    def _do_here(self, function: Callable[..., Any], task: tuple[Any, ...]) -> Any:
        return function(*task) if self._in_process else with_one_thread(function, *task)

    def _renew(self) -> None:
        if self._pool is not None:
            self._pool.shutdown(wait=False, cancel_futures=True)
            try:
                self._pool = _new_pool(self._processes)
            except REFUSALS as error:
                self._do_without(error)

    def _hand_out(self, function: Callable[..., Any], tasks: list[tuple[Any, ...]]) -> dict[Future[Any], int] | None:
        """The number of each task's future; None where this process is to do them."""
        from concurrent.futures import BrokenExecutor

        futures: dict[Future[Any], int] = {}
        for i, task in enumerate(tasks):
            try:
                begun = self._begin(function, task)
            except BrokenExecutor as error:  # while they were handed out
                raise ChildProcessError(ENDED) from error
            if begun is None:
                return None
            futures[begun] = i
        return futures


def _new_pool(processes: int | None = None) -> ProcessPoolExecutor:
    from concurrent.futures import ProcessPoolExecutor  # ImportError where Python is built without processes

    return ProcessPoolExecutor(
        max_workers=processes or max(1, os.cpu_count() or 1),
        mp_context=multiprocessing.get_context("spawn"),
        initializer=_start_as_worker,
    )


def _start_as_worker() -> None:
    """In a worker: Ctrl-C is for the parent, which then ends the workers; and a worker ends when its parent does."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    with suppress(RuntimeError):  # a worker that is given no thread for that is no worse at its work
        threading.Thread(target=_leave_with_parent, daemon=True).start()


def _leave_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)
