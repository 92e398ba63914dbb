"""Two streams of random numbers from one seed.

The *host* stream gives initial weights and the order of the data: it is always NumPy's, so one seed gives the same
weights on the CPU and on the GPU. The *dropout* stream is separate, so that adding a dropout layer does not change
the weights. On a GPU each dropout mask is drawn there, from a seed that the host's dropout stream gives: what has
to be saved to resume a run bit for bit is therefore always two small NumPy states.
"""

from __future__ import annotations

from types import ModuleType
from typing import Any

import numpy as np

from minidl.fast.gpu import kernels
from minidl.fast.graph import capture as graphs


class _Streams:
    def __init__(self, seed: int | None) -> None:
        host, dropout = np.random.SeedSequence(seed).spawn(2)
        self.host = np.random.Generator(np.random.PCG64(host))
        self.dropout = np.random.Generator(np.random.PCG64(dropout))


_streams: _Streams | None = None  # made at the first draw: numpy.random takes a while to import


def _current() -> _Streams:
    global _streams
    if _streams is None:
        _streams = _Streams(None)
    return _streams


def seed(value: int) -> None:
    """Start both streams anew from `value`, a non-negative integer: what follows is then reproducible."""
    if isinstance(value, bool) or not isinstance(value, (int, np.integer)) or value < 0:
        raise ValueError(f"expected a non-negative integer as the seed; got {value!r}")
    global _streams
    _streams = _Streams(int(value))


def generator() -> np.random.Generator:
    """The host stream: initial weights and shuffles are drawn from it."""
    return _current().host


def device_uniform(shape: tuple[int, ...], xp: ModuleType) -> Any:
    """Uniform float32 numbers in [0, 1) of `shape`, drawn where `xp` (numpy or cupy) keeps its arrays."""
    if xp is np:
        return _current().dropout.random(shape, dtype=np.float32)
    if hasattr(xp, "RawModule"):
        return kernels.uniform(shape, xp, *device_seed())
    return xp.random.Generator(xp.random.Philox4x3210(_next_seed())).random(shape, dtype=np.float32)


def device_seed() -> tuple[int, Any]:
    """For a kernel that draws: a seed, and where on the device it lies if this is recorded (`graphs.py`), else None."""
    value = _next_seed()
    return value, graphs.place_of_seed(value, _next_seed)


def _next_seed() -> int:
    return int(_current().dropout.integers(2**31))


def random_state() -> dict[str, Any]:
    """Both streams' states, as plain dicts of numbers (for a checkpoint)."""
    return {"host": _current().host.bit_generator.state, "dropout": _current().dropout.bit_generator.state}


def restore_random_state(state: dict[str, Any]) -> None:
    """Continue both streams where `random_state` found them."""
    _current().host.bit_generator.state = state["host"]
    _current().dropout.bit_generator.state = state["dropout"]
