"""Two streams of random numbers from one seed.

The *host* stream gives initial weights and the order of the data: it is always NumPy's, so one seed gives the same
weights on the CPU and on the GPU. The *dropout* stream is separate, so that adding a dropout layer does not change
the weights. On a GPU each dropout mask is drawn there, by Philox, from a seed that the host's dropout stream gives:
what has to be saved to resume a run bit for bit is therefore always two small NumPy states.

Whoever calls `seed` has streams of its own from then on: a thread or an asynchronous task (a context variable holds
them) draws the same numbers whatever others do at the same time. A thread that never called it draws from the streams
of the program, which `seed` starts in the main thread, and shares them with all others that did not.
"""

from __future__ import annotations

import math
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from types import ModuleType
from typing import Any

import numpy as np

from minidl.types import Array, Shape


class _Streams:
    def __init__(self, seed: int | None) -> None:
        host, dropout = np.random.SeedSequence(seed).spawn(2)
        self.host = np.random.Generator(np.random.PCG64(host))
        self.dropout = np.random.Generator(np.random.PCG64(dropout))


_of_program: _Streams | None = None  # made at the first draw: numpy.random takes a while to import
_own: ContextVar[_Streams | None] = ContextVar("minidl_random", default=None)


def _current() -> _Streams:
    global _of_program
    streams = _own.get() or _of_program
    if streams is None:
        streams = _of_program = _Streams(None)
    return streams


def seed(value: int) -> None:
    """Start both streams anew from `value`, a non-negative integer: what follows is then reproducible.

    That holds for the thread or asynchronous task that calls it, whatever others draw at the same time: of several
    trainings in threads each calls `seed` itself. Called in the main thread it also starts the streams from which those
    threads draw that do not. (Layers whose weights are drawn with `generator=`, see `minidl.nn.init`, need no seed.)
    """
    if isinstance(value, bool) or not isinstance(value, (int, np.integer)) or value < 0:
        raise ValueError(f"expected a non-negative integer as the seed; got {value!r}")
    global _of_program
    streams = _Streams(int(value))
    _own.set(streams)
    if _in_main_thread():
        _of_program = streams


def _in_main_thread() -> bool:
    return threading.current_thread() is threading.main_thread()


def generator() -> np.random.Generator:
    """The host stream: initial weights and shuffles are drawn from it."""
    return _current().host


def device_uniform(shape: Shape, xp: ModuleType) -> Array:
    """Uniform float32 numbers in [0, 1) of `shape`, drawn where `xp` (numpy or cupy) keeps its arrays."""
    if xp is np:
        return _current().dropout.random(shape, dtype=np.float32)
    return philox_uniform(shape, xp, device_seed())


def device_seed() -> int:
    """The next seed of the dropout stream, for one array that is drawn on a device."""
    return int(_current().dropout.integers(2**31))


def philox_uniform(shape: Shape, xp: ModuleType, seed: int) -> Array:
    """Uniform float32 numbers in [0, 1), multiples of 2^-24: the same for the same seed in NumPy and on every GPU.

    Number i is made of word i % 4 of what Philox gives for the counter i // 4, with the seed as the key.
    """
    count = math.prod(shape)
    counter = xp.arange(-(-count // 4), dtype=np.uint64)
    zeros = xp.zeros_like(counter)
    words = xp.stack(philox((counter, zeros, zeros, zeros), (seed % 2**32, seed >> 32)), axis=1).reshape(-1)[:count]
    return ((words >> np.uint64(8)).astype(np.float32) * np.float32(2**-24)).reshape(shape)


def philox(counter: Sequence[Array], key: tuple[int, int]) -> tuple[Array, Array, Array, Array]:
    """Philox4x32-10: ten rounds mix four words of a counter with two words of a key into four random words.

    What it gives depends on counter and key alone, so all counters can be mixed at the same time. Salmon, Moraes, Dror
    & Shaw, "Parallel random numbers: as easy as 1, 2, 3", SC 2011.

    Args:
        counter: four arrays, one for each word. A word has 32 bits; all are held in uint64, as are the results.
        key: two words.
    """
    low, half = np.uint64(2**32 - 1), np.uint64(32)
    a, b, c, d = counter
    k0, k1 = key
    for _ in range(10):
        left, right = np.uint64(0xD2511F53) * a, np.uint64(0xCD9E8D57) * c  # products of 64 bits
        a, b, c, d = right >> half ^ b ^ np.uint64(k0), right & low, left >> half ^ d ^ np.uint64(k1), left & low
        k0, k1 = (k0 + 0x9E3779B9) % 2**32, (k1 + 0xBB67AE85) % 2**32
    return a, b, c, d


def random_state() -> dict[str, Any]:
    """Both streams' states, as plain dicts of numbers (for a checkpoint)."""
    return {"host": _current().host.bit_generator.state, "dropout": _current().dropout.bit_generator.state}


def restore_random_state(state: dict[str, Any]) -> None:
    """Continue both streams where `random_state` found them.

    A thread without streams of its own gets them, as by `seed`: it would turn back those of all others.
    """
    streams = _current()
    if _own.get() is None and not _in_main_thread():
        streams = _Streams(None)
        _own.set(streams)
    _set_state(streams, state)


@contextmanager
def random_apart() -> Iterator[None]:
    """What is drawn inside the block comes from copies of both streams: afterwards they are as they were."""
    copies = _Streams(0)
    _set_state(copies, random_state())
    before = _own.set(copies)
    try:
        yield
    finally:
        _own.reset(before)


def _set_state(streams: _Streams, state: dict[str, Any]) -> None:
    streams.host.bit_generator.state = state["host"]
    streams.dropout.bit_generator.state = state["dropout"]
