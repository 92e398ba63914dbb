"""Normalisation of groups of numbers, in one launch each way, or two where groups are long: `groups.cu`.

The plain versions are `BatchNorm` and `Standardize` of `functional/normalization.py`.
"""

from __future__ import annotations

import math
from functools import lru_cache
from typing import Any

import numpy as np

from minidl.backend.arrays import module_of
from minidl.fast.gpu.kernels.launch import launch_rows

SOURCE = "groups.cu"
GROUPS = np.dtype([(name, "i8") for name in ("outer", "groups", "inner", "pieces", "length")])  # as in the source
PIECE = 2048  # numbers that a warp goes through: few enough to be still in the cache when it does so again
MOST_PIECES = 512  # of a group: each warp reads what all of them gave


def normalize(
    x: Any, axis: tuple[int, ...], eps: float, weight: Any = None, bias: Any = None, running: Any = None
) -> tuple[Any, Any, Any]:
    """y = weight z + bias with z = (x - m) / sqrt(v + eps), and m and 1 / sqrt(v + eps).

    Args:
        x: of a dtype that has kernels.
        axis: over which m and v are mean and variance, counted from the front; the axes left are neighbours.
        weight, bias: one number for each mean, in x's dtype, or None.
        running: None, or (mean, variance, momentum): two such arrays, which are brought up to date in place, and how.

    Returns:
        y as x; m and 1 / sqrt(v + eps) in the dtype that is computed in (float32 for float16), with length 1 on `axis`.
    """
    xp, groups = module_of(x), _groups(x.shape, axis, PIECE, MOST_PIECES)
    x, weight, bias = (None if a is None else xp.ascontiguousarray(a) for a in (x, weight, bias))
    parts, y, wide = _parts(xp, groups), xp.empty(x.shape, dtype=x.dtype), _wide(x)
    mean, scale = (xp.empty(_kept(x.shape, axis), dtype=wide) for _ in range(2))
    running_mean, running_var, momentum = running or (None, None, 0.0)
    places = tuple(None if a is None else xp.ascontiguousarray(a) for a in (running_mean, running_var))
    on_host = module_of(momentum) is np  # as a number is
    known = (None, np.float64(momentum)) if on_host else (xp.asarray(momentum, dtype=np.float64), np.float64(0))
    if parts is not None:
        _run("moments_of_pieces", groups, x, parts, groups)
    _run("normalize", groups, x, weight, bias, parts, y, mean, scale, *places, *known, groups, np.float64(eps))
    for own, place in zip((running_mean, running_var), places, strict=True):
        if own is not None and not own.flags.c_contiguous:  # then the kernel wrote in a copy
            own[...] = place
    return y, mean, scale


def normalize_gradient(
    grad: Any, x: Any, mean: Any, scale: Any, axis: tuple[int, ...], weight: Any = None
) -> tuple[Any, Any, Any]:
    """dL/dx, and dL/dweight and dL/dbias (of one axis), from dL/dy, and what `normalize` was given and gave."""
    xp, groups = module_of(grad), _groups(grad.shape, axis, PIECE, MOST_PIECES)
    grad, x, weight = (None if a is None else xp.ascontiguousarray(a) for a in (grad, x, weight))
    parts, grad_x = _parts(xp, groups), xp.empty(grad.shape, dtype=grad.dtype)
    grad_weight, grad_bias = (xp.empty(mean.size, dtype=grad.dtype) for _ in range(2))
    if parts is not None:
        _run("sums_of_pieces", groups, grad, x, mean, scale, parts, groups)
    _run("normalize_gradient", groups, grad, x, weight, mean, scale, parts, grad_x, grad_weight, grad_bias, groups)
    return grad_x, grad_weight, grad_bias


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


def _kept(shape: tuple[int, ...], axis: tuple[int, ...]) -> tuple[int, ...]:
    return tuple(1 if a in axis else n for a, n in enumerate(shape))


def _wide(x: Any) -> Any:
    """The source's A: what x is computed in."""
    return np.dtype(np.float32) if x.dtype == np.float16 else x.dtype


def _parts(xp: Any, groups: Any) -> Any:
    """Where pieces leave two sums each; None where a group is one piece."""
    pieces = int(groups["pieces"])
    return None if pieces == 1 else xp.empty((int(groups["groups"]), pieces, 2), dtype=np.float64)


def _run(name: str, groups: Any, *args: Any) -> None:
    launch_rows(SOURCE, name, int(groups["groups"] * groups["pieces"]), *args)
