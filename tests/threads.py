"""Threads that meet, taking turns so often that two are in the middle of one operation; and systems without any."""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable, Sequence

import pytest

from minidl.backend import starting


def run_together(actions: Sequence[Callable[[], object]]) -> None:
    """Call each action in a thread of its own, and wait for all of them."""
    threads = [threading.Thread(target=action) for action in actions]
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    finally:
        sys.setswitchinterval(interval)


def give_no_thread(monkeypatch: pytest.MonkeyPatch, after: int = 0, says: str = "can't start new thread") -> None:
    """From now on the system starts `after` more threads and then refuses, as WebAssembly does; nothing is said yet."""
    start, left = threading.Thread.start, iter(range(after))

    def start_or_refuse(thread: threading.Thread) -> None:
        if next(left, None) is None:
            raise RuntimeError(says)
        start(thread)

    monkeypatch.setattr(threading.Thread, "start", start_or_refuse)
    monkeypatch.setattr(starting, "_said", set())
