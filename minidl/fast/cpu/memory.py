"""Memory that a training step frees is kept for the next one.

A step makes and frees the same arrays as the step before. glibc, the C library of most Linuxes, gives large freed
blocks back to the system at once, and the next step then waits for each page of 4 KiB again: 2,000 times a step of a
small LSTM, a quarter of its time. glibc can be told to keep up to 64 MiB of what is freed (`man mallopt`), and would do
so by itself once a program has freed one block of almost 32 MiB.
"""

from __future__ import annotations

import ctypes
import os
import sys

TRIM_THRESHOLD, MMAP_THRESHOLD = -1, -3  # mallopt's numbers: what is kept at most; what is so large that it never is
KEPT, LARGE = 64 << 20, 32 << 20  # bytes
GLIBCS = 128 << 10  # bytes, for both, in a program that has freed nothing large
_USERS = ("MALLOC_TRIM_THRESHOLD_", "MALLOC_MMAP_THRESHOLD_", "GLIBC_TUNABLES")  # who set one of these knows better


def keep_freed_memory(keep: bool = True) -> None:
    """Let the C library keep up to 64 MiB of what is freed, or 128 KiB; without effect where it is not glibc."""
    if sys.platform != "linux" or any(name in os.environ for name in _USERS):
        return
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        mallopt(MMAP_THRESHOLD, LARGE if keep else GLIBCS)
        mallopt(TRIM_THRESHOLD, KEPT if keep else GLIBCS)
