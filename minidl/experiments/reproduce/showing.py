"""How far a plan is: one bar over all runs in a terminal; elsewhere a line for each run that has ended."""

from __future__ import annotations

import sys
import time
from collections.abc import Mapping
from typing import Any

from minidl.data.progress import Bar
from minidl.experiments.reproduce.plan import PlannedRun
from minidl.files.output import say


class Showing:
    """Shows the progress of a plan, as a context manager.

    Args:
        runs: all of them.
        show: True or False; None shows a bar in a terminal or a notebook, and lines elsewhere.
    """

    def __init__(self, runs: tuple[PlannedRun, ...], show: bool | None = None, console: Any = None) -> None:
        self._total = len(runs)
        self._steps = {run.id: run.iterations for run in runs}  # of the runs that have not ended
        self._made = 0  # steps since the beginning, in runs that have ended since
        self._before: dict[str, int] = {}  # a run's steps when it was first looked at
        self._running: Mapping[str, int] = {}
        self._ended = 0
        self._began = time.perf_counter()
        self._bar = _Runs(show, self._total, console, self)
        self._lines = show is not False and not self._bar.can_be_drawn

    def __enter__(self) -> Showing:
        self._bar.__enter__()
        return self

    def __exit__(self, *exception: object) -> None:
        self._bar.__exit__(*exception)

    def found(self, run: PlannedRun) -> None:
        """A run was done before, is not needed, or has a result that cannot be used."""
        self._end(run)
        self._bar.advance()

    def ended(self, run: PlannedRun, text: str, done: bool = True) -> None:
        """A run has ended: its result in a few words; or, not `done`, why it failed."""
        if done:
            self._made += run.iterations - self._before.get(run.id, 0)
        self._end(run)
        if self._lines:
            say(f"{self._ended}/{self._total} {run.id}: {text}", sys.stderr)
        self._bar.advance()

    def _end(self, run: PlannedRun) -> None:
        self._ended += 1
        self._steps.pop(run.id, None)

    def running(self, steps: Mapping[str, int]) -> None:
        """Which runs are being done, and how many steps each has made."""
        self._running = steps
        for name, made in steps.items():
            self._before.setdefault(name, made)
        self._bar.advance(0)

    def text(self) -> str:
        """What stands beside the bar: the runs that are being done, and the time that is left."""
        parts = [f"{name} {made}/{self._steps.get(name, '?')}" for name, made in self._running.items()]
        left = self._seconds_left()
        if left is not None:
            parts.append(f"about {clock(left)} left")
        return ", ".join(parts)

    def _seconds_left(self) -> float | None:
        """As long as the steps that are left take at the speed until now; None before the first."""
        made = self._made + sum(steps - self._before[name] for name, steps in self._running.items())
        if made <= 0:
            return None
        left = sum(self._steps.values()) - sum(self._running.values())
        return max(0, left) * (time.perf_counter() - self._began) / made


class _Runs(Bar):
    """A bar that counts runs, with its own words beside it, the time that is left among them."""

    def __init__(self, show: bool | None, total: int, console: Any, showing: Showing) -> None:
        super().__init__(show, total, console=console, left=False)
        self._showing = showing

    @property
    def can_be_drawn(self) -> bool:
        return self._wanted

    def _text(self) -> str:
        return self._showing.text()


def clock(seconds: float) -> str:
    """A time of which seconds do not matter: `40 s`, `12 min`, `3 h 05 min`."""
    if seconds < 60:
        return f"{seconds:.0f} s"
    hours, minutes = divmod(round(seconds / 60), 60)
    return f"{hours} h {minutes:02} min" if hours else f"{minutes} min"
