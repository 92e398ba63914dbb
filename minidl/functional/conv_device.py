"""The three products of a convolution on a GPU: columns by one kernel, and products of two matrices.

What `conv_plain.py` does for each image, this does for all images side by side: `columns` is one matrix
(C K, N OH OW), a row for all that one weight sees, so that

    y = W @ columns        dW = dy @ columns^T        dx = add_columns(W^T @ dy)        with y, dy as (F, N OH OW)

are products of two matrices, the only ones CuPy hands to cuBLAS as they lie in memory: for stacks of matrices it first
copies whatever is transposed, and computes float16 in float32. A group of channels is a run of rows.

The columns are made for as many images at a time as `BLOCK` bytes hold, and made again in the backward.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

from minidl.backend import kernels, module_of
from minidl.functional.geometry import Geometry, Sizes

BLOCK = 1 << 30  # bytes of columns


def conv(x: Any, weight: Any, bias: Any, out: Sizes, geometry: Geometry) -> Any:
    """y (N, F, *out) of x (N, C, *sizes), weight (F, C/groups, *kernel) and bias (F,) or None."""
    xp, kernel = module_of(x), weight.shape[2:]
    window = geometry.stride, geometry.padding, geometry.dilation
    y = xp.empty((len(x), len(weight), *out), dtype=x.dtype)
    matrices = _by_group(weight.reshape((len(weight), -1)), geometry)
    for images in _blocks(x, kernel, out):
        cols = kernels.columns(x[images], kernel, out, *window)
        rows = xp.empty((len(weight), cols.shape[1]), dtype=x.dtype)
        for w, c, target in zip(matrices, _by_group(cols, geometry), _by_group(rows, geometry), strict=True):
            xp.matmul(w, c, out=target)
        by_image = rows.reshape((len(weight), -1, *out)).swapaxes(0, 1)
        if bias is None:
            y[images] = by_image
        else:
            xp.add(by_image, bias.reshape((-1, *[1] * len(out))), out=y[images])
    return y


def conv_input(grad_out: Any, weight: Any, x_shape: tuple[int, ...], geometry: Geometry) -> Any:
    """dL/dx, of `x_shape`."""
    xp, kernel, out = module_of(grad_out), weight.shape[2:], grad_out.shape[2:]
    window = geometry.stride, geometry.padding, geometry.dilation
    grad_x = xp.empty(x_shape, dtype=grad_out.dtype)
    matrices = _by_group(weight.reshape((len(weight), -1)), geometry)
    for images in _blocks(grad_x, kernel, out):
        rows = _as_rows(grad_out[images])
        cols = xp.empty((x_shape[1] * math.prod(kernel), rows.shape[1]), dtype=grad_out.dtype)
        for w, r, target in zip(matrices, _by_group(rows, geometry), _by_group(cols, geometry), strict=True):
            xp.matmul(w.T, r, out=target)
        kernels.add_columns(cols, grad_x[images], kernel, out, *window)
    return grad_x


def conv_weight(x: Any, grad_out: Any, weight_shape: tuple[int, ...], geometry: Geometry) -> Any:
    """dL/dw, of `weight_shape`."""
    xp, kernel, out = module_of(x), weight_shape[2:], grad_out.shape[2:]
    window = geometry.stride, geometry.padding, geometry.dilation
    total: Any = None
    for images in _blocks(x, kernel, out):
        cols = kernels.columns(x[images], kernel, out, *window)
        rows = _as_rows(grad_out[images])
        part = xp.empty(weight_shape, dtype=x.dtype)
        targets = _by_group(part.reshape((len(rows), -1)), geometry)
        for r, c, target in zip(_by_group(rows, geometry), _by_group(cols, geometry), targets, strict=True):
            xp.matmul(r, c.T, out=target)
        total = part if total is None else xp.add(total, part, out=total)
    return xp.zeros(weight_shape, dtype=x.dtype) if total is None else total


def _blocks(x: Any, kernel: Sizes, out: Sizes) -> Iterator[slice]:
    """The images of x in blocks whose columns have at most `BLOCK` bytes."""
    bytes_an_image = max(1, x.shape[1] * math.prod(kernel) * math.prod(out) * x.itemsize)
    n = max(1, BLOCK // bytes_an_image)
    for start in range(0, len(x), n):
        yield slice(start, start + n)


def _as_rows(grad_out: Any) -> Any:
    """grad_out (N, F, *out) as a matrix (F, N prod(out))."""
    return grad_out.swapaxes(0, 1).reshape((grad_out.shape[1], -1))


def _by_group(rows: Any, geometry: Geometry) -> list[Any]:
    """The rows of each group of channels or filters: views."""
    n = len(rows) // geometry.groups
    return [rows[i * n : (i + 1) * n] for i in range(geometry.groups)]
