"""A peer in a process of its own, which computes when it is its turn and is quiet otherwise.

Why not all in one process: BLAS and OpenMP keep their threads awake for a while after each call, waiting for the next.
OpenBLAS's second thread spins for about 100 ms, PyTorch's for about 10 ms (measured: processor time used while the
program sleeps). On a machine of two cores the next peer shares its cores with the threads of the one before: PyTorch's
steps of W1 and W3 took 1.3 and 1.1 times as long right after NumPy's, in one process, as after a pause of 0.2 s (while
other programs ran too). And what one library allocates and imports is the next one's work for the garbage collector. So
each peer is a process with its threads set from the outside, in variables of the environment, as its users would; and
it answers only when its processor time has come to a stand, so that nobody spins in another's turn. `serving.py` is
that process.
"""

from __future__ import annotations

import contextlib
import pickle
import subprocess
import sys
import tempfile
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from benchmarks.peers import Peer, caffe_python
from benchmarks.prototxt import write_workload
from benchmarks.workloads import WORKLOADS


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
        with contextlib.ExitStack() as stack:  # nothing is left behind by a peer that does not start
            self._folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
            self._process = self._started(workload)
            self._ended = stack.pop_all()

    def _started(self, workload: str) -> subprocess.Popen[bytes]:
        peer, hint = self.peer, ""
        command = [sys.executable, "-m", "benchmarks.serving", peer.library, workload]
        if peer.library == "caffe":
            write_workload(WORKLOADS[workload], self._folder)
            command = [caffe_python(), "-m", "benchmarks.peers.with_caffe", str(self._folder)]
            hint = ": set CAFFE_PYTHON to a Python that has Caffe"
        try:
            return subprocess.Popen(
                command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=peer.environment(), cwd=peer.at
            )
        except OSError as error:
            raise PeerError(f"{peer.title} could not be started ({error.strerror}){hint}") from error

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
        self._ended.close()

    def results(self, steps: int) -> list[Any]:
        """What the peer has after `steps` steps: the loss of each, or the arrays of the last."""
        return self._ask("results", steps)

    def turn(self, steps: int, clock: str = "wall") -> float:
        """Seconds a step, over `steps` of them; if there are several, after one that wakes caches and threads.

        The clock is "wall", or "cpu" for processor time of all threads of the peer's process.
        """
        return self._ask("turn", steps, clock)

    def _ask(self, *command: Any) -> Any:
        try:
            pickle.dump(command, self._process.stdin)
            self._process.stdin.flush()
            return pickle.load(self._process.stdout)
        except (EOFError, BrokenPipeError):
            raise PeerError(f"{self.peer.title} ended in an error; what it says stands above") from None
