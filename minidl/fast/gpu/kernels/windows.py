"""The columns of a convolution, and pooling: `windows.cu`.

Arrays are (N, C, *sizes) with one to three spatial axes; kernel, stride, padding, dilation and out, the number of
positions, are tuples with a number for each. The plain ops, in `functional/conv.py` and `functional/pooling.py`, loop
over the places in a window, each a slice over all positions; on a GPU that is a launch (or five) for each place.
"""

from __future__ import annotations

import math
from functools import lru_cache
from typing import Any, TypeAlias

import numpy as np

from minidl.backend.arrays import module_of
from minidl.errors import ShapeError
from minidl.fast.gpu.kernels.launch import FLOATS, THREADS, check_device, kernel

Sizes: TypeAlias = tuple[int, ...]

SOURCE = "windows.cu"
MOST_PLACES = 2**15 - 1  # in a window of max pooling: each has a number, an int16
BLOCKS = 1 << 13  # enough to keep a GPU busy; of more, each thread would have less to do once it has found its place
FEW = 4  # images, or channels, at a time: as in the source
WARP = 32
_AXES = ("size", "kernel", "stride", "padding", "dilation", "out", "windows_apart", "numbers_apart")
WINDOWS = np.dtype([("images", "i4"), ("channels", "i4"), *[(name, "i4", 3) for name in _AXES]])  # as in the source


@lru_cache(maxsize=1024)
def _windows(x_shape: Sizes, kernel: Sizes, stride: Sizes, padding: Sizes, dilation: Sizes | None, out: Sizes) -> Any:
    """How the window lies, as the source's `struct Windows`."""
    reach = [n + 2 * p for n, p in zip(x_shape[2:], padding, strict=True)]
    if max(math.prod(reach), math.prod(out)) >= 2**31:
        raise ShapeError(f"expected fewer than 2^31 numbers in a channel; got {x_shape[2:]} and windows {out}")
    # Of steps that lead out of the input at once it does not matter how far.
    stride = tuple(map(min, stride, reach))
    dilation = tuple(map(min, dilation or (1,) * len(kernel), reach))
    common = [math.gcd(s, d) for s, d in zip(stride, dilation, strict=True)]
    steps = [tuple(n // g for n, g in zip(numbers, common, strict=True)) for numbers in (dilation, stride)]
    axes, missing = (x_shape[2:], kernel, stride, padding, dilation, out, *steps), 3 - len(kernel)
    full = [(0 if name == "padding" else 1,) * missing + tuple(v) for name, v in zip(_AXES, axes, strict=True)]
    return np.array((*x_shape[:2], *full), WINDOWS)


def _run(name: str, places: int, times: int, *args: Any) -> None:
    """Run a kernel with a thread for each place; or several, which share out what is to be done there so many times."""
    if places and times:
        threads = min(THREADS, -(-places // WARP) * WARP)
        blocks = -(-places // threads)
        grid = blocks, min(-(-times // FEW), max(1, BLOCKS // blocks))
        check_device(args[0])
        kernel(module_of(args[0]), SOURCE, name, FLOATS[args[0].dtype.char])(grid, (threads,), args)


def _pool(name: str, x: Any, result: Any, *more: Any) -> Any:
    """`result`, which the kernel `name` makes of x: the same at each place of an image, for all images."""
    _run(name, math.prod(result.shape[1:]), len(result), module_of(x).ascontiguousarray(x), *more)
    return result


def columns(x: Any, kernel: Sizes, out: Sizes, stride: Sizes, padding: Sizes, dilation: Sizes) -> Any:
    """What each weight sees: (C prod(kernel), N prod(out)), a row for each weight, the images side by side.

    So the products of a convolution with weights (F, C prod(kernel)) are products of two matrices, and those of a
    group of channels are a run of rows. Row c K + k holds x[n, c, o s + k d - p] for all n and o, and 0 outside.
    """
    xp, (images, channels) = module_of(x), x.shape[:2]
    positions = images * math.prod(out)
    cols = xp.empty((channels * math.prod(kernel), positions), dtype=x.dtype)
    w = _windows(x.shape, kernel, stride, padding, dilation, out)
    _run("columns", positions, channels, xp.ascontiguousarray(x), cols, w)
    return cols


def add_columns(cols: Any, x: Any, kernel: Sizes, out: Sizes, stride: Sizes, padding: Sizes, dilation: Sizes) -> None:
    """The transpose of `columns`: every number added back onto the place it came from, written to x (C order)."""
    w = _windows(x.shape, kernel, stride, padding, dilation, out)
    places = len(x) * math.prod(x.shape[2:])
    _run("add_columns", places, x.shape[1], module_of(x).ascontiguousarray(cols), x, w)


def max_pool(x: Any, kernel: Sizes, stride: Sizes, padding: Sizes, out: Sizes) -> tuple[Any, Any]:
    """The largest number in each window, and the number of its place in the window: both (N, C, *out).

    The first of equal numbers is chosen; a NaN wins. Windows may reach over the end of the input, and have at most
    `MOST_PLACES`.
    """
    xp, shape = module_of(x), (*x.shape[:2], *out)
    best, chosen = xp.empty(shape, dtype=x.dtype), xp.empty(shape, dtype=np.int16)
    _pool("max_pool", x, best, best, chosen, _windows(x.shape, kernel, stride, padding, None, out))
    return best, chosen


def put_chosen(grad: Any, chosen: Any, x_shape: Sizes, kernel: Sizes, stride: Sizes, padding: Sizes) -> Any:
    """The gradient of `max_pool`: each window's number at the place that was chosen in it, added up; `x_shape`."""
    x = module_of(grad).empty(x_shape, dtype=grad.dtype)
    w = _windows(x_shape, kernel, stride, padding, None, chosen.shape[2:])
    return _pool("put_chosen", grad, x, chosen, x, w)


def take_chosen(x: Any, chosen: Any, kernel: Sizes, stride: Sizes, padding: Sizes) -> Any:
    """The transpose of `put_chosen`: from each window the number at the chosen place."""
    taken = module_of(x).empty(chosen.shape, dtype=x.dtype)
    w = _windows(x.shape, kernel, stride, padding, None, chosen.shape[2:])
    return _pool("take_chosen", x, taken, chosen, taken, w)


def mean_pool(x: Any, kernel: Sizes, stride: Sizes, padding: Sizes, out: Sizes, with_padding: bool) -> Any:
    """The mean over each window, cut off at the input (`with_padding`: at its padding, whose zeros then count)."""
    mean = module_of(x).empty((*x.shape[:2], *out), dtype=x.dtype)
    w = _windows(x.shape, kernel, stride, padding, None, out)
    return _pool("mean_pool", x, mean, mean, w, np.int32(with_padding))


def spread_mean(grad: Any, x_shape: Sizes, kernel: Sizes, stride: Sizes, padding: Sizes, with_padding: bool) -> Any:
    """The transpose of `mean_pool`: each window's number, over its area, at all of its places, added up; `x_shape`."""
    x = module_of(grad).empty(x_shape, dtype=grad.dtype)
    w = _windows(x_shape, kernel, stride, padding, None, grad.shape[2:])
    return _pool("spread_mean", grad, x, x, w, np.int32(with_padding))
