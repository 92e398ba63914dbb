"""Convolution on a GPU: columns by one kernel, and products of two matrices.

What `functional/conv.py` does for each image, this does for all images side by side: `columns` is one matrix
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
from minidl.fast.gpu import kernels
from minidl.fast.gpu.products import product
from minidl.fast.versions import Faster
from minidl.functional import conv
from minidl.functional.geometry import Geometry, Sizes, check_operands
from minidl.types import Array, Gradients, Shape

BLOCK = 1 << 30  # bytes of columns


class Conv(Faster, conv.Conv):
    """y = W @ columns + bias; and all three gradients together, since they need one arrangement of dL/dy."""

    __slots__ = ()
    where = "on a GPU"

    def fits(self, x: Array, weight: Array, bias: Array | None) -> bool:
        return kernels.on_device(x)

    def forward(self, x: Array, weight: Array, bias: Array | None) -> Array:
        check_operands(x, weight, bias, self.geometry)
        xp, kernel, geometry = module_of(x), weight.shape[2:], self.geometry
        out = self.out or geometry.positions(x.shape[2:], kernel)
        y = xp.empty((len(x), len(weight), *out), dtype=x.dtype)
        matrices = _by_group(weight.reshape((len(weight), -1)), geometry)
        for images in _blocks(x, kernel, out):
            cols = kernels.columns(x[images], kernel, out, geometry.stride, geometry.padding, geometry.dilation)
            rows = xp.empty((len(weight), cols.shape[1]), dtype=x.dtype)
            for w, c, target in zip(matrices, _by_group(cols, geometry), _by_group(rows, geometry), strict=True):
                product(w, c, target)
            kernels.by_image(rows, bias, y[images])
        return y

    def backward(self, grad_out: Array, x: Array, weight: Array, bias: Array | None) -> Gradients:
        xp, kernel, out = module_of(grad_out), weight.shape[2:], grad_out.shape[2:]
        wanted = self.needs(0), self.needs(1), self.needs(2)
        grad_x: Any = xp.empty(x.shape, dtype=x.dtype) if wanted[0] else None
        # Of no images both are 0. Else the first block's is taken as it is, without an addition to zeros.
        grad_weight = xp.zeros(weight.shape, dtype=x.dtype) if wanted[1] and len(x) == 0 else None
        grad_bias = xp.zeros(weight.shape[:1], dtype=x.dtype) if wanted[2] and len(x) == 0 else None
        for images in _blocks(x, kernel, out):
            rows, sums = kernels.side_by_side(grad_out[images], wanted[2])
            if wanted[0]:
                _put_back(rows, weight, grad_x[images], out, self.geometry)
            if wanted[1]:
                grad_weight = _added(grad_weight, _weigh(x[images], rows, weight.shape, out, self.geometry))
            if wanted[2]:
                grad_bias = _added(grad_bias, sums)
        return grad_x, grad_weight, grad_bias


class ConvInput(Faster, conv.ConvInput):
    """dx = add_columns(W^T @ dy)."""

    __slots__ = ()
    where = "on a GPU"

    def fits(self, grad_out: Array, weight: Array) -> bool:
        return kernels.on_device(grad_out)

    def forward(self, grad_out: Array, weight: Array) -> Array:
        grad_x, out = module_of(grad_out).empty(self.x_shape, dtype=grad_out.dtype), grad_out.shape[2:]
        for images in _blocks(grad_x, weight.shape[2:], out):
            rows, _ = kernels.side_by_side(grad_out[images], False)
            _put_back(rows, weight, grad_x[images], out, self.geometry)
        return grad_x


class ConvWeight(Faster, conv.ConvWeight):
    """dW = dy @ columns^T."""

    __slots__ = ()
    where = "on a GPU"

    def fits(self, x: Array, grad_out: Array) -> bool:
        return kernels.on_device(x)

    def forward(self, x: Array, grad_out: Array) -> Array:
        total, out = None, grad_out.shape[2:]
        for images in _blocks(x, self.weight_shape[2:], out):
            rows, _ = kernels.side_by_side(grad_out[images], False)
            total = _added(total, _weigh(x[images], rows, self.weight_shape, out, self.geometry))
        return module_of(x).zeros(self.weight_shape, dtype=x.dtype) if total is None else total


def _put_back(rows: Array, weight: Array, grad_x: Array, out: Sizes, geometry: Geometry) -> None:
    """dL/dx of some images, into `grad_x`, from their dL/dy as rows."""
    xp, kernel = module_of(rows), weight.shape[2:]
    matrices = _by_group(weight.reshape((len(weight), -1)), geometry)
    cols = xp.empty((grad_x.shape[1] * math.prod(kernel), rows.shape[1]), dtype=rows.dtype)
    for w, r, target in zip(matrices, _by_group(rows, geometry), _by_group(cols, geometry), strict=True):
        product(w.T, r, target)
    kernels.add_columns(cols, grad_x, kernel, out, geometry.stride, geometry.padding, geometry.dilation)


def _weigh(x: Array, rows: Array, weight_shape: Shape, out: Sizes, geometry: Geometry) -> Array:
    """What some images x add to dL/dw, from their dL/dy as rows."""
    xp = module_of(x)
    cols = kernels.columns(x, weight_shape[2:], out, geometry.stride, geometry.padding, geometry.dilation)
    part = xp.empty(weight_shape, dtype=x.dtype)
    targets = _by_group(part.reshape((len(rows), -1)), geometry)
    for r, c, target in zip(_by_group(rows, geometry), _by_group(cols, geometry), targets, strict=True):
        product(r, c.T, target)
    return part


def _added(total: Array | None, part: Array) -> Array:
    """total + part, in the memory of `total`; the first part itself."""
    return part if total is None else module_of(part).add(total, part, out=total)


def _blocks(x: Array, kernel: Sizes, out: Sizes) -> Iterator[slice]:
    """The images of x in blocks, about equally large, whose columns have at most `BLOCK` bytes."""
    bytes_an_image = max(1, x.shape[1] * math.prod(kernel) * math.prod(out) * x.itemsize)
    count = max(1, -(-len(x) // max(1, BLOCK // bytes_an_image)))
    n = max(1, -(-len(x) // count))
    for start in range(0, len(x), n):
        yield slice(start, start + n)


def _by_group(rows: Array, geometry: Geometry) -> list[Array]:
    """The rows of each group of channels or filters: views."""
    n = len(rows) // geometry.groups
    return [rows[i * n : (i + 1) * n] for i in range(geometry.groups)]
