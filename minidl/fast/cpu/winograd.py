"""Convolution on the CPU by Winograd's algorithm: fewer products of numbers, for windows of 3x3 and 5x5.

The output is cut into tiles of 4x4. The input X of a tile, 6x6 for a 3x3 window and 8x8 for one of 5x5, and the weight
W are transformed; there the convolution is one product for each place; and what comes out is transformed back:

    Y = A^T [(G W G^T) * (B^T X B)] A        dW = G^T [(B^T X B) * (A dY A^T)] G

where * multiplies place by place, and the brackets add up over the channels (those of dW over the tiles). For 3x3 these
are 36 products of matrices, (tiles, C) @ (C, F), where `conv.py` has 16 outputs of 9 products each: a quarter. dX is a
convolution of dY. `docs/winograd.md` derives A, B and G, and says how exact this is.

It goes over blocks of images with channels last, as `conv.py` does. Tiles are transformed by two products with a small
matrix: along the height, where the rows of overlapping tiles are a view of the image; then, cut into tiles, along the
width. Each is a pass over a block in the cache.

One number that is infinite, or too large to be transformed, makes NaN of all outputs of its tile. So a result that is
not finite is computed once more, by `conv.py`.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from functools import cache
from typing import NamedTuple

import numpy as np

from minidl.fast.cpu import conv as blocked
from minidl.fast.cpu.layouts import copy_together
from minidl.fast.cpu.sums import add_up
from minidl.fast.cpu.threads import blocks, per_block, shared_out, workspace
from minidl.functional.geometry import Geometry, Window, check_operands
from minidl.types import Array, Gradients, Shape

TILE = 4  # outputs of a tile, along each axis
POINTS = {3: (0, 0.75, -0.75, 1.5, -1.5), 5: (0, 1, -1, 1.75, -1.75, 0.625, -0.625)}  # for each length of a window
RUN = {3: 256, 5: 32}  # products that are added one after the other: rounding errors count more in a transformed sum
RUNS = 16  # sums of them that are

# Where it is faster. Fewer channels, or filters, cost more to transform than they save; they count as far as the
# outputs of the tiles are needed, which those beyond the edge are not.
CHANNELS = {3: 52, 5: 24}
TILES = 128  # in all images; with fewer the transform of the weight costs more
LARGEST = 16 << 20  # bytes of a transformed weight, which is read for each block
_WHERE = f"on the CPU, float32, stride 1, 3x3 of {CHANNELS[3]} channels and filters or more, 5x5 of {CHANNELS[5]}"


class WinogradConv(blocked.Conv):
    """y by transformed tiles, block by block."""

    __slots__ = ()
    where = _WHERE

    def fits(self, x: Array, weight: Array, bias: Array | None) -> bool:
        if type(weight) is not np.ndarray or not _may_fit(self.geometry, x, weight.shape):
            return False
        return _is_worth(weight.shape, len(x), self.out or _positions(self.geometry, x.shape[2:], weight.shape[2:]))

    def forward(self, x: Array, weight: Array, bias: Array | None) -> Array:
        check_operands(x, weight, bias, self.geometry)
        y = convolve(x, weight, bias, self.geometry.window(x.shape[2:], weight.shape[2:], self.out))
        return super().forward(x, weight, bias) if y is None else y

    def backward(self, grad_out: Array, x: Array, weight: Array, bias: Array | None) -> Gradients:
        grad_x = _grad_input(grad_out, weight, self.geometry, x.shape) if self.needs(0) else None
        grad_weight = _grad_weight(x, grad_out, self.geometry, weight.shape) if self.needs(1) else None
        grad_bias = add_up(grad_out, (0, 2, 3)) if self.needs(2) else None
        return grad_x, grad_weight, grad_bias


class WinogradConvInput(blocked.ConvInput):
    """dx as a convolution of dy with the weight turned round."""

    __slots__ = ()
    where = _WHERE

    def fits(self, grad_out: Array, weight: Array) -> bool:
        return _input_fits(self.geometry, grad_out, weight.shape, self.x_shape)

    def forward(self, grad_out: Array, weight: Array) -> Array:
        return _grad_input(grad_out, weight, self.geometry, self.x_shape)


class WinogradConvWeight(blocked.ConvWeight):
    """dW by transformed tiles: each thread adds up those of its images, and the threads' sums are added."""

    __slots__ = ()
    where = _WHERE

    def fits(self, x: Array, grad_out: Array) -> bool:
        return _weight_fits(self.geometry, x, self.weight_shape, grad_out.shape)

    def forward(self, x: Array, grad_out: Array) -> Array:
        return _grad_weight(x, grad_out, self.geometry, self.weight_shape)


