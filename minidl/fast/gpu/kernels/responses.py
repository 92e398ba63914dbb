"""Local response normalisation across channels in one launch each way: `responses.cu`.

The plain version, `LocalResponse` of `functional/response.py`, goes over its large arrays some twenty times.
"""

from __future__ import annotations

import math
from functools import lru_cache
from typing import Any

import numpy as np

from minidl.backend.arrays import module_of
from minidl.fast.gpu.kernels.launch import launch

SOURCE = "responses.cu"
LAYOUT = np.dtype([(name, "i8") for name in ("samples", "channels", "places")])  # as in the source
_RUN = 16  # as in the source


@lru_cache(maxsize=1024)
def _layout(shape: tuple[int, ...]) -> tuple[Any, int]:
    """The source's `struct Layout`, and the number of threads."""
    samples, channels, *sizes = shape
    places = math.prod(sizes)
    return np.array((samples, channels, places), LAYOUT), samples * -(-channels // _RUN) * places


def respond(x: Any, size: int, alpha: float, beta: float, k: float) -> tuple[Any, Any]:
    """(x s^-beta, s) with s = k + alpha mean(x^2) over `size` channels, x (N, C, ...) float32 or float64."""
    xp, (layout, count) = module_of(x), _layout(x.shape)
    x = xp.ascontiguousarray(x)
    y, s = xp.empty_like(x), xp.empty_like(x)
    numbers = np.int64(size), np.float64(alpha), np.float64(beta), np.float64(k)
    launch(SOURCE, "respond", count, x, y, s, layout, *numbers)
    return y, s


def respond_gradient(grad: Any, x: Any, y: Any, s: Any, size: int, alpha: float, beta: float) -> Any:
    """dL/dx from dL/dy, and the y and s that `respond` gave."""
    xp, (layout, count) = module_of(grad), _layout(grad.shape)
    grad, x, y, s = (xp.ascontiguousarray(array) for array in (grad, x, y, s))
    grad_x = xp.empty_like(grad)
    numbers = np.int64(size), np.float64(alpha), np.float64(beta)
    launch(SOURCE, "respond_gradient", count, grad, x, y, s, grad_x, layout, *numbers)
    return grad_x
