"""What only a fresh process shows: how long an import takes, and how much memory a training needs at its peak.

python -m benchmarks.fresh LIBRARY STEPS       is such a process: it trains LeNet and prints its peak in MiB
"""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

from benchmarks.peers import Peer, able, steps_of
from benchmarks.serving import CLOCKS
from benchmarks.workloads import WORKLOADS

ROOT = Path(__file__).parents[1]
NETWORK = "W3"
IMPORT = "import time; now = time.{}; began = now(); import {}; print(now() - began)"
Advance = Callable[[str], None]


def printed(command: Sequence[str], environment: dict[str, str]) -> float:
    """The number that a Python program prints."""
    done = subprocess.run(
        [sys.executable, *command], env=environment, cwd=ROOT, stdout=subprocess.PIPE, text=True, check=True
    )
    return float(done.stdout)


def import_times(peers: Sequence[Peer], rounds: int, advance: Advance, clock: str = "wall") -> dict[str, float]:
    """Milliseconds of `import LIBRARY`, medians over rounds of processes that take turns, with bytecode at hand."""
    name = CLOCKS[clock].__name__
    found: dict[str, list[float]] = {peer.library: [] for peer in peers}
    with tempfile.TemporaryDirectory() as cache:
        environment = {k: v for k, v in os.environ.items() if k != "PYTHONDONTWRITEBYTECODE"}
        environment["PYTHONPYCACHEPREFIX"] = cache
        for k in range(rounds + 1):
            for library, times in found.items():
                times.append(1e3 * printed(["-c", IMPORT.format(name, library)], environment))
                if k == 0:
                    times.clear()  # it compiled
                else:
                    advance(f"import, {library}")
    return {library: statistics.median(times) for library, times in found.items()}


def peaks(peers: Sequence[Peer], steps: int, advance: Advance) -> dict[str, float]:
    """MiB at the peak of a process that makes `steps` steps of LeNet; libraries that cannot are left out."""
    found = {}
    for peer in able(peers, NETWORK):
        found[peer.library] = printed(["-m", "benchmarks.fresh", peer.library, str(steps)], peer.environment())
        advance(f"memory, {peer.library}")
    return found


def peak() -> float:
    """The most memory this process ever had, in MiB.

    Linux says it in /proc. Elsewhere getrusage does; on Linux that number cannot be trusted, for a process inherits it
    from the one that started it.
    """
    status = Path("/proc/self/status")
    if status.exists():
        line = next(line for line in status.read_text(encoding="ascii").splitlines() if line.startswith("VmHWM"))
        return int(line.split()[1]) / 1024
    import resource

    unit = 2**20 if sys.platform == "darwin" else 2**10
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / unit


def train(library: str, steps: int) -> float:
    """The peak after some steps."""
    step = steps_of(library).STEPS[NETWORK](WORKLOADS[NETWORK])
    for _ in range(steps):
        step()
    return peak()


if __name__ == "__main__":
    print(train(sys.argv[1], int(sys.argv[2])))
