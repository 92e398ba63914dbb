"""The three products of a convolution on a GPU: columns by one kernel, and products of two matrices.

What `conv_plain.py` does for each image, this does for all images side by side: `columns` is one matrix
(C K, N OH OW), a row for all that one weight sees, so that

    y = W @ columns        dW = dy @ columns^T        dx = add_columns(W^T @ dy)        with y, dy as (F, N OH OW)

are products of two matrices, the only ones CuPy hands to cuBLAS as they lie in memory: for stacks of matrices it first
copies whatever is transposed, and computes float16 in float32. A group of channels is a run of rows.

The columns are made for as many images at a time as `BLOCK` bytes hold, and made again in the backward: kept, those of
AlexNet's five convolutions would take 4.5 GB for 256 images, eleven times their inputs.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

from minidl.backend import module_of
from minidl.fast.cpu.threads import product
from minidl.fast.gpu import kernels
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
            product(w, c, target)
        kernels.by_image(rows, bias, y[images])
    return y


def gradients(grad_out: Any, x: Any, weight: Any, geometry: Geometry, wanted: list[bool]) -> tuple[Any, Any, Any]:
    """dL/dx, dL/dw and dL/db, those that are wanted: together, because all need dL/dy as rows."""
    xp, kernel, out = module_of(x), weight.shape[2:], grad_out.shape[2:]
    grad_x: Any = xp.empty(x.shape, dtype=x.dtype) if wanted[0] else None
    # Of no images both are 0. Else the first block's is taken as it is, without an addition to zeros.
    grad_weight = xp.zeros(weight.shape, dtype=x.dtype) if wanted[1] and len(x) == 0 else None
    grad_bias = xp.zeros(weight.shape[:1], dtype=x.dtype) if wanted[2] and len(x) == 0 else None
    for images in _blocks(x, kernel, out):
        rows, sums = kernels.side_by_side(grad_out[images], wanted[2])
        if wanted[0]:
            _put_back(rows, weight, grad_x[images], out, geometry)
        if wanted[1]:
            grad_weight = _added(grad_weight, _weigh(x[images], rows, weight.shape, out, geometry))
        if wanted[2]:
            grad_bias = _added(grad_bias, sums)
    return grad_x, grad_weight, grad_bias


def conv_input(grad_out: Any, weight: Any, x_shape: tuple[int, ...], geometry: Geometry) -> Any:
    """dL/dx, of `x_shape`."""
    grad_x, out = module_of(grad_out).empty(x_shape, dtype=grad_out.dtype), grad_out.shape[2:]
    for images in _blocks(grad_x, weight.shape[2:], out):
        rows, _ = kernels.side_by_side(grad_out[images], False)
        _put_back(rows, weight, grad_x[images], out, geometry)
    return grad_x


def conv_weight(x: Any, grad_out: Any, weight_shape: tuple[int, ...], geometry: Geometry) -> Any:
    """dL/dw, of `weight_shape`."""
    total: Any = None
    for images in _blocks(x, weight_shape[2:], grad_out.shape[2:]):
        rows, _ = kernels.side_by_side(grad_out[images], False)
        total = _added(total, _weigh(x[images], rows, weight_shape, grad_out.shape[2:], geometry))
    return module_of(x).zeros(weight_shape, dtype=x.dtype) if total is None else total


def _put_back(rows: Any, weight: Any, grad_x: Any, out: Sizes, geometry: Geometry) -> None:
    """dL/dx of some images, into `grad_x`, from their dL/dy as rows."""
    xp, kernel = module_of(rows), weight.shape[2:]
    matrices = _by_group(weight.reshape((len(weight), -1)), geometry)
    cols = xp.empty((grad_x.shape[1] * math.prod(kernel), rows.shape[1]), dtype=rows.dtype)
    for w, r, target in zip(matrices, _by_group(rows, geometry), _by_group(cols, geometry), strict=True):
        product(w.T, r, target)
    kernels.add_columns(cols, grad_x, kernel, out, geometry.stride, geometry.padding, geometry.dilation)


def _weigh(x: Any, rows: Any, weight_shape: tuple[int, ...], out: Sizes, geometry: Geometry) -> Any:
    """What some images x add to dL/dw, from their dL/dy as rows."""
    xp = module_of(x)
    cols = kernels.columns(x, weight_shape[2:], out, geometry.stride, geometry.padding, geometry.dilation)
    part = xp.empty(weight_shape, dtype=x.dtype)
    targets = _by_group(part.reshape((len(rows), -1)), geometry)
    for r, c, target in zip(_by_group(rows, geometry), _by_group(cols, geometry), targets, strict=True):
        product(r, c.T, target)
    return part


def _added(total: Any, part: Any) -> Any:
    """total + part, in the memory of `total`; the first part itself."""
    return part if total is None else module_of(part).add(total, part, out=total)


def _blocks(x: Any, kernel: Sizes, out: Sizes) -> Iterator[slice]:
    """The images of x in blocks, about equally large, whose columns have at most `BLOCK` bytes."""
    bytes_an_image = max(1, x.shape[1] * math.prod(kernel) * math.prod(out) * x.itemsize)
    count = max(1, -(-len(x) // max(1, BLOCK // bytes_an_image)))
    n = max(1, -(-len(x) // count))
    for start in range(0, len(x), n):
        yield slice(start, start + n)


def _by_group(rows: Any, geometry: Geometry) -> list[Any]:
    """The rows of each group of channels or filters: views."""
    n = len(rows) // geometry.groups
    return [rows[i * n : (i + 1) * n] for i in range(geometry.groups)]
