"""How far a piece of work is: a bar in a terminal (on standard error) or in a notebook, else a line for each epoch.

By default a bar appears once the work has taken a second. Where none can be drawn, since the output goes to a file,
only a training tells how far it is: in plain lines on standard error. With `show=False` nothing is shown anywhere.
"""

from __future__ import annotations

import builtins
import math
import sys
import time
from typing import Any, Self, TextIO, cast

import numpy as np

from minidl import backend
from minidl.checks import yes_or_no
from minidl.files.output import Steady, say

PATIENCE = 1.0  # seconds before a bar appears
REFRESH = 0.1  # seconds between two drawings; each reads the loss, and so waits for a GPU
WIDTH = 20  # letters, of a bar in a notebook
MOST_LINES = 100  # about so many are written of a long training


class Bar:
    """A progress bar, to be used in a `with` block: it shows how much of a total is done.

    `advance` draws it, at most ten times a second; no thread does.

    Args:
        show: True or False; None shows it in a terminal or a notebook, and only once the work has taken a second.
        total: how much there is to do; None if that is not known.
        done: how much of it is done already.
        label: the text beside the bar.
        bytes: whether bytes are counted, to be shown as kB, MB, ...
        left: whether to estimate, from what was done until now, the time that is left.
        console: a `rich.console.Console` to draw on instead of standard error.
    """

    def __init__(
        self,
        show: bool | None,
        total: int | None,
        done: int = 0,
        label: str = "",
        bytes: bool = False,
        left: bool = True,
        console: Any = None,
    ) -> None:
        self._wanted = _in_notebook() or in_terminal() if show is None else yes_or_no(show, "progress")
        self._total = total
        self._done = done
        self._label = label
        self._bytes = bytes
        self._left = left
        self._console = console
        self._bar: _InTerminal | _InNotebook | None = None
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
            self._start()
            self._draw()
            self._next_drawing = time.perf_counter() + REFRESH

    def _text(self) -> str:
        return self._label

    def _start(self) -> None:
        if self._bar is None and self._console is None and _in_notebook():
            self._bar = _InNotebook(self._total, self._done, self._bytes, self._left)
        elif self._bar is None:
            self._bar = _InTerminal(self._total, self._done, self._bytes, self._left, self._console)

    def _draw(self) -> None:
        assert self._bar is not None
        self._bar.draw(self._done, self._text())


class ProgressBar(Bar):
    """The progress of a training: the epoch, the steps, the loss and the last result on the validation data.

    Where no bar can be drawn it is a line for each epoch; of more than 100 epochs, about 100 lines.

    Args:
        show, done, console: as for `Bar`.
        steps: how many steps there are in all.
    """

    def __init__(self, show: bool | None, steps: int, done: int = 0, console: Any = None) -> None:
        super().__init__(show, steps, done, console=console)
        self._loss: Any = None
        self._validated = ""
        self._in_lines = show is not False and console is None and not (_in_notebook() or in_terminal())
        self._said = done  # how many steps were done when the last line was written
        if self._in_lines:
            self._wanted = False
        elif _in_notebook():  # what it ends with stays in the notebook, also of a short training
            self._next_drawing = 0.0

    def __exit__(self, *exception: object) -> None:
        if self._in_lines and self._done > self._said:  # it ended within an epoch
            self._say(f"step {self._done}/{self._total}")
        super().__exit__(*exception)

    def step(self, label: str, loss: Any) -> None:
        """Count one step. `loss` is a raw 0-d array; it is read only when it is shown."""
        self._label, self._loss = label, loss
        self.advance()

    def validated(self, text: str) -> None:
        """Show `text`, the result on the validation data, from now on."""
        self._validated = f"  {text}"

    def end_epoch(self, epoch: int, epochs: int, loss: float, seconds: float) -> None:
        """Say what an epoch has come to: its number, from 1, the mean of its losses, and how long it took."""
        self._label, self._loss = f"epoch {epoch}/{epochs}", np.asarray(loss)
        if self._in_lines and (epoch % math.ceil(epochs / MOST_LINES) == 0 or self._done == self._total):
            self._say(f"{seconds:.1f} s")

    def _say(self, more: str) -> None:
        say(f"{self._text()}  {more}", sys.stderr)
        self._said = self._done

    def _text(self) -> str:
        return f"{self._label}  loss {float(backend.to_numpy(self._loss)):.4f}{self._validated}"


class _InTerminal:
    """A bar that rich draws, over itself."""

    def __init__(self, total: int | None, done: int, bytes: bool, left: bool, console: Any) -> None:
        from rich import progress
        from rich.console import Console

        counted = progress.DownloadColumn() if bytes else progress.MofNCompleteColumn()
        text = progress.TextColumn("{task.description}", markup=False)
        clock = (progress.TimeRemainingColumn(),) if left else ()
        columns = (progress.BarColumn(), counted, *clock, text)
        console = console or Console(file=cast(TextIO, Steady(sys.stderr)))
        self._bar = progress.Progress(*columns, console=console, auto_refresh=False)
        self._task = self._bar.add_task("", total=total, completed=done)
        self._bar.start()

    def draw(self, done: int, text: str) -> None:
        self._bar.update(self._task, description=text, completed=done, refresh=True)

    def stop(self) -> None:
        self._bar.stop()


class _InNotebook:
    """A line of text that is written over itself, through the kernel's own display: it needs no widgets.

    A notebook that is saved holds the last line, and none of those before.
    """

    def __init__(self, total: int | None, done: int, bytes: bool, left: bool) -> None:
        self._total, self._first, self._bytes, self._estimated = total, done, bytes, left
        self._began = time.perf_counter()
        self._last = (done, "")
        self._shown: Any = None

    def draw(self, done: int, text: str) -> None:
        self._last = (done, text)
        self._show(self._left(done))

    def stop(self) -> None:
        self._show(_clock(time.perf_counter() - self._began))

    def _left(self, done: int) -> str:
        if self._total is None or done <= self._first or not self._estimated:
            return ""
        return f"{_clock((time.perf_counter() - self._began) * (self._total - done) / (done - self._first))} left"

    def _show(self, clock: str) -> None:
        from IPython.display import display

        done, text = self._last
        counted = f"{self._count(done)}/{'?' if self._total is None else self._count(self._total)}"
        filled = WIDTH if not self._total else min(WIDTH, WIDTH * done // self._total)
        bar = "\N{FULL BLOCK}" * filled + "\N{LIGHT SHADE}" * (WIDTH - filled)
        words = [part for part in (counted, clock, text) if part]
        content = {"text/plain": "  ".join([bar, *words])}
        if self._shown is None:
            self._shown = display(content, raw=True, display_id=True)
        else:
            self._shown.update(content, raw=True)

    def _count(self, amount: int) -> str:
        return f"{amount / 1e6:.1f} MB" if self._bytes else f"{amount}"


def _clock(seconds: float) -> str:
    """65 seconds as 1:05."""
    minutes, seconds = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{seconds:02}" if hours else f"{minutes}:{seconds:02}"


def in_terminal() -> bool:
    """Whether standard output and standard error are both a terminal's."""
    return all(Steady(stream).isatty() for stream in (sys.stdout, sys.stderr))


def _in_notebook() -> bool:
    """Whether a kernel runs this, for Jupyter or the like; IPython in a terminal has none."""
    return hasattr(getattr(builtins, "get_ipython", lambda: None)(), "kernel")
