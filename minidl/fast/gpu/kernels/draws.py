"""Uniform random numbers by one kernel, and dropout by one, without a generator that has to be set up: `draws.cu`.

CuPy's generators keep a state for each thread, which takes longer to make than most masks take to draw. The plain
version of dropout is the op's own lines in `functional/dropout.py`.
"""

from __future__ import annotations

import math
from types import ModuleType
from typing import Any

import numpy as np

from minidl.backend.arrays import module_of
from minidl.fast.gpu.kernels.launch import launch

SOURCE = "draws.cu"


def uniform(shape: tuple[int, ...], xp: ModuleType, seed: int, live: Any = None) -> Any:
    """float32 numbers in [0, 1), the same for the same seed on every device.

    Args:
        xp: numpy, or cupy with kernels.
        seed: a whole number from 0.
        live: a float64 array with one number on the device, the seed when the kernel runs.
    """
    count = math.prod(shape)
    if xp is not np:
        out = xp.empty(shape, dtype=np.float32)
        launch(SOURCE, "uniform", -(-count // 4), out, np.int64(count), np.int64(seed), live)
        return out
    counters = np.zeros((4, -(-count // 4)), np.uint64)
    counters[0] = np.arange(counters.shape[1])
    words = philox(counters, np.array([seed % 2**32, seed >> 32], np.uint64)).T.reshape(-1)[:count]
    return ((words >> np.uint64(8)).astype(np.float32) * np.float32(2**-24)).reshape(shape)


def dropout(x: Any, p: float, seed: int, live: Any = None) -> tuple[Any, Any]:
    """(x scale, scale), where scale is 0 for numbers of `uniform(x.shape, ...)` below p, and 1 / (1 - p) for others."""
    xp = module_of(x)
    z, scale = xp.empty(x.shape, dtype=x.dtype), xp.empty(x.shape, dtype=x.dtype)
    kept = np.float64(x.dtype.type(1 / (1 - p) if p < 1 else 0))
    numbers = np.int64(x.size), np.float64(p), kept, np.int64(seed)
    launch(SOURCE, "dropout", -(-x.size // 4), xp.ascontiguousarray(x), z, scale, *numbers, live)
    return z, scale


def philox(counters: Any, key: Any) -> Any:
    """Philox4x32-10 (its source is in `draws.cu`) of counters (4, n) and a key (2,), 32 bits each in uint64: (4, n)."""
    low, half = np.uint64(2**32 - 1), np.uint64(32)
    a, b, c, d = counters
    k0, k1 = key
    for _ in range(10):
        left, right = np.uint64(0xD2511F53) * a, np.uint64(0xCD9E8D57) * c
        a, b, c, d = right >> half ^ b ^ k0, right & low, left >> half ^ d ^ k1, left & low
        k0, k1 = k0 + np.uint64(0x9E3779B9) & low, k1 + np.uint64(0xBB67AE85) & low
    return np.stack([a, b, c, d])
