"""Columns for convolutions, and pooling, each with a kernel for the GPU and a plain version beside it.

Arrays are (N, C, *sizes) with one to three spatial axes; kernel, stride, padding, dilation and out, the number of
positions, are tuples with a number for each. The plain versions loop over the places in a window, each a slice over
all positions; on a GPU that is a launch (or five) for each place. The kernels are in `windows.cu`.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from functools import lru_cache
from itertools import product
from typing import Any, TypeAlias

import numpy as np

from minidl.backend.arrays import as_strided, module_of, zero_outside
from minidl.backend.kernels.launch import kernels_for, launch

Sizes: TypeAlias = tuple[int, ...]

SOURCE = "windows.cu"
_AXES = ("size", "kernel", "stride", "padding", "dilation", "out")
WINDOWS = np.dtype([("images", "i4"), ("channels", "i4"), *[(name, "i4", 3) for name in _AXES]])  # as in the source


@lru_cache(maxsize=1024)
def _windows(x_shape: Sizes, kernel: Sizes, stride: Sizes, padding: Sizes, dilation: Sizes, out: Sizes) -> Any:
    """How the window lies, as the source's `struct Windows`."""
    axes = (x_shape[2:], kernel, stride, padding, dilation, out)
    missing = 3 - len(kernel)
    full = [(0 if name == "padding" else 1,) * missing + tuple(v) for name, v in zip(_AXES, axes, strict=True)]
    return np.array((*x_shape[:2], *full), WINDOWS)


def _ready(*arrays: Any) -> bool:
    """Whether a kernel takes these; the first is of the input's or the output's shape."""
    return arrays[0].ndim <= 5 and kernels_for(*arrays)


# ---- the columns of a convolution


def columns(x: Any, kernel: Sizes, out: Sizes, stride: Sizes, padding: Sizes, dilation: Sizes) -> Any:
    """What each weight sees: (C prod(kernel), N prod(out)), a row for each weight, the images side by side.

    So the products of a convolution with weights (F, C prod(kernel)) are products of two matrices, and those of a
    group of channels are a run of rows. Row c K + k holds x[n, c, o s + k d - p] for all n and o, and 0 outside.
    """
    xp, (images, channels) = module_of(x), x.shape[:2]
    shape = (channels * math.prod(kernel), images * math.prod(out))
    if not _ready(x):
        return _plain_columns(x, kernel, out, stride, padding, dilation).reshape(shape)
    cols = xp.empty(shape, dtype=x.dtype)
    w = _windows(x.shape, kernel, stride, padding, dilation, out)
    launch(SOURCE, "columns", channels * shape[1], xp.ascontiguousarray(x), cols, w)
    return cols


def _plain_columns(x: Any, kernel: Sizes, out: Sizes, stride: Sizes, padding: Sizes, dilation: Sizes) -> Any:
    """A view with axes (C, *kernel, N, *out)."""
    if any(padding):
        x = module_of(x).pad(x, ((0, 0), (0, 0), *((p, p) for p in padding)), mode="constant")
    image, channel, *steps = x.strides
    within = [s * d for s, d in zip(steps, dilation, strict=True)]
    between = [s * step for s, step in zip(steps, stride, strict=True)]
    shape = (x.shape[1], *kernel, x.shape[0], *out)
    return as_strided(x, shape, (channel, *within, image, *between))


def add_columns(
    cols: Any, x_shape: Sizes, kernel: Sizes, out: Sizes, stride: Sizes, padding: Sizes, dilation: Sizes
) -> Any:
    """The transpose of `columns`: every number added back onto the place it came from; gives `x_shape`."""
    xp = module_of(cols)
    if not (len(x_shape) <= 5 and kernels_for(cols)):
        return _plain_add_columns(cols, x_shape, kernel, out, stride, padding, dilation)
    x = xp.empty(x_shape, dtype=cols.dtype)
    w = _windows(x_shape, kernel, stride, padding, dilation, out)
    launch(SOURCE, "add_columns", x.size, xp.ascontiguousarray(cols), x, w)
    return x


