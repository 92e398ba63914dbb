"""Where the system starts no threads or processes, as in a browser: the caller does the work, and that is said once.

WebAssembly (Pyodide, WASI) has neither; elsewhere a limit may forbid more of them (`ulimit -u`, a container's). What
falls back computes the same numbers in the same order, one after another.
"""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Callable
from contextvars import ContextVar
from typing import Any, TypeVar

from minidl.errors import printable, warn

T = TypeVar("T")
NO_THREADS = sys.platform in ("emscripten", "wasi")
ONE_THREAD: ContextVar[bool] = ContextVar("minidl_one_thread", default=False)  # whether nothing is to be shared out

_said: set[str] = set()


def say_once(what: str, missing: str, why: object, instead: str) -> None:
    """Warn, the first time in this process, that `what` does without.

    Args:
        what: what was asked for, such as "Loader(workers=2)"; said once whatever stands in the brackets.
        missing: "threads" or "processes".
        why: the system's own words.
        instead: what is done now, and what that means for the results.
    """
    key = what.split("(")[0]
    if key not in _said:
        _said.add(key)
        warn(f"{what}: no {missing} can be started here ({printable(str(why))}), as in a browser. {instead}.")


def refuse_fork(process: int, what: str, instead: str) -> None:
    """Raise in any process but `process`, from which this one was forked: `what` is only there.

    Raises:
        RuntimeError: this is another process.
    """
    if os.getpid() != process:
        raise RuntimeError(f"process {os.getpid()} was forked from process {process} {what}: {instead}")


def started_pool(
    threads: int, name: str, what: str, instead: str, begin: Callable[[], object] | None = None
) -> Any | None:
    """A ThreadPoolExecutor all of whose threads run; None, and a warning, where the system starts fewer.

    They are started before there is work. Were they started as work comes, one could be doing some of it already when
    the next is not to be had.

    Args:
        threads: how many.
        name: what their names begin with.
        what, instead: for `say_once`.
        begin: called in each at its start.

    Raises:
        RuntimeError: the program is ending.
    """
    from concurrent.futures import ThreadPoolExecutor

    pool = ThreadPoolExecutor(threads, thread_name_prefix=name, initializer=begin)
    all_there = threading.Event()
    refused: RuntimeError | None = None
    try:
        for _ in range(threads):
            pool.submit(all_there.wait)  # starts a thread each, since those that are there are busy with it
    except RuntimeError as error:
        if not is_thread_refused(error):
            raise
        refused = error
    finally:
        all_there.set()
    if refused is None:
        return pool
    pool.shutdown(cancel_futures=True)
    say_once(what, "threads", refused, instead)
    return None


def is_thread_refused(error: RuntimeError) -> bool:
    """Whether the system has no thread to give; not, for example, that the program is ending."""
    return "start new thread" in str(error)


def with_one_thread(function: Callable[..., T], *arguments: Any) -> T:
    """`function(*arguments)` without sharing out any loop or product: the bits that a process of one thread finds."""
    before = ONE_THREAD.set(True)
    try:
        return function(*arguments)
    finally:
        ONE_THREAD.reset(before)
