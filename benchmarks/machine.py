"""On what it was measured: date, versions, processor."""

from __future__ import annotations

import datetime
import os
import platform
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

import numpy as np

from benchmarks.peers import LIBRARIES, installed

SPIN = """
import time
began, computed = time.perf_counter(), time.process_time()
while time.perf_counter() - began < 0.5:
    pass
print((time.process_time() - computed) / (time.perf_counter() - began))
"""


def described(threads: int) -> str:
    """One line in markdown."""
    many = f"{threads} thread{'s' if threads > 1 else ''}"
    return f"{datetime.date.today()}. {versions()}. {processor()}, {cores()} cores, {many}."


def versions() -> str:
    """Of Python and the libraries."""
    blas = np.show_config(mode="dicts")["Build Dependencies"]["blas"]
    found = [f"Python {platform.python_version()}"]
    for library in LIBRARIES:
        if installed(library):
            found.append(f"{library} {version(library)}")
        if library == "numpy":
            found[-1] += f" ({blas['name']} {blas['version']})"
    found.append(f"threadpoolctl {version('threadpoolctl')}" if installed("threadpoolctl") else "no threadpoolctl")
    return ", ".join(found)


def processor() -> str:
    """The processor's name, and the system."""
    lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines() if Path("/proc/cpuinfo").exists() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return f"{names[0] if names else platform.processor() or platform.machine()} ({platform.system()})"


def cores() -> int:
    """How many cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def share(processes: int) -> float:
    """How much of a core each of so many processes gets that compute at once: 1 if nobody else wants it."""
    running = [subprocess.Popen([sys.executable, "-c", SPIN], stdout=subprocess.PIPE) for _ in range(processes)]
    return min(float(process.communicate()[0]) for process in running)
