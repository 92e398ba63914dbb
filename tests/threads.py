"""Threads that meet: Python lets them take turns so often that two are in the middle of one operation."""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable, Sequence


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
