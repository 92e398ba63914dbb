"""Ctrl-C as a request to stop after the running step."""

from __future__ import annotations

import signal
import threading
from types import FrameType
from typing import Any


class StopOnInterrupt:
    """Inside the block the first Ctrl-C only sets `requested`; the second interrupts as always.

        with StopOnInterrupt() as interrupt:
            while not interrupt.requested:
                ...

    Only the main thread can receive Ctrl-C; in another thread, or where it is ignored, the block changes nothing.

    Attributes:
        requested: whether Ctrl-C was pressed.
    """

    def __init__(self) -> None:
        self.requested = False
        self._previous: Any = None

    def __enter__(self) -> StopOnInterrupt:
        if threading.current_thread() is threading.main_thread():
            previous = signal.getsignal(signal.SIGINT)
            # None is a handler that Python could not put back; a program that ignores Ctrl-C (nohup, &) shall go on so.
            if previous not in (None, signal.SIG_IGN):
                self._previous = previous
                signal.signal(signal.SIGINT, self._request)
        return self

    def _request(self, signal_number: int, frame: FrameType | None) -> None:
        self.requested = True
        self._restore()

    def _restore(self) -> None:
        if self._previous is not None:
            signal.signal(signal.SIGINT, self._previous)
            self._previous = None

    def __exit__(self, *exception: object) -> None:
        self._restore()
