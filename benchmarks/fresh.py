"""What only a fresh process shows: how long an import takes, and how much memory a training needs at its peak.

python -m benchmarks.fresh LIBRARY WORKLOAD STEPS      is such a process: it trains and prints its memory in MiB
"""

from __future__ import annotations

import contextlib
import os
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.peers import Peer, able, steps_of
from benchmarks.serving import CLOCKS
from benchmarks.workloads import WORKLOADS

ROOT = Path(__file__).parents[1]
STATUS = Path("/proc/self/status")
NETWORKS = {"W3": 1.0, "W4": 0.1, "GPT": 0.1}  # and which part of the steps: a step of the larger ones takes longer
IMPORT = "import time; now = time.{}; began = now(); import {}; print(now() - began)"
Advance = Callable[[str], None]


@dataclass(frozen=True)
class Memory:
    """MiB at the peak of a training, and how much of it came after the import.

    "After" is when the data, the network and the optimizer are made: with its first optimizer PyTorch imports another
    70 MiB of itself, which are no training's.
    """

    peak: float
    beyond: float


def printed(command: Sequence[str], environment: dict[str, str]) -> str:
    """What a Python program prints."""
    done = subprocess.run(
        [sys.executable, *command], env=environment, cwd=ROOT, stdout=subprocess.PIPE, text=True, check=True
    )
    return done.stdout


def import_times(peers: Sequence[Peer], rounds: int, advance: Advance, clock: str = "wall") -> dict[str, float]:
    """Milliseconds of `import LIBRARY`, medians over rounds of processes that take turns, with bytecode at hand."""
    name = CLOCKS[clock].__name__
    found: dict[str, list[float]] = {peer.library: [] for peer in peers}
    with tempfile.TemporaryDirectory() as cache:
        environment = {k: v for k, v in os.environ.items() if k != "PYTHONDONTWRITEBYTECODE"}
        environment["PYTHONPYCACHEPREFIX"] = cache
        for k in range(rounds + 1):
            for library, times in found.items():
                times.append(1e3 * float(printed(["-c", IMPORT.format(name, library)], environment)))
                if k == 0:
                    times.clear()  # it compiled
                else:
                    advance(f"import, {library}")
    return {library: statistics.median(times) for library, times in found.items()}


def peaks(peers: Sequence[Peer], steps: int, advance: Advance) -> dict[str, dict[str, Memory]]:
    """For each network and library that can, the memory of a process that trains."""
    found: dict[str, dict[str, Memory]] = {}
    for network, part in NETWORKS.items():
        for peer in able(peers, network):
            arguments = [peer.library, network, str(max(5, round(part * steps)))]
            said = printed(["-m", "benchmarks.fresh", *arguments], peer.environment())
            found.setdefault(network, {})[peer.library] = Memory(*map(float, said.split()))
            advance(f"memory, {peer.library}")
    return found


def resident() -> float:
    """The memory that this process has now, in MiB; where /proc does not say it, the most it ever had."""
    return status("VmRSS") if STATUS.exists() else peak()


def status(name: str) -> float:
    """A line of /proc/self/status, in MiB."""
    line = next(line for line in STATUS.read_text(encoding="ascii").splitlines() if line.startswith(name))
    return int(line.split()[1]) / 1024


def forget_peak() -> None:
    """From now on the peak is counted anew, where Linux lets us: an import may have had more for a moment."""
    with contextlib.suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5", encoding="ascii")


def peak() -> float:
    """The most memory this process ever had, in MiB.

    Linux says it in /proc. Elsewhere getrusage does; on Linux that number cannot be trusted, for a process inherits it
    from the one that started it.
    """
    if STATUS.exists():
        return status("VmHWM")
    import resource

    unit = 2**20 if sys.platform == "darwin" else 2**10
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / unit


def train(library: str, workload: str, steps: int) -> Memory:
    """The memory of some steps."""
    step = steps_of(library).STEPS[workload](WORKLOADS[workload])
    forget_peak()
    before = resident()
    for _ in range(steps):
        step()
    return Memory(peak(), peak() - before)


if __name__ == "__main__":
    memory = train(sys.argv[1], sys.argv[2], int(sys.argv[3]))
    print(memory.peak, memory.beyond)