def _plain_add_columns(
    cols: Any, x_shape: Sizes, kernel: Sizes, out: Sizes, stride: Sizes, padding: Sizes, dilation: Sizes
) -> Any:
    images, channels, *sizes = x_shape
    cols = cols.reshape((channels, math.prod(kernel), images, *out)).swapaxes(0, 2)  # (N, K, C, *out)
    padded_sizes = [size + 2 * p for size, p in zip(sizes, padding, strict=True)]
    padded = module_of(cols).zeros((images, channels, *padded_sizes), dtype=cols.dtype)
    for i, place in enumerate(_places(kernel, out, stride, dilation)):
        padded[place] += cols[:, i]
    return padded[:, :, *[slice(p, p + size) for p, size in zip(padding, sizes, strict=True)]]


def _places(kernel: Sizes, out: Sizes, stride: Sizes, dilation: Sizes) -> Iterator[tuple[slice, ...]]:
    """For each place in the window: the slices of the padded input that lie there, over all positions at once."""
    sides = zip(kernel, dilation, out, stride, strict=True)
    along = [[slice(i * d, i * d + (o - 1) * s + 1 if o else 0, s) for i in range(k)] for k, d, o, s in sides]
    return product([slice(None)], [slice(None)], *along)


# ---- max pooling


def max_pool(x: Any, kernel: Sizes, stride: Sizes, padding: Sizes, out: Sizes) -> tuple[Any, Any]:
    """The largest number in each window, and the number of its place in the window: both (N, C, *out).

    The first of equal numbers is chosen; a NaN wins. Windows may reach over the end of the input.
    """
    xp, shape = module_of(x), (*x.shape[:2], *out)
    if not (_ready(x) and math.prod(kernel) < 2**15):
        return _plain_max_pool(x, kernel, stride, padding, out)
    best, chosen = xp.empty(shape, dtype=x.dtype), xp.empty(shape, dtype=np.int16)
    w = _windows(x.shape, kernel, stride, padding, (1,) * len(kernel), out)
    launch(SOURCE, "max_pool", best.size, xp.ascontiguousarray(x), best, chosen, w)
    return best, chosen


def _plain_max_pool(x: Any, kernel: Sizes, stride: Sizes, padding: Sizes, out: Sizes) -> tuple[Any, Any]:
    xp, numbers = module_of(x), np.int16 if math.prod(kernel) < 2**15 else np.int32
    lowest = -np.inf if x.dtype.kind == "f" else np.iinfo(x.dtype).min
    padded = _padded(x, kernel, stride, padding, out, lowest)
    first: Any = 0  # for each position the number of the first place in its window that lies inside the input
    for k, s, p, o in zip(kernel, stride, padding, out, strict=True):
        first = np.add.outer(first * k, np.maximum(p - np.arange(o) * s, 0))
    best, chosen = None, xp.zeros((*x.shape[:2], *out), numbers) + xp.asarray(first, numbers)
    for number, place in enumerate(_places(kernel, out, stride, (1,) * len(kernel))):
        candidate = padded[place]
        if best is None:
            best = candidate.copy()
            continue
        better = (candidate > best) | (candidate != candidate)
        best = xp.maximum(best, candidate)
        chosen = xp.maximum(chosen, better * numbers(number))  # the numbers grow: the newest wins
    return best, chosen


def put_chosen(grad: Any, chosen: Any, x_shape: Sizes, kernel: Sizes, stride: Sizes, padding: Sizes) -> Any:
    """The gradient of `max_pool`: each window's number at the place that was chosen in it, added up; `x_shape`."""
    xp, out = module_of(grad), chosen.shape[2:]
    if not (_ready(grad) and chosen.dtype == np.int16):
        padded = _padded_zeros(x_shape, kernel, stride, padding, out, grad)
        for number, place in enumerate(_places(kernel, out, stride, (1,) * len(kernel))):
            padded[place] += zero_outside(chosen == number, grad)
        return _cropped(padded, x_shape, padding)
    x = xp.empty(x_shape, dtype=grad.dtype)
    w = _windows(x_shape, kernel, stride, padding, (1,) * len(kernel), out)
    launch(SOURCE, "put_chosen", x.size, xp.ascontiguousarray(grad), chosen, x, w)
    return x


def take_chosen(x: Any, chosen: Any, kernel: Sizes, stride: Sizes, padding: Sizes) -> Any:
    """The transpose of `put_chosen`: from each window the number at the chosen place."""
    xp, out = module_of(x), chosen.shape[2:]
    if not (_ready(x) and chosen.dtype == np.int16):
        padded = _padded(x, kernel, stride, padding, out, 0)
        result = xp.zeros(chosen.shape, dtype=x.dtype)
        for number, place in enumerate(_places(kernel, out, stride, (1,) * len(kernel))):
            result += zero_outside(chosen == number, padded[place])
        return result
    result = xp.empty(chosen.shape, dtype=x.dtype)
    w = _windows(x.shape, kernel, stride, padding, (1,) * len(kernel), out)
    launch(SOURCE, "take_chosen", result.size, xp.ascontiguousarray(x), chosen, result, w)
    return result


