"""Work on the GPU that is captured once and done again with one call: CUDA graphs.

A training step of a small network is some hundred launches, and asking for each takes the host longer than the GPU
takes to do it. A stream can capture what it is given instead of doing it, and launch it later as a whole, a *replay*.

Only the launches are captured, with the very addresses they were given:

* Python does not run in a replay. What it computed while capturing (a rate, a number of steps, a branch) stays.
* Arrays that are made while capturing get memory from a pool of the capture's own, so that nobody else is given what a
  replay will write to. CuPy's pool gives back freed memory in the order of the stream, which the replay keeps.
* Nobody can wait for the device, since nothing is done yet, nor copy from or to the host: a replay would copy what lies
  there by then. CUDA and CuPy refuse both, which ends the capture. (A single number that is made an array,
  `md.tensor(0.5)`, is an exception: it is captured with its value.)
* Random numbers would be the same in every replay if they came from a generator. They are drawn from seeds
  (`backend/random.py`), which the kernels read from the device: each launch of the graph gets new ones, drawn on the
  host as they would be without a capture, so that dropout drops the same.
* Products of matrices are captured in their own way (`cublas.py`).

What CuPy makes when it is first used, such as modules with kernels, has to be there before: the same work has to be
done at least once without capturing.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from minidl.backend import choice, further_pools
from minidl.fast.gpu import capturing, kernels
from minidl.fast.graph.cublas import Cublas

MOST_DRAWS = 20  # times kernels.NUMBERS


class Draws:
    """The seeds of the random numbers that a capture draws, and where the device finds them."""

    def __init__(self, live: Any) -> None:
        self.live = live  # (rows, NUMBERS) on the device
        self.seeds: list[int] = []  # for the next launch; at first those of the capture itself
        self.draw: Callable[[], int] | None = None

    def put(self) -> None:
        """Send the seeds to the device; the next ones are drawn when they are needed."""
        if self.draw is None:
            return
        table = np.zeros(self.live.shape)
        table.reshape(-1)[: len(self.seeds)] = self.seeds
        kernels.put_numbers(self.live, table)

    def renew(self) -> None:
        """Draw as many again."""
        if self.draw is not None:
            self.seeds = [self.draw() for _ in self.seeds]


class Graph:
    """What was captured; `launch` does it, in the current stream."""

    def __init__(self, graph: Any, draws: Draws, pool: Any, *kept: Any) -> None:
        self._graph = graph
        self._draws = draws
        self._pool = pool
        self._kept = kept  # what a replay works with lives as long as there may be one
        self._launched = False
        further_pools.add(self)

    def used_bytes(self) -> int:
        """Bytes of the arrays that were made while it was captured and that it still needs, or somebody has."""
        return int(self._pool.used_bytes())

    def launch(self) -> None:
        """Ask for all of it; does not wait."""
        if self._launched:
            self._draws.renew()
        self._draws.put()
        self._launched = True
        self._graph.launch()


def captured(work: Callable[[], Any]) -> tuple[Graph, Any]:
    """(what `work` asks of the GPU, as a Graph, and what it returns). Nothing is done yet: the arrays hold no results.

    The arrays that it makes come from a pool of its own, so the default one is asked first for what it does not use.

    Raises:
        Whatever `work` raises; of CUDA or CuPy if it waits for the device, or copies to or from it.
        DeviceError: cuBLAS cannot be found.
    """
    cupy = choice.module("cupy")
    memory: list[Any] = []

    def allocate(size: int) -> Any:
        """What the pool asks for when it has nothing left. Kept: where memory is short CuPy gives back what is free in
        the pool, and free there is also what the captured launches will write to.
        """
        memory.append(cupy.cuda.MemoryPointer(cupy.cuda.Memory(size), 0))
        return memory[-1]

    stream, pool = cupy.cuda.Stream(non_blocking=True), cupy.cuda.MemoryPool(allocate)
    live, counter = cupy.zeros((MOST_DRAWS, kernels.NUMBERS), dtype=np.float64), cupy.zeros(1, dtype=np.int32)
    cupy.get_default_memory_pool().free_all_blocks()
    draws, products = Draws(live), Cublas(stream)
    captured = capturing.Captured(draws, products, counter)
    token = capturing.current.set(captured)
    try:
        with cupy.cuda.using_allocator(pool.malloc), stream:
            stream.begin_capture()
            try:
                result = work()
            except BaseException:
                _abandon(stream)
                raise
            graph = stream.end_capture()
    finally:
        capturing.current.reset(token)
        products.finish()
    return Graph(graph, draws, pool, captured, stream, memory), result


def _abandon(stream: Any) -> None:
    """End a capture that failed; CUDA then says once more that it did."""
    try:
        stream.end_capture()
    except Exception:
        return
