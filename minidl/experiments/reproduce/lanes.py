"""Processes of one machine side by side, each with its own queue: if the system ends one, only its task is lost."""

from __future__ import annotations

import os
from collections.abc import Callable
from concurrent.futures import Future
from contextlib import ExitStack
from types import TracebackType
from typing import Any, Protocol

from minidl.experiments.workers import Workers


class Pool(Protocol):
    """Where runs are done: what the scheduler needs of processes here, or of a cluster."""

    def free(self) -> int:
        """How many tasks may be begun now."""

    def submit(self, function: Callable[..., Any], *task: Any) -> Future[Any]:
        """Begin function(*task)."""

    def why(self, error: BaseException) -> str:
        """In words: why a task was not done to its end, if the fault is not its own."""


class Lanes:
    """`count` processes, as a context manager. Left by an exception, it ends them.

    Args:
        count: how many; None for one a core.
    """

    def __init__(self, count: int | None = None) -> None:
        self._lanes = [Workers(processes=1) for _ in range(count or os.cpu_count() or 1)]
        self._tasks: list[Future[Any] | None] = [None] * len(self._lanes)
        self._stack = ExitStack()

    def __enter__(self) -> Lanes:
        with ExitStack() as stack:
            for lane in self._lanes:
                stack.enter_context(lane)
            self._stack = stack.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is not None:  # all at once, before each is waited for
            for lane in self._lanes:
                lane.terminate()
        self._stack.__exit__(kind, error, trace)

    def free(self) -> int:
        return sum(map(_is_over, self._tasks))

    def submit(self, function: Callable[..., Any], *task: Any) -> Future[Any]:
        lane = next(i for i, last in enumerate(self._tasks) if _is_over(last))
        self._tasks[lane] = begun = self._lanes[lane].submit(function, *task)
        return begun

    def why(self, error: BaseException) -> str:
        return "the system ended its process (too little memory?)"


def _is_over(task: Future[Any] | None) -> bool:
    return task is None or task.done()
