"""The three products of a convolution, in the fewest lines: the whole batch's columns, times a matrix.

`columns` writes the window under each output position out as one column of a matrix (im2col). Then every product of a
convolution is one matrix product an image:

    y  = W @ columns(x)        dx = add_columns(W^T @ dy)        dW = sum over images of dy @ columns(x)^T

for any number of spatial axes, on NumPy and on CuPy. This is the version to read. `conv_blocked.py` computes the same
for NumPy without the big matrix, whose K^2 copies of the input are what takes the time here; a test holds them equal.
"""

from __future__ import annotations

import math
from itertools import product
from typing import Any

from minidl.backend import as_strided, module_of
from minidl.functional.geometry import Geometry, Sizes
from minidl.functional.precision import add_up, for_products, narrowed


def conv(x: Any, weight: Any, bias: Any, out: Sizes, geometry: Geometry) -> Any:
    """y (N, F, *out) of x (N, C, *sizes), weight (F, C/groups, *kernel) and bias (F,) or None."""
    kernel, filters, groups = weight.shape[2:], weight.shape[0], geometry.groups
    cols = columns(for_products(x), kernel, out, geometry)
    matrix = for_products(weight).reshape((groups, filters // groups, cols.shape[2]))
    y = (matrix @ cols).reshape((x.shape[0], filters, *out))
    return narrowed(y if bias is None else y + bias.reshape((filters, *[1] * len(out))), x)


def conv_input(grad_out: Any, weight: Any, x_shape: tuple[int, ...], geometry: Geometry) -> Any:
    """dL/dx, of `x_shape`: columns of W^T @ dL/dy, added back onto their windows."""
    images, filters, *out = grad_out.shape
    kernel, groups = weight.shape[2:], geometry.groups
    matrix = for_products(weight).reshape((groups, filters // groups, math.prod(weight.shape[1:])))
    per_group = for_products(grad_out).reshape((images, groups, filters // groups, math.prod(out)))
    cols = matrix.swapaxes(1, 2) @ per_group
    return narrowed(add_columns(cols, x_shape, kernel, tuple(out), geometry), grad_out)


def conv_weight(x: Any, grad_out: Any, weight_shape: tuple[int, ...], geometry: Geometry) -> Any:
    """dL/dw, of `weight_shape`: dL/dy @ columns(x)^T, summed over the images."""
    images, filters, *out = grad_out.shape
    groups = geometry.groups
    cols = columns(for_products(x), weight_shape[2:], tuple(out), geometry)
    per_group = for_products(grad_out).reshape((images, groups, filters // groups, math.prod(out)))
    per_image = per_group @ cols.swapaxes(-1, -2)
    return narrowed(add_up(per_image, (0,)).reshape(weight_shape), x)


def windows(padded: Any, kernel: Sizes, out: Sizes, geometry: Geometry) -> Any:
    """A view of padded (N, C, *sizes) with axes (N, C, *kernel, *out): what each weight sees at each position."""
    images, channels, *strides = padded.strides
    within = [s * d for s, d in zip(strides, geometry.dilation, strict=True)]
    between = [s * step for s, step in zip(strides, geometry.stride, strict=True)]
    return as_strided(padded, (*padded.shape[:2], *kernel, *out), (images, channels, *within, *between))


def columns(x: Any, kernel: Sizes, out: Sizes, geometry: Geometry) -> Any:
    """The windows of x (N, C, *sizes) as matrices (N, groups, C/groups * prod(kernel), prod(out)): a column each."""
    if any(geometry.padding):
        x = module_of(x).pad(x, ((0, 0), (0, 0), *((p, p) for p in geometry.padding)), mode="constant")
    images, channels = x.shape[:2]
    rows = channels // geometry.groups * math.prod(kernel)
    return windows(x, kernel, out, geometry).reshape((images, geometry.groups, rows, math.prod(out)))


def add_columns(cols: Any, x_shape: tuple[int, ...], kernel: Sizes, out: Sizes, geometry: Geometry) -> Any:
    """The transpose of `columns`: add every column back onto the window it came from; gives (N, C, *sizes)."""
    (images, channels, *sizes), padding = x_shape, geometry.padding
    cols = cols.reshape((images, channels, math.prod(kernel), *out))
    padded_sizes = [size + 2 * p for size, p in zip(sizes, padding, strict=True)]
    padded = module_of(cols).zeros((images, channels, *padded_sizes), dtype=cols.dtype)
    for i, place in enumerate(places(kernel, out, geometry)):
        seen = padded[:, :, *place]  # what weight i saw, at all positions at once; no place is named twice in it
        seen += cols[:, :, i]
    return padded[:, :, *[slice(p, p + size) for p, size in zip(padding, sizes, strict=True)]]


def places(kernel: Sizes, out: Sizes, geometry: Geometry) -> Any:
    """For each place in the window: the slices of the padded input that lie there, over all positions at once."""
    sides = zip(kernel, geometry.dilation, out, geometry.stride, strict=True)
    return product(*[[slice(i * d, i * d + o * s, s) for i in range(k)] for k, d, o, s in sides])
