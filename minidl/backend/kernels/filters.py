"""dL/dy of a convolution as a matrix with a row for each filter, and the rows' sums, dL/db: `filters.cu`.

The plain version is `swapaxes(0, 1).reshape((F, -1))`, and `sum` over all axes but that of the filters.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from minidl.backend.arrays import module_of
from minidl.backend.kernels.launch import launch_rows

SOURCE = "filters.cu"
ROWS = np.dtype([(name, "i8") for name in ("images", "filters", "positions", "pieces", "length")])  # as in the source
PIECE = 2048  # numbers of a row that a warp copies


def side_by_side(grad: Any, summed: bool) -> tuple[Any, Any]:
    """(F, N prod(out)) of grad (N, F, *out); and the sum of each row, (F,), if it is to be `summed`, else None."""
    xp, (images, filters, *out) = module_of(grad), grad.shape
    positions = math.prod(out)
    pieces = -(-images * positions // PIECE)
    r = np.array((images, filters, positions, pieces, PIECE), ROWS)
    rows = xp.empty((filters, images * positions), dtype=grad.dtype)
    parts = xp.empty((filters, pieces), dtype=np.float64)
    launch_rows(SOURCE, "side_by_side", parts.size, xp.ascontiguousarray(grad), rows, parts, r)
    if not summed:
        return rows, None
    sums = xp.empty((filters,), dtype=grad.dtype)
    launch_rows(SOURCE, "sums_of_rows", filters, sums, parts, r)
    return rows, sums