def _may_fit(geometry: Geometry, x: Array, weight_shape: Shape) -> bool:
    """Whether array, window and numbers of channels do; x may also be dL/dy."""
    return (
        type(x) is np.ndarray
        and x.dtype == np.float32
        and len(weight_shape) == 4
        and weight_shape[2] == weight_shape[3]
        and weight_shape[2] in POINTS
        and min(weight_shape[:2]) >= CHANNELS[weight_shape[2]]
        and geometry == Geometry((1, 1), geometry.padding, (1, 1), 1)
        and x.ndim == 4
    )


def _is_worth(weight_shape: Shape, images: int, out: Shape) -> bool:
    """Whether an output of these lengths has enough tiles and enough channels, and the weight is not too large."""
    filters, channels, kernel, _ = weight_shape
    tiles = math.prod(_tiles(out))
    needed = math.prod(out) / max(1, TILE**2 * tiles)
    return (
        images * tiles >= TILES
        and needed * min(filters, channels) >= CHANNELS[kernel]
        and 4 * (TILE + kernel - 1) ** 2 * filters * channels <= LARGEST
    )


def _positions(geometry: Geometry, size: Shape, kernel: Shape) -> Shape:
    """As many as fit; fewer than one where the window is larger than the input, which the op has an error for."""
    return tuple([length + 2 * p - k + 1 for length, p, k in zip(size, geometry.padding, kernel, strict=True)])


def _input_fits(geometry: Geometry, grad_out: Array, weight_shape: Shape, x_shape: Shape) -> bool:
    if not (_may_fit(geometry, grad_out, weight_shape) and _is_worth(weight_shape, x_shape[0], x_shape[2:])):
        return False
    window = geometry.window(x_shape[2:], weight_shape[2:], grad_out.shape[2:])
    return blocked.turned_window(window) is not None


def _weight_fits(geometry: Geometry, x: Array, weight_shape: Shape, y_shape: Shape) -> bool:
    return _may_fit(geometry, x, weight_shape) and _is_worth(weight_shape, y_shape[0], y_shape[2:])


def _grad_input(grad_out: Array, weight: Array, geometry: Geometry, x_shape: Shape) -> Array:
    """dx (N, C, H, W) of dy and the weight."""
    if _input_fits(geometry, grad_out, weight.shape, x_shape):
        window = blocked.turned_window(geometry.window(x_shape[2:], weight.shape[2:], grad_out.shape[2:]))
        assert window is not None  # it fits
        grad_x = convolve(grad_out, blocked.turned_weight(weight, 1), None, window)
        if grad_x is not None:
            return grad_x
    return blocked.input_gradient(grad_out, weight, geometry, x_shape)


def _grad_weight(x: Array, grad_out: Array, geometry: Geometry, weight_shape: Shape) -> Array:
    """dW (F, C, KH, KW) of x and dy."""
    if _weight_fits(geometry, x, weight_shape, grad_out.shape):
        grad_weight = weigh(x, grad_out, geometry.window(x.shape[2:], weight_shape[2:], grad_out.shape[2:]))
        if np.isfinite(grad_weight).all():
            return grad_weight
    return blocked.weight_gradient(x, grad_out, geometry, weight_shape)


class Transforms(NamedTuple):
    """The matrices of windows of one length: `inputs` B^T, `weights` G (in float64) and `outputs` A."""

    inputs: Array
    weights: Array
    outputs: Array


@cache
def transforms(kernel: int) -> Transforms:
    """B^T (a, a), G (a, kernel) and A (a, TILE) for a = TILE + kernel - 1 places: the points, and infinity."""
    places = TILE + kernel - 1
    inputs = np.linalg.inv(_powers(kernel, places)).T
    leading = [*[places - 2] * (places - 1), places - 1]  # where they are 1, B^T has few digits, and is exact
    scale = inputs[np.arange(places), leading]
    inputs, weights = inputs / scale[:, None], _powers(kernel, kernel) * scale[:, None]
    return Transforms(inputs.astype(np.float32), weights, _powers(kernel, TILE).astype(np.float32))


def _powers(kernel: int, count: int) -> Array:
    """A row 1, p, p^2, ... of `count` numbers for each point; and of infinity, the last of them alone."""
    return np.vstack([np.vander(POINTS[kernel], count, increasing=True), np.eye(count)[-1]])


