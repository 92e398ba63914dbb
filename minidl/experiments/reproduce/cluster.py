"""Runs on the workers of a cluster: `--dask ADDRESS` hands them to a scheduler of dask.distributed.

    dask scheduler                                          on one machine; it prints its ADDRESS
    dask worker ADDRESS --nthreads 1 --nworkers 8           on each machine, one worker a core
    minidl reproduce mnist --out /shared/mnist --dask ADDRESS

Nothing is sent but which run to do: each worker reads and writes the folder itself, so all of them have to see it under
the same path. Each does one run at a time, with one thread. If a worker dies, dask begins its run again on another, and
there it goes on from its checkpoint; the folder's hold (`holding.py`) sees to it that no two write to it.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Any
from urllib.parse import urlsplit

from minidl.experiments.reproduce.doing import one_line
from minidl.experiments.reproduce.results import versions
from minidl.files.writing import check_writable

PATIENCE = 30.0  # seconds to wait for the scheduler, and for the first worker
CHECK_EVERY = 5.0  # seconds between two looks at which workers there are
SAME = ("minidl", "commit", "numpy")  # versions that decide about a run's numbers


class Cluster:
    """The workers of a dask scheduler, as a context manager: what `scheduling.do` takes as its pool.

    Args:
        address: of the scheduler, such as "tcp://10.0.0.1:8786".
        out: the folder of the reproduction, which the workers have to see under the same path.

    Raises:
        ValueError: dask.distributed is not installed, nobody answers, there is no worker, or one does not fit: it has
            several threads, other versions, or does not see the folder.
    """

    def __init__(self, address: str, out: Path) -> None:
        self._address = address
        self._out = Path(os.path.abspath(out))
        self._client: Any = None
        self._executor: Any = None
        self._known: set[str] = set()  # the workers that fit
        self._next_check = 0.0
        self._tasks: set[Future[Any]] = set()

    def __enter__(self) -> Cluster:
        try:
            from distributed import Client
        except ImportError as error:
            raise ValueError("--dask needs dask.distributed: pip install 'minidl[dask]'") from error
        if not names_a_port(self._address):  # of such a one a Client would be left that takes a minute to be closed
            raise ValueError(
                f"--dask: expected an ADDRESS such as tcp://10.0.0.1:8786, with a port; got {self._address}"
            )
        try:
            self._client = Client(self._address, timeout=PATIENCE, set_as_default=False)
        except (OSError, ValueError, TypeError) as error:
            raise ValueError(
                f"--dask {self._address}: no dask scheduler answers there ({one_line(error)}). Start one with: dask "
                f"scheduler"
            ) from error
        try:
            with suppress(TimeoutError):
                self._client.wait_for_workers(1, timeout=PATIENCE)
            self._look_for_workers()
            if not self._known:
                raise ValueError(
                    f"--dask {self._address}: the scheduler has no workers. Start some with: dask worker "
                    f"{self._address} --nthreads 1"
                )
            # Not pure: the same run may be begun again. No retries: what fails of itself fails again.
            self._executor = self._client.get_executor(pure=False, retries=0)
        except BaseException:
            self._client.close()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._executor.shutdown(wait=False)  # cancels what has not ended
        self._client.close()

    def free(self) -> int:
        """How many workers have nothing to do.

        Raises:
            ValueError: a worker has joined that does not fit.
        """
        if time.monotonic() >= self._next_check:
            self._look_for_workers()
        self._tasks = {task for task in self._tasks if not task.done()}
        return len(self._known) - len(self._tasks)

    def submit(self, function: Callable[..., Any], *task: Any) -> Future[Any]:
        """Begin function(*task) on a worker."""
        begun: Future[Any] = self._executor.submit(function, *task)
        self._tasks.add(begun)
        return begun

    def why(self, error: BaseException) -> str:
        """Why a task was not done to its end."""
        if type(error).__name__ == "KilledWorker":
            return "the workers that did it died, one after another (too little memory?)"
        return f"the cluster lost it ({one_line(error)})"

    def _look_for_workers(self) -> None:
        """See which workers there are, and whether those that are new fit."""
        there = set(self._client.nthreads())
        new = sorted(there - self._known)
        if new:
            with _Token(self._out) as token:
                answers = self._client.run(look_around, str(token.path), token.text, workers=new, on_error="return")
            wrong = problems(answers, versions(), self._out)
            if wrong:
                raise ValueError(f"--dask {self._address}: " + "; ".join(wrong))
        self._known = there
        self._next_check = time.monotonic() + CHECK_EVERY


def names_a_port(address: str) -> bool:
    """Whether an address says which host and port."""
    try:
        parts = urlsplit(address if "://" in address else f"tcp://{address}")
        return bool(parts.hostname) and parts.port is not None
    except ValueError:
        return False


class _Token:
    """A file in the folder that only somebody who sees the same folder can read."""

    def __init__(self, folder: Path) -> None:
        self.text = os.urandom(8).hex()
        self.path = folder / f".seen-{self.text}"

    def __enter__(self) -> _Token:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        self.path.write_text(self.text, encoding="utf-8")
        return self

    def __exit__(self, *exception: object) -> None:
        with suppress(OSError):
            self.path.unlink(missing_ok=True)


def look_around(path: str, text: str, dask_worker: Any = None) -> dict[str, Any]:
    """On a worker, which dask puts in: what it is, and whether it sees and may write the folder."""
    found: dict[str, Any] = {"threads": dask_worker.state.nthreads, "versions": versions(), "sees": False}
    with suppress(OSError):
        found["sees"] = Path(path).read_text(encoding="utf-8") == text
    try:
        check_writable(f"{path}-{os.getpid()}")
        found["writes"] = True
    except OSError:
        found["writes"] = False
    return found


def problems(answers: Mapping[str, Any], own: Mapping[str, Any], folder: Path) -> list[str]:
    """What is wrong with workers, in words that say which and what to do; nothing if they fit.

    Args:
        answers: worker -> what `look_around` found there, or the error that it ended with.
        own: the versions here.
        folder: that they have to see.
    """
    wrong = []
    for worker, found in answers.items():
        if isinstance(found, BaseException):
            wrong.append(f"the worker {worker} cannot run minidl ({one_line(found)}): install the same minidl there")
            continue
        if found["threads"] != 1:
            wrong.append(
                f"the worker {worker} has {found['threads']} threads, and two runs in one process would draw from the "
                f"same random numbers: start it with --nthreads 1"
            )
        other = [name for name in SAME if found["versions"].get(name) != own.get(name)]
        if other:
            differ = ", ".join(f"{name} {found['versions'].get(name)} instead of {own.get(name)}" for name in other)
            wrong.append(f"the worker {worker} has {differ}: install the same there")
        if not found["sees"]:
            wrong.append(f"the worker {worker} does not see {folder}: give an --out that all share under one path")
        elif not found["writes"]:
            wrong.append(f"the worker {worker} cannot write to {folder}")
    return wrong
