"""A progress bar for training, which stays away where nobody looks and from what is over at once."""

from __future__ import annotations

import sys
import time
from typing import Any

from minidl import backend

PATIENCE = 1.0  # seconds before a bar appears
REFRESH = 0.1  # seconds between two looks; each reads the loss, for which a GPU has to be waited for


class ProgressBar:
    """Shows epoch, steps, loss and what validation said, on standard error.

    It is drawn by the steps themselves, at most ten times a second, not by a thread of its own.

    Args:
        show: True or False; None shows it in a terminal, and only once the training has taken a second.
        steps: how many steps there are in all.
        done: how many of them are done already.
        console: a `rich.console.Console` to draw on instead of standard error.
    """

    def __init__(self, show: bool | None, steps: int, done: int = 0, console: Any = None) -> None:
        self._wanted = _in_terminal() if show is None else show
        self._steps = steps
        self._done = done
        self._console = console
        self._bar: Any = None
        self._task: Any = None
        self._label = ""
        self._loss: Any = None
        self._validated = ""
        self._next_look = time.perf_counter() + (PATIENCE if show is None else 0.0)

    def __enter__(self) -> ProgressBar:
        return self

    def __exit__(self, *exception: object) -> None:
        if self._bar is not None:
            self._draw()
            self._bar.stop()

    def step(self, label: str, loss: Any) -> None:
        """Count one step. `loss` is a raw 0-d array; it is read only when it is shown."""
        self._done += 1
        self._label, self._loss = label, loss
        if self._wanted and time.perf_counter() >= self._next_look:
            if self._bar is None:
                self._start()
            self._draw()
            self._next_look = time.perf_counter() + REFRESH

    def validated(self, text: str) -> None:
        """Show from now on what validation said."""
        self._validated = f"  {text}"

    def _draw(self) -> None:
        text = f"{self._label}  loss {float(backend.to_numpy(self._loss)):.4f}{self._validated}"
        self._bar.update(self._task, description=text, completed=self._done, refresh=True)

    def _start(self) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

        columns = (BarColumn(), MofNCompleteColumn(), TimeRemainingColumn(), TextColumn("{task.description}"))
        self._bar = Progress(*columns, console=self._console or Console(stderr=True), auto_refresh=False)
        self._task = self._bar.add_task("", total=self._steps, completed=self._done)
        self._bar.start()


def _in_terminal() -> bool:
    return all(stream is not None and stream.isatty() for stream in (sys.stdout, sys.stderr))
