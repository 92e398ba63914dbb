"""Normalisation of groups of numbers, in one launch each way, or two where groups are long: `groups.cu`.

The plain version is `Standardize` of `functional/normalization.py`.
"""

from __future__ import annotations

import math
from functools import lru_cache
from typing import Any

import numpy as np

from minidl.backend.arrays import module_of
from minidl.backend.kernels.launch import launch_rows

SOURCE = "groups.cu"
GROUPS = np.dtype([(name, "i8") for name in ("outer", "groups", "inner", "pieces", "length")])  # as in the source
PIECE = 2048  # numbers that a warp goes through: few enough to be still in the cache when it does so again
MOST_PIECES = 512  # of a group: each warp reads what all of them gave


def standardize(x: Any, axis: tuple[int, ...], eps: float) -> tuple[Any, Any, Any]:
    """z = (x - m) / sqrt(v + eps), with m and v, the mean and variance over `axis`, which are kept with length 1.

    Args:
        x: float32 or float64.
        axis: counted from the front; the axes left are neighbours.
    """
    xp, groups = module_of(x), _groups(x.shape, axis, PIECE, MOST_PIECES)
    x, parts = xp.ascontiguousarray(x), _parts(xp, groups)
    kept = tuple(1 if a in axis else n for a, n in enumerate(x.shape))
    z, mean, variance = (xp.empty(shape, dtype=x.dtype) for shape in (x.shape, kept, kept))
    if parts is not None:
        _run("moments_of_pieces", groups, x, parts, groups)
    _run("standardize", groups, x, parts, z, mean, variance, groups, np.float64(eps))
    return z, mean, variance


def standardize_gradient(grad: Any, z: Any, variance: Any, axis: tuple[int, ...], eps: float) -> Any:
    """dL/dx from dL/dz, and the z and v that `standardize` gave."""
    xp, groups = module_of(grad), _groups(grad.shape, axis, PIECE, MOST_PIECES)
    grad, z, parts = xp.ascontiguousarray(grad), xp.ascontiguousarray(z), _parts(xp, groups)
    grad_x = xp.empty(grad.shape, dtype=grad.dtype)
    if parts is not None:
        _run("sums_of_pieces", groups, grad, z, parts, groups)
    _run("standardize_gradient", groups, grad, z, parts, variance, grad_x, groups, np.float64(eps))
    return grad_x


@lru_cache(maxsize=1024)
def _groups(shape: tuple[int, ...], axis: tuple[int, ...], piece: int, most_pieces: int) -> Any:
    """The source's `struct Groups`: which numbers belong together, and how many a warp takes."""
    left = [a for a in range(len(shape)) if a not in axis] or [0]
    start, stop = left[0], left[-1] + 1 if len(axis) < len(shape) else 0
    outer, groups, inner = (math.prod(part) for part in (shape[:start], shape[start:stop], shape[stop:]))
    n = outer * inner
    if n == 0:
        outer, inner = 0, 1  # the kernels divide by the latter
    length = max(piece, -(-n // most_pieces))
    return np.array((outer, groups, inner, max(1, -(-n // length)), length), GROUPS)


def _parts(xp: Any, groups: Any) -> Any:
    """Where pieces leave two sums each; None where a group is one piece."""
    pieces = int(groups["pieces"])
    return None if pieces == 1 else xp.empty((int(groups["groups"]), pieces, 2), dtype=np.float64)


def _run(name: str, groups: Any, *args: Any) -> None:
    launch_rows(SOURCE, name, int(groups["groups"] * groups["pieces"]), *args)
