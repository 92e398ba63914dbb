"""Uniform random numbers by one kernel, and dropout by one: `draws.cu`.

The kernels draw the numbers of `philox_uniform` in `backend/random.py`, which is their plain version. Dropout's is in
`functional/regularization.py`.
"""

from __future__ import annotations

import math
from types import ModuleType

import numpy as np

from minidl.backend.arrays import module_of
from minidl.fast.gpu.kernels.launch import launch
from minidl.types import Array, Shape

SOURCE = "draws.cu"


def uniform(shape: Shape, xp: ModuleType, seed: int, live: Array | None = None) -> Array:
    """float32 numbers in [0, 1): those of `philox_uniform`.

    Args:
        xp: cupy.
        seed: a whole number from 0.
        live: a float64 array with one number on the device, the seed when the kernel runs.
    """
    count = math.prod(shape)
    out = xp.empty(shape, dtype=np.float32)
    launch(SOURCE, "uniform", -(-count // 4), out, np.int64(count), np.int64(seed), live)
    return out


def dropout(x: Array, p: float, seed: int, live: Array | None = None) -> tuple[Array, Array]:
    """(x scale, scale), where scale is 0 for numbers of `uniform(x.shape, ...)` below p, and 1 / (1 - p) for others."""
    xp = module_of(x)
    z, scale = xp.empty(x.shape, dtype=x.dtype), xp.empty(x.shape, dtype=x.dtype)
    kept = np.float64(x.dtype.type(1 / (1 - p) if p < 1 else 0))
    numbers = np.int64(x.size), np.float64(p), kept, np.int64(seed)
    launch(SOURCE, "dropout", -(-x.size // 4), xp.ascontiguousarray(x), z, scale, *numbers, live)
    return z, scale