def _transformed_weight(weight: Array) -> Array:
    """G W G^T of weight (F, C, K, K): (a * a, C, F), the places along the width first."""
    filters, channels, kernel, _ = weight.shape
    transformed = _along_both(transforms(kernel).weights, weight.transpose(3, 2, 1, 0).reshape((kernel**2, -1)))
    return transformed.reshape((-1, channels, filters))


def _along_both(matrix: Array, weights: Array) -> Array:
    """M W M^T of weights (width * height, n), computed in float64, whose rounding is not seen: float32 (a * a, n)."""
    both = np.kron(matrix, matrix)
    result = np.empty((len(both), weights.shape[1]), np.float32)
    for block in blocks(0, weights.shape[1], 8 * sum(both.shape)):
        result[:, block] = both @ weights[:, block]
    return result


def _tiles(out: Shape) -> tuple[int, int]:
    """How many tiles there are down and along an output of these lengths."""
    height, width = out
    return -(-height // TILE), -(-width // TILE)


def convolve(x: Array, weight: Array, bias: Array | None, window: Window) -> Array | None:
    """y (N, F, OH, OW) of images x (N, C, H, W) and weight (F, C, K, K); None if not all of it is finite."""
    work = Tiles(x.shape[1], len(weight), window)
    y = blocked.channels_last((len(x), len(weight), *window.out), x.dtype)
    operands = work, x.transpose(0, 2, 3, 1), _transformed_weight(weight), bias, y.transpose(0, 2, 3, 1)
    finite = shared_out(_conv_images, len(x), work.bytes_an_image, *operands)
    return y if all(finite) else None


def _conv_images(start: int, stop: int, work: Tiles, x: Array, weight: Array, bias: Array | None, y: Array) -> bool:
    back = work.matrices.outputs.T
    size = 0.0
    for images, rows in work.blocks(start, stop):
        seen = work.inputs(x, images, rows, "first", "second")
        tiles = seen.shape[2:5]
        seen = seen.reshape((work.places**2, -1, work.channels))
        products = work.space("second", (*seen.shape[:2], work.filters))
        for run in work.runs(work.channels):
            if run.start == 0:
                np.matmul(seen[:, :, run], weight[:, run], out=products)
            else:
                products += np.matmul(seen[:, :, run], weight[:, run], out=work.space("third", products.shape))
        along = work.space("first", (TILE, work.places, products[0].size))
        np.matmul(back, products.reshape((work.places, -1)), out=along.reshape((TILE, -1)))
        outputs = work.space("second", (TILE, TILE, products[0].size))
        np.matmul(back, along, out=outputs)
        size += float(np.vdot(outputs, outputs))
        target = y[images, rows.start * TILE : rows.stop * TILE]
        outputs = outputs.reshape((TILE, TILE, *tiles, work.filters))
        for i, j in np.ndindex(TILE, TILE):
            places = target[:, i::TILE, j::TILE]
            found = outputs[j, i, :, : places.shape[1], : places.shape[2]]
            if bias is None:
                places[...] = found
            else:
                np.add(found, bias, out=places)
    return math.isfinite(size)


def weigh(x: Array, grad_out: Array, window: Window) -> Array:
    """dW (F, C, K, K) of images x (N, C, H, W) and dy (N, F, OH, OW)."""
    work, kernel = Tiles(x.shape[1], grad_out.shape[1], window), window.kernel[0]
    operands = work, x.transpose(0, 2, 3, 1), grad_out.transpose(0, 2, 3, 1)
    total = sum(shared_out(_weigh_images, len(x), work.bytes_an_image, *operands))
    found = _along_both(work.matrices.weights.T, total.reshape((work.places**2, -1)))
    return np.ascontiguousarray(found.reshape((kernel, kernel, work.channels, work.filters)).transpose(3, 2, 1, 0))


def _weigh_images(start: int, stop: int, work: Tiles, x: Array, grad_out: Array) -> Array:
    shape = work.places**2, work.channels, work.filters
    total, recent, count = np.zeros(shape, np.float32), np.zeros(shape, np.float32), 0
    for images, rows in work.blocks(start, stop):
        seen = work.inputs(x, images, rows, "first", "second").reshape((work.places**2, -1, work.channels))
        gradients = work.gradients(grad_out, images, rows, "third", "second").reshape((*seen.shape[:2], work.filters))
        for run in work.runs(seen.shape[1]):
            columns = seen[:, run].swapaxes(1, 2)
            recent += np.matmul(columns, gradients[:, run], out=work.space("second", shape))
            count += 1
            if count % RUNS == 0:
                total += recent
                recent[...] = 0
    return total + recent


class Tiles:
    """How images are cut into blocks of tiles, and the transforms of a block.

    A block is as many images as fit (`per_block`) or, of larger images, one with a band of rows of tiles.

    Attributes:
        channels, filters, window: of the convolution.
        matrices: A, B and G; `places` is how long a transformed tile is.
        down, along: how many tiles the output of an image has.
        bytes_an_image: how much its transformed tiles take.
    """

    def __init__(self, channels: int, filters: int, window: Window) -> None:
        self.channels, self.filters, self.window = channels, filters, window
        self.matrices = transforms(window.kernel[0])
        self.places = len(self.matrices.inputs)
        self.down, self.along = _tiles(window.out)
        self.bytes_a_row = 4 * self.along * self.places**2 * max(channels, filters)
        self.bytes_an_image = self.down * self.bytes_a_row

    def blocks(self, start: int, stop: int) -> Iterator[tuple[slice, slice]]:
        """The images and the rows of tiles of each block."""
        count = per_block(2 * self.bytes_an_image, stop - start)  # what a step reads, and what it writes
        band = per_block(2 * self.bytes_a_row, self.down)
        for begin in range(start, stop, count):
            for first in range(0, self.down, band):
                yield slice(begin, min(begin + count, stop)), slice(first, min(first + band, self.down))

    def runs(self, count: int) -> Iterator[slice]:
        """Slices of range(count), over which products are added up one after the other."""
        length = RUN[self.window.kernel[0]]
        for first in range(0, count, length):
            yield slice(first, min(first + length, count))

    def space(self, name: str, shape: Shape) -> Array:
        """Memory of this thread's for an array of this shape."""
        return workspace(f"tiles_{name}", shape, np.float32)

    def inputs(self, x: Array, images: slice, rows: slice, name: str, other: str) -> Array:
        """B^T X B of the inputs X of tiles of x (N, H, W, C)."""
        (top, left), reach = self.window.padding, self.places - TILE
        padded = self.part(x, images, rows.start * TILE - top, rows.stop * TILE + reach - top, left, reach)
        return self.transformed(self.matrices.inputs, padded, name, other)

    def gradients(self, grad_out: Array, images: slice, rows: slice, name: str, other: str) -> Array:
        """A dY A^T of the tiles dY of dy (N, OH, OW, F)."""
        padded = self.part(grad_out, images, rows.start * TILE, rows.stop * TILE, 0, 0)
        return self.transformed(self.matrices.outputs, padded, name, other)

    def part(self, x: Array, images: slice, first: int, last: int, left: int, reach: int) -> Array:
        """Rows first to last of images x (N, H, W, C), as wide as the tiles and `reach`, with zeros around x."""
        _, height, width, channels = x.shape
        wide = self.along * TILE + reach
        padded = self.space("padded", (images.stop - images.start, last - first, wide, channels))
        padded[...] = 0
        above, right = max(first, 0), min(width, wide - left)
        below = max(above, min(last, height))  # none of x, where all rows are padding
        inside = padded[:, above - first : below - first, left : left + right]
        copy_together(x[images, above:below, :right], inside)
        return padded

    def transformed(self, matrix: Array, padded: Array, name: str, other: str) -> Array:
        """M X M^T of the tiles X of `padded` (n, H, W, C): (a, a, n, down, along, C), along the width first."""
        (places, length), (n, high, wide, channels) = matrix.shape, padded.shape
        down = (high - length) // TILE + 1
        image, row, _, number = padded.strides
        views = np.lib.stride_tricks.as_strided(
            padded, (n, down, length, wide * channels), (image, TILE * row, row, number)
        )
        by_row = self.space(name, (places, n, down, wide, channels))
        np.matmul(matrix, views, out=by_row.reshape((places, n, down, -1)).transpose(1, 2, 0, 3))
        tiles = self.space(other, (length, places, n, down, self.along, channels))
        for j in range(length):
            tiles[j] = by_row[..., j : j + TILE * (self.along - 1) + 1 : TILE, :]
        result = self.space(name, (places, *tiles.shape[1:]))
        np.matmul(matrix, tiles.reshape((length, -1)), out=result.reshape((places, -1)))
        return result
