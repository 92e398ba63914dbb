"""A peer in a process of its own, which computes when it is its turn and is quiet otherwise.

Why not all in one process: BLAS and OpenMP keep their threads awake for a while after each call, waiting for the next.
OpenBLAS's second thread spins for about 100 ms, PyTorch's for about 10 ms (measured: processor time used while the
program sleeps). On a machine of two cores the next peer shares its cores with the threads of the one before: PyTorch's
steps of W1 and W3 took 1.3 and 1.1 times as long right after NumPy's, in one process, as after a pause of 0.2 s (while
other programs ran too). And what one library allocates and imports is the next one's work for the garbage collector. So
each peer is a process with its threads set from the outside, in variables of the environment, as its users would; and
it answers only when its processor time has come to a stand, so that nobody spins in another's turn.

    python -m benchmarks.turns LIBRARY WORKLOAD        is that process: it reads commands, pickled, and answers
"""

from __future__ import annotations

import contextlib
import gc
import os
import pickle
import signal
import subprocess
import sys
import time
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np

from benchmarks.peers import Peer, Step, steps_of
from benchmarks.workloads import WORKLOADS

ROOT = Path(__file__).parents[1]
LOOK, BUSY, LONGEST = 0.02, 0.2, 1.0  # every 0.02 s: busy if a fifth of it was computed; wait at most a second


class PeerError(Exception):
    """A peer's process ended in an error."""


class Contestant:
    """The parent's end of a peer's process.

    with Contestant(peer, "W1") as contestant:
        losses = contestant.results(5)
        seconds = contestant.turn(40)
    """

    def __init__(self, peer: Peer, workload: str) -> None:
        self.peer = peer
        self._process = subprocess.Popen(
            [sys.executable, "-m", "benchmarks.turns", peer.library, workload],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=peer.environment(), cwd=ROOT,
        )  # fmt: skip

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        with contextlib.suppress(BrokenPipeError):
            self._process.stdin.close()
        if kind is not None:
            self._process.kill()
        self._process.wait()
        self._process.stdout.close()

    def results(self, steps: int) -> list[Any]:
        """What the peer has after `steps` steps: the loss of each, or the arrays of the last."""
        return self._ask("results", steps)

    def turn(self, steps: int) -> float:
        """Seconds a step, over `steps` of them, after one that does not count and wakes caches and threads."""
        return self._ask("turn", steps)

    def _ask(self, *command: Any) -> Any:
        try:
            pickle.dump(command, self._process.stdin)
            self._process.stdin.flush()
            return pickle.load(self._process.stdout)
        except (EOFError, BrokenPipeError):
            raise PeerError(f"{self.peer.title} ended in an error; what it says stands above") from None


def results(step: Step, steps: int) -> list[Any]:
    """The numbers by which peers are compared, as arrays."""
    found = [step() for _ in range(steps)]
    return [np.array(found)] if isinstance(found[0], float) else [np.array(array) for array in found[-1]]


def turn(step: Step, steps: int) -> float:
    """Seconds a step."""
    step()
    began = time.perf_counter()
    for _ in range(steps):
        step()
    return (time.perf_counter() - began) / steps


def come_to_rest() -> None:
    """Wait until no thread of this process computes."""
    began = time.perf_counter()
    while time.perf_counter() - began < LONGEST:
        before = time.process_time()
        time.sleep(LOOK)
        if time.process_time() - before < BUSY * LOOK:
            return


def serve(library: str, workload: str) -> None:
    """Be a peer: answer commands until there are no more."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent decides when this ends
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # what a library prints is no answer
    step = steps_of(library).STEPS[workload](WORKLOADS[workload])
    gc.collect()
    do = {"results": results, "turn": turn}
    while True:
        try:
            name, *arguments = pickle.load(sys.stdin.buffer)
        except EOFError:
            return
        answer = do[name](step, *arguments)
        come_to_rest()
        pickle.dump(answer, answers)
        answers.flush()


if __name__ == "__main__":
    serve(*sys.argv[1:])