# ---- average pooling


def mean_pool(x: Any, kernel: Sizes, stride: Sizes, padding: Sizes, out: Sizes, with_padding: bool) -> Any:
    """The mean over each window, cut off at the input (`with_padding`: at its padding, whose zeros then count)."""
    xp = module_of(x)
    if not _ready(x):
        wide = x.astype(np.float32) if x.dtype == np.float16 else x
        padded, total = _padded(wide, kernel, stride, padding, out, 0), 0
        for place in _places(kernel, out, stride, (1,) * len(kernel)):
            total = total + padded[place]
        return (total / _areas(x.shape, kernel, stride, padding, out, with_padding, wide)).astype(x.dtype, copy=False)
    mean = xp.empty((*x.shape[:2], *out), dtype=x.dtype)
    w = _windows(x.shape, kernel, stride, padding, (1,) * len(kernel), out)
    launch(SOURCE, "mean_pool", mean.size, xp.ascontiguousarray(x), mean, w, np.int32(with_padding))
    return mean


def spread_mean(grad: Any, x_shape: Sizes, kernel: Sizes, stride: Sizes, padding: Sizes, with_padding: bool) -> Any:
    """The transpose of `mean_pool`: each window's number, over its area, at all of its places, added up; `x_shape`."""
    xp, out = module_of(grad), grad.shape[2:]
    if not _ready(grad):
        wide = grad.astype(np.float32) if grad.dtype == np.float16 else grad
        share = wide / _areas(x_shape, kernel, stride, padding, out, with_padding, wide)
        padded = _padded_zeros(x_shape, kernel, stride, padding, out, share)
        for place in _places(kernel, out, stride, (1,) * len(kernel)):
            padded[place] += share
        return _cropped(padded, x_shape, padding).astype(grad.dtype, copy=False)
    x = xp.empty(x_shape, dtype=grad.dtype)
    w = _windows(x_shape, kernel, stride, padding, (1,) * len(kernel), out)
    launch(SOURCE, "spread_mean", x.size, xp.ascontiguousarray(grad), x, w, np.int32(with_padding))
    return x


def _areas(
    x_shape: Sizes, kernel: Sizes, stride: Sizes, padding: Sizes, out: Sizes, with_padding: bool, like: Any
) -> Any:
    """How many places of each window count."""
    area: Any = 1
    for size, k, s, p, o in zip(x_shape[2:], kernel, stride, padding, out, strict=True):
        start, margin = np.arange(o) * s - p, p if with_padding else 0
        area = np.multiply.outer(area, np.minimum(start + k, size + margin) - np.maximum(start, -margin))
    return module_of(like).asarray(area, dtype=like.dtype)


# ---- borders of the plain versions


def _reach(x_shape: Sizes, kernel: Sizes, stride: Sizes, padding: Sizes, out: Sizes) -> Sizes:
    """How far the last windows reach along each axis, counted from the start of the padding."""
    sides = zip(x_shape[2:], kernel, stride, padding, out, strict=True)
    return tuple(max((o - 1) * s + k, size + p) for size, k, s, p, o in sides)


def _padded(x: Any, kernel: Sizes, stride: Sizes, padding: Sizes, out: Sizes, value: float) -> Any:
    sides = zip(padding, _reach(x.shape, kernel, stride, padding, out), x.shape[2:], strict=True)
    widths = [(p, reach - p - size) for p, reach, size in sides]
    return module_of(x).pad(x, ((0, 0), (0, 0), *widths), mode="constant", constant_values=value)


def _padded_zeros(x_shape: Sizes, kernel: Sizes, stride: Sizes, padding: Sizes, out: Sizes, like: Any) -> Any:
    sizes = _reach(x_shape, kernel, stride, padding, out)
    return module_of(like).zeros((*x_shape[:2], *sizes), dtype=like.dtype)


def _cropped(padded: Any, x_shape: Sizes, padding: Sizes) -> Any:
    return padded[:, :, *[slice(p, p + size) for p, size in zip(padding, x_shape[2:], strict=True)]]
