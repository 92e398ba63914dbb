"""From what a convolution gives to the matrix with a row for each filter, and back: `filters.cu`.

The plain versions are `swapaxes(0, 1)` and `reshape`, `sum` over all axes but that of the filters, and `+ bias`.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from minidl.backend.arrays import module_of
from minidl.fast.gpu.kernels.launch import launch_rows

SOURCE = "filters.cu"
ROWS = np.dtype([(name, "i8") for name in ("images", "filters", "positions", "pieces", "length")])  # as in the source
PIECE = 2048  # numbers of a row that a warp copies


def side_by_side(grad: Any, summed: bool) -> tuple[Any, Any]:
    """grad (N, F, *out) as rows (F, N prod(out)); and their sums (F,), if they are to be `summed`, else None."""
    xp, filters, r = module_of(grad), grad.shape[1], _rows(grad.shape)
    rows = xp.empty((filters, int(r["images"] * r["positions"])), dtype=grad.dtype)
    parts = xp.empty((filters, int(r["pieces"])), dtype=np.float64)
    launch_rows(SOURCE, "side_by_side", parts.size, xp.ascontiguousarray(grad), rows, parts, r)
    if not summed:
        return rows, None
    sums = xp.empty((filters,), dtype=grad.dtype)
    launch_rows(SOURCE, "sums_of_rows", filters, sums, parts, r)
    return rows, sums


def by_image(rows: Any, bias: Any, y: Any) -> None:
    """The way back, into y (N, F, *out) in C order; `bias` (F,), if any, is added."""
    xp, r = module_of(rows), _rows(y.shape)
    bias = None if bias is None else xp.ascontiguousarray(bias)
    launch_rows(SOURCE, "by_image", len(rows) * int(r["pieces"]), rows, bias, y, r)


def _rows(shape: tuple[int, ...]) -> Any:
    """The source's `struct Rows` for images of this shape (N, F, *out)."""
    images, filters, *out = shape
    positions = math.prod(out)
    return np.array((images, filters, positions, -(-images * positions // PIECE), PIECE), ROWS)
