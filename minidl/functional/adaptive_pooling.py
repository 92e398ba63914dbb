"""Pooling into a given number of windows, whatever the input's size: adaptive and global pooling.

>>> import numpy as np, minidl.functional as F
>>> F.adaptive_avg_pool1d(np.arange(5.0).reshape(1, 1, 5), 3)  # windows of places 0-1, 1-3 and 3-4
array([[[0.5, 2. , 3.5]]])
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from minidl.errors import ShapeError, describe
from minidl.functional.geometry import Sizes, per_axis, spatial_lengths
from minidl.functional.indexing import getitem
from minidl.functional.pooling import avg_pool1d, avg_pool2d, max_pool1d, max_pool2d
from minidl.functional.reduction import mean
from minidl.functional.shape import concatenate


def bins(output_size: Any, sizes: Sizes, name: str) -> Sizes:
    """How many windows along each axis: `output_size` (called `name`), with the axis' own length for None."""
    if output_size is None:
        return sizes
    if isinstance(output_size, (tuple, list)) and len(output_size) == len(sizes):
        output_size = tuple(sizes[i] if wanted is None else wanted for i, wanted in enumerate(output_size))
    return per_axis(output_size, len(sizes), name, 1)


def _adaptive(pool: Callable[..., Any], n: int, x: Any, output_size: Any) -> Any:
    """`pool` over a given number of windows: of L places, number i of o sees floor(i L / o) to ceil((i + 1) L / o).

    These windows differ in length and overlap unless o divides L. A maximum or mean over a rectangle can be taken
    one axis after the other; the last axis first, so that of equal maxima the first in reading order is chosen.
    """
    sizes = spatial_lengths(x, n)
    counts = bins(output_size, sizes, "output_size")
    if 0 in sizes:
        raise ShapeError(f"pooling: expected at least one number along each spatial axis; got {x.shape}")
    if pool in (avg_pool1d, avg_pool2d) and math.prod(counts) == 1:
        return mean(x, axis=tuple(range(2, x.ndim)), keepdims=True)  # not place by place: there may be many
    if not any(size % count for size, count in zip(sizes, counts, strict=True)):
        return pool(x, tuple(size // count for size, count in zip(sizes, counts, strict=True)))
    for axis in reversed(range(n)):
        size, count, parts = sizes[axis], counts[axis], []
        for i in range(count):
            start, end = i * size // count, -(-(i + 1) * size // count)
            window = getitem(x, (slice(None),) * (2 + axis) + (slice(start, end),))
            parts.append(pool(window, tuple(end - start if a == axis else 1 for a in range(n))))
        x = concatenate(parts, axis=2 + axis)
    return x


def adaptive_avg_pool1d(x: Any, output_size: Any) -> Any:
    """The means of `output_size` windows that cover x (N, C, L): as `adaptive_avg_pool2d`."""
    return _adaptive(avg_pool1d, 1, x, output_size)


def adaptive_avg_pool2d(x: Any, output_size: Any) -> Any:
    """The means of OH * OW windows that cover x (N, C, H, W) evenly, whatever its size.

    Where OH divides H and OW divides W they are plain average pooling with windows of H/OH * W/OW. Otherwise row i
    of the windows reaches from floor(i H / OH) to ceil((i + 1) H / OH), so that neighbours overlap.

    Args:
        output_size: OH and OW, or one number for both; None keeps the length of x.

    Returns:
        (N, C, OH, OW).

    Raises:
        ShapeError: x has another number of axes, or output_size is not of whole numbers of at least 1.
    """
    return _adaptive(avg_pool2d, 2, x, output_size)


def adaptive_max_pool1d(x: Any, output_size: Any) -> Any:
    """The maxima of `output_size` windows that cover x (N, C, L): as `adaptive_max_pool2d`."""
    return _adaptive(max_pool1d, 1, x, output_size)


def adaptive_max_pool2d(x: Any, output_size: Any) -> Any:
    """The maxima of OH * OW windows that cover x (N, C, H, W) evenly: the windows of `adaptive_avg_pool2d`."""
    return _adaptive(max_pool2d, 2, x, output_size)


def global_avg_pool(x: Any) -> Any:
    """The mean over all places: (N, C, L) or (N, C, H, W) becomes (N, C)."""
    if getattr(x, "ndim", 0) < 3:
        raise ShapeError(f"global_avg_pool: expected x (N, C, L) or (N, C, H, W); got {describe(x)}")
    return mean(x, axis=tuple(range(2, x.ndim)))
