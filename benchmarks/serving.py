"""A peer's own process: it takes turns, and is quiet otherwise.

    python -m benchmarks.serving LIBRARY WORKLOAD      reads commands, pickled, and answers

Python 3.9 can read this file too, for Caffe's wheel needs that (`peers/with_caffe.py`).
"""

from __future__ import annotations

import gc
import os
import pickle
import signal
import sys
import time
from collections.abc import Callable
from typing import Any

import numpy as np

LOOK, BUSY, LONGEST = 0.02, 0.2, 1.0  # every 0.02 s: busy if a fifth of it was computed; wait at most a second
CLOCKS: dict[str, Callable[[], float]] = {"wall": time.perf_counter, "cpu": time.process_time}


def results(step: Callable[[], Any], steps: int) -> list[Any]:
    """The numbers by which peers are compared, as arrays."""
    found = [step() for _ in range(steps)]
    return [np.array(found)] if isinstance(found[0], float) else [np.array(array) for array in found[-1]]


def turn(step: Callable[[], Any], steps: int, clock: str) -> float:
    """Seconds a step, over `steps` of them, after one that does not count; "cpu": of processor time.

    A single step is so long that nothing has to be woken first.
    """
    now = CLOCKS[clock]
    if steps > 1:
        step()
    began = now()
    for _ in range(steps):
        step()
    return (now() - began) / steps


def come_to_rest() -> None:
    """Wait until no thread of this process computes."""
    began = time.perf_counter()
    while time.perf_counter() - began < LONGEST:
        before = time.process_time()
        time.sleep(LOOK)
        if time.process_time() - before < BUSY * LOOK:
            return


def serve(make: Callable[[], Callable[[], Any]]) -> None:
    """Make the step, and answer commands until there are no more."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent decides when this ends
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # what a library prints is no answer
    step = make()
    gc.collect()
    do: dict[str, Callable[..., Any]] = {"results": results, "turn": turn}
    while True:
        try:
            name, *arguments = pickle.load(sys.stdin.buffer)
        except EOFError:
            return
        answer = do[name](step, *arguments)
        come_to_rest()
        try:
            pickle.dump(answer, answers)
            answers.flush()
        except BrokenPipeError:  # who asked was killed meanwhile
            os._exit(1)


def main(library: str, workload: str) -> None:
    """Be the peer of a library."""
    from benchmarks.peers import steps_of
    from benchmarks.workloads import WORKLOADS

    serve(lambda: steps_of(library).STEPS[workload](WORKLOADS[workload]))


if __name__ == "__main__":
    main(*sys.argv[1:])
