"""Progress bars on standard error. By default one is shown in a terminal only, and once the work has taken a second."""

from __future__ import annotations

import sys
import time
from typing import Any, Self, TextIO, cast

from minidl import backend
from minidl.checks import yes_or_no
from minidl.files.output import Steady

PATIENCE = 1.0  # seconds before a bar appears
REFRESH = 0.1  # seconds between two drawings; each reads the loss, and so waits for a GPU


class Bar:
    """A progress bar, to be used in a `with` block: it shows how much of a total is done.

    `advance` draws it, at most ten times a second; no thread does.

    Args:
        show: True or False; None shows it in a terminal, and only once the work has taken a second.
        total: how much there is to do; None if that is not known.
        done: how much of it is done already.
        label: the text beside the bar.
        bytes: whether bytes are counted, to be shown as kB, MB, ...
        console: a `rich.console.Console` to draw on instead of standard error.
    """

    def __init__(
        self,
        show: bool | None,
        total: int | None,
        done: int = 0,
        label: str = "",
        bytes: bool = False,
        console: Any = None,
    ) -> None:
        self._wanted = _in_terminal() if show is None else yes_or_no(show, "progress")
        self._total = total
        self._done = done
        self._label = label
        self._bytes = bytes
        self._console = console
        self._bar: Any = None
        self._task: Any = None
        self._next_drawing = time.perf_counter() + (PATIENCE if show is None else 0.0)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        if self._bar is not None:
            self._draw()
            self._bar.stop()

    def advance(self, amount: int = 1) -> None:
        """Count `amount` as done."""
        self._done += amount
        if self._wanted and time.perf_counter() >= self._next_drawing:
            if self._bar is None:
                self._start()
            self._draw()
            self._next_drawing = time.perf_counter() + REFRESH

    def _text(self) -> str:
        return self._label

    def _draw(self) -> None:
        self._bar.update(self._task, description=self._text(), completed=self._done, refresh=True)

    def _start(self) -> None:
        from rich import progress
        from rich.console import Console

        counted = progress.DownloadColumn() if self._bytes else progress.MofNCompleteColumn()
        text = progress.TextColumn("{task.description}", markup=False)
        columns = (progress.BarColumn(), counted, progress.TimeRemainingColumn(), text)
        console = self._console or Console(file=cast(TextIO, Steady(sys.stderr)))
        self._bar = progress.Progress(*columns, console=console, auto_refresh=False)
        self._task = self._bar.add_task("", total=self._total, completed=self._done)
        self._bar.start()


class ProgressBar(Bar):
    """The progress bar of a training: the epoch, the steps, the loss and the last result on the validation data.

    Args:
        show, done, console: as for `Bar`.
        steps: how many steps there are in all.
    """

    def __init__(self, show: bool | None, steps: int, done: int = 0, console: Any = None) -> None:
        super().__init__(show, steps, done, console=console)
        self._loss: Any = None
        self._validated = ""

    def step(self, label: str, loss: Any) -> None:
        """Count one step. `loss` is a raw 0-d array; it is read only when it is shown."""
        self._label, self._loss = label, loss
        self.advance()

    def validated(self, text: str) -> None:
        """Show `text`, the result on the validation data, from now on."""
        self._validated = f"  {text}"

    def _text(self) -> str:
        return f"{self._label}  loss {float(backend.to_numpy(self._loss)):.4f}{self._validated}"


def _in_terminal() -> bool:
    return all(Steady(stream).isatty() for stream in (sys.stdout, sys.stderr))
