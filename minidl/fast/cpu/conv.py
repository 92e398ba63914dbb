"""Convolution on the CPU: columns of a few images at a time, channels last.

What `functional/conv.py` does with the columns of the whole batch, this does for blocks of images whose columns fit the
cache (`threads.py`), in one workspace that a thread uses again and again. Two more things make it fast:

- **Channels last in memory.** Arrays are (N, C, H, W) for everyone who indexes them, but the channels of one pixel lie
  side by side: a window's row is then one run of KW*C numbers to copy, and a product writes its result where it
  belongs. Results have this order in memory; NumPy's elementwise functions and the pooling pass it on, and the next
  convolution finds it.
- **Columns are made again in the backward**, not kept: reading them back from memory would take longer.

A block of columns is a matrix (positions, KH*KW*C) here, the weights are (KH*KW*C, F), so that

    y = columns @ weights        dW = columns^T @ dy        dx = dy @ weights^T, each row added back onto its window

With groups of channels there is one such matrix a group: C and F are then those of a group. Sequences are images one
pixel high.
"""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np

from minidl.fast.cpu.layouts import copy_together, together
from minidl.fast.cpu.sums import add_up
from minidl.fast.cpu.threads import per_block, shared_out, workspace
from minidl.fast.versions import Faster
from minidl.functional import conv
from minidl.functional.conv import for_products
from minidl.functional.geometry import Geometry, Window, check_operands
from minidl.functional.precision import narrowed
from minidl.types import Array, DType, Gradients, Shape

SHORT = 32  # numbers in a run that is not copied at full speed
ENOUGH = 0.8  # of the positions left at the edges, from which on dx is made as a convolution of dy
_CHANNELS_LAST = np.empty((2, 2, 2, 2)).transpose(0, 3, 1, 2)  # an example of the order in memory
_FLOATS = "on the CPU, float dtypes"


class Conv(Faster, conv.Conv):
    """y = columns @ weights + bias, block by block."""

    __slots__ = ()
    where = _FLOATS

    def fits(self, x: Array, weight: Array, bias: Array | None) -> bool:
        return type(x) is np.ndarray and x.dtype.kind == "f"

    def forward(self, x: Array, weight: Array, bias: Array | None) -> Array:
        check_operands(x, weight, bias, self.geometry)
        window, groups = self.geometry.window(x.shape[2:], weight.shape[2:], self.out), self.geometry.groups
        if x.ndim == 3:
            return convolve(_as_images(x), _as_images(weight), bias, _of_images(window), groups)[:, :, 0]
        return convolve(x, weight, bias, window, groups)

    def backward(self, grad_out: Array, x: Array, weight: Array, bias: Array | None) -> Gradients:
        grad_x = input_gradient(grad_out, weight, self.geometry, x.shape) if self.needs(0) else None
        grad_weight = weight_gradient(x, grad_out, self.geometry, weight.shape) if self.needs(1) else None
        grad_bias = add_up(grad_out, (0, *range(2, grad_out.ndim))) if self.needs(2) else None
        return grad_x, grad_weight, grad_bias


class ConvInput(Faster, conv.ConvInput):
    """dx as a convolution of dy where that is possible, else dy @ weights^T added back onto the windows, by blocks."""

    __slots__ = ()
    where = _FLOATS

    def fits(self, grad_out: Array, weight: Array) -> bool:
        return type(grad_out) is np.ndarray and grad_out.dtype.kind == "f"

    def forward(self, grad_out: Array, weight: Array) -> Array:
        return input_gradient(grad_out, weight, self.geometry, self.x_shape)


class ConvWeight(Faster, conv.ConvWeight):
    """dW = columns^T @ dy: each thread adds up those of its images, and the threads' sums are added."""

    __slots__ = ()
    where = _FLOATS

    def fits(self, x: Array, grad_out: Array) -> bool:
        return type(x) is np.ndarray and x.dtype.kind == "f"

    def forward(self, x: Array, grad_out: Array) -> Array:
        return weight_gradient(x, grad_out, self.geometry, self.weight_shape)


def convolve(x: Array, weight: Array, bias: Array | None, window: Window, groups: int) -> Array:
    """y (N, F, OH, OW) of images x (N, C, H, W) and weight (F, C/groups, KH, KW)."""
    matrix = _as_matrix(weight, groups)
    work = Columns(x.shape[1], window, groups, matrix.dtype)
    y = channels_last((len(x), len(weight), *window.out), matrix.dtype)
    shared_out(_conv_images, len(x), work.bytes_an_image, work, x, matrix, bias, y.transpose(0, 2, 3, 1))
    return narrowed(y, x)


def input_gradient(grad_out: Array, weight: Array, geometry: Geometry, x_shape: Shape) -> Array:
    """dx (N, C, *size) of dy and the weight."""
    window = geometry.window(x_shape[2:], weight.shape[2:], grad_out.shape[2:])
    if grad_out.ndim == 3:
        grad_out, weight, window = _as_images(grad_out), _as_images(weight), _of_images(window)
    turned_round = turned_window(window)
    # An infinite weight would meet the zeros of the padding, and make them NaN.
    if turned_round is not None and np.isfinite(weight).all():
        turned = turned_weight(weight, geometry.groups)
        grad_x = convolve(grad_out, turned, None, turned_round, geometry.groups)
    else:
        grad_x = _added_back(grad_out, weight, x_shape[1], window, geometry.groups)
    return grad_x if len(x_shape) == 4 else grad_x[:, :, 0]


def weight_gradient(x: Array, grad_out: Array, geometry: Geometry, weight_shape: Shape) -> Array:
    """dW (F, C/groups, *kernel) of x and dy."""
    window = geometry.window(x.shape[2:], weight_shape[2:], grad_out.shape[2:])
    if x.ndim == 3:
        x, grad_out, window = _as_images(x), _as_images(grad_out), _of_images(window)
    (filters, channels), groups = weight_shape[:2], geometry.groups
    work = Columns(x.shape[1], window, groups, for_products(grad_out[:0]).dtype)
    grad_out = grad_out.transpose(0, 2, 3, 1)
    totals = sum(shared_out(_weigh_images, len(x), work.bytes_an_image, work, x, grad_out))
    grad_weight = totals.reshape((groups, *window.kernel, channels, filters // groups)).transpose(0, 4, 3, 1, 2)
    return narrowed(np.ascontiguousarray(grad_weight).reshape(weight_shape), x)


def _conv_images(start: int, stop: int, work: Columns, x: Array, matrix: Array, bias: Array | None, y: Array) -> None:
    for block, columns in work.of(x, start, stop):
        target = y[block]
        np.matmul(columns, matrix, out=_by_group(target, work.groups))
        if bias is not None:
            target += bias


def turned_window(window: Window) -> Window | None:
    """The window of the convolution of dy, with the weights turned round, that gives dx; None where there is none.

    There is one where the windows moved by one. It takes half the time of adding back, unless many of its positions
    see only the padding, since dy is much smaller than x.
    """
    reach = [d * (k - 1) for d, k in zip(window.dilation, window.kernel, strict=True)]
    padding = tuple([r - p for r, p in zip(reach, window.padding, strict=True)])
    if window.stride != (1, 1) or min(padding) < 0 or math.prod(window.out) < ENOUGH * math.prod(window.size):
        return None
    return Window(window.kernel, window.stride, padding, window.dilation, window.out, window.size)


def _added_back(grad_out: Array, weight: Array, channels: int, window: Window, groups: int) -> Array:
    """dx = dy @ weights^T, each row of it added back onto its window."""
    transposed = _as_matrix(weight, groups).swapaxes(1, 2)
    work = Columns(channels, window, groups, transposed.dtype)
    grad_x = channels_last((len(grad_out), channels, *window.size), transposed.dtype)
    operands = work, grad_out.transpose(0, 2, 3, 1), transposed, grad_x.transpose(0, 2, 3, 1)
    shared_out(_add_back_images, len(grad_x), work.bytes_an_image, *operands)
    return narrowed(grad_x, grad_out)


def _add_back_images(start: int, stop: int, work: Columns, grad_out: Array, transposed: Array, grad_x: Array) -> None:
    space, memory = work.space(stop - start)
    for begin in range(start, stop, len(space)):
        images = slice(begin, min(begin + len(space), stop))
        padded = space[: images.stop - begin]
        padded[...] = 0
        for first in range(0, work.rows, work.band):
            rows = slice(first, min(first + work.band, work.rows))
            dy = together(grad_out[images, rows], transposed.dtype)
            seen = work.windows(padded, rows)
            columns = work.shaped(memory, seen.shape)
            by_place = columns.reshape(seen.shape)
            np.matmul(_by_group(dy, work.groups), transposed, out=_by_group(columns, work.groups))
            for i, j in np.ndindex(*work.window.kernel):  # what weight i, j saw, over all positions: no pixel twice
                seen[..., i, j, :] += by_place[..., i, j, :]
        grad_x[images] = padded[:, *work.inside]


def _weigh_images(start: int, stop: int, work: Columns, x: Array, grad_out: Array) -> Array:
    groups, filters = work.groups, grad_out.shape[3]
    rows = math.prod(work.window.kernel) * work.channels // groups
    total = np.zeros((groups, rows, filters // groups), work.dtype)
    for block, columns in work.of(x, start, stop):
        dy = together(grad_out[block], work.dtype)
        total += columns.swapaxes(1, 2) @ _by_group(dy, groups)
    return total


class Columns:
    """How images with so many channels are cut into blocks of columns, and the workspace for one block.

    A block is as many images as fit (`per_block`), or, of larger images, one with a band of the output's rows.
    `by_weight` says in which order a block is written. A window's row is a run of KW*C numbers: long enough to be
    copied fast, except in the first layer of a network, where it may be five. There the numbers one weight sees along a
    row of the output are the longer run, so the block is written weight by weight, as the transposed matrix.

    Attributes:
        channels, window, groups: of the convolution; `dtype` is the one to compute in.
        padded: height and width of an image with its padding, and `inside`: where in it the image lies.
        rows: of the output; `band` is how many of them a block has.
        bytes_an_image: how much the columns of one image take.
    """

    def __init__(self, channels: int, window: Window, groups: int, dtype: DType) -> None:
        self.channels, self.window, self.groups, self.dtype = channels, window, groups, dtype
        self.padded = window.padded_size()
        (top, left), (height, width) = window.padding, window.size
        self.inside = slice(top, top + height), slice(left, left + width)
        self.rows, positions = window.out
        self.weights = math.prod(window.kernel) * channels
        bytes_a_row = positions * self.weights * dtype.itemsize
        self.bytes_an_image = self.rows * bytes_a_row
        self.band = per_block(bytes_a_row, self.rows)
        self.by_weight = window.kernel[1] * channels // groups < min(SHORT, positions)

    def space(self, images: int) -> tuple[Array, Array]:
        """For blocks of that many images at most: padded images (n, H, W, C), uninitialised, and memory for columns."""
        n = per_block(self.bytes_an_image, images)
        memory = workspace("columns", (n * self.band * self.window.out[1] * self.weights,), self.dtype)
        if self.by_weight:
            padded = workspace("padded", (self.channels, n, *self.padded), self.dtype).transpose(1, 2, 3, 0)
        else:
            padded = workspace("padded", (n, *self.padded, self.channels), self.dtype)
        return padded, memory

    def shaped(self, memory: Array, windows: Shape) -> Array:
        """The columns (images, rows, OW, KH*KW*C) of one block with `windows` of this shape, in the memory for them."""
        positions = windows[:3]
        block = memory[: math.prod(positions) * self.weights]
        if self.by_weight:
            return block.reshape((self.weights, *positions)).transpose(1, 2, 3, 0)
        return block.reshape((*positions, self.weights))

    def of(self, x: Array, start: int, stop: int) -> Iterator[tuple[tuple[slice, slice], Array]]:
        """For each block of images start to stop of x: which images and rows, and their columns, a matrix a group."""
        padded, memory = self.space(stop - start)
        padded[...] = 0
        x = x.transpose(0, 2, 3, 1)
        for begin in range(start, stop, len(padded)):
            images = slice(begin, min(begin + len(padded), stop))
            some = padded[: images.stop - begin]
            copy_together(x[images], some[:, *self.inside])
            for first in range(0, self.rows, self.band):
                rows = slice(first, min(first + self.band, self.rows))
                windows = self.windows(some, rows)
                block = self.shaped(memory, windows.shape)
                np.copyto(block.reshape(windows.shape), windows)
                yield (images, rows), _by_group(block, self.groups)

    def windows(self, padded: Array, rows: slice) -> Array:
        """A view of padded images with axes (N, rows, OW, groups, KH, KW, C/groups): what each position sees."""
        image, row, pixel, channel = padded.strides
        (down, right), (apart_y, apart_x) = self.window.stride, self.window.dilation
        per_group = self.channels // self.groups
        return np.lib.stride_tricks.as_strided(
            padded[:, rows.start * down :],
            (len(padded), rows.stop - rows.start, self.window.out[1], self.groups, *self.window.kernel, per_group),
            (image, row * down, pixel * right, channel * per_group, row * apart_y, pixel * apart_x, channel),
        )


def channels_last(shape: Shape, dtype: DType) -> Array:
    """An uninitialised array (N, C, H, W) that owns its memory, in which the channels of a pixel lie side by side."""
    return np.empty_like(_CHANNELS_LAST, shape=shape, dtype=dtype)


def _by_group(rows: Array, groups: int) -> Array:
    """Rows (..., groups * n) as matrices (groups, positions, n): a view, also to write to."""
    return rows.reshape((math.prod(rows.shape[:-1]), groups, rows.shape[-1] // groups)).swapaxes(0, 1)


def _as_matrix(weight: Array, groups: int) -> Array:
    """weight (F, C/groups, KH, KW) as matrices (groups, KH*KW*C/groups, F/groups)."""
    filters, channels, *kernel = weight.shape
    by_group = for_products(weight).reshape((groups, filters // groups, channels, *kernel))
    return by_group.transpose(0, 3, 4, 2, 1).reshape((groups, math.prod(kernel) * channels, filters // groups))


def turned_weight(weight: Array, groups: int) -> Array:
    """The weight (C, F/groups, KH, KW) with which dy is convolved to give dx: the last row first, C and F exchanged."""
    filters, channels, *kernel = weight.shape
    by_group = weight[:, :, ::-1, ::-1].reshape((groups, filters // groups, channels, *kernel)).swapaxes(1, 2)
    return by_group.reshape((groups * channels, filters // groups, *kernel))


def _as_images(x: Array) -> Array:
    """Sequences (N, C, L) as images (N, C, 1, L)."""
    return x[:, :, None]


def _of_images(window: Window) -> Window:
    """A window on sequences, as one on images that are one pixel high."""
    kernel, stride, padding, dilation = window.kernel, window.stride, window.padding, window.dilation
    size, out = (1, *window.size), (1, *window.out)
    return Window((1, *kernel), (1, *stride), (0, *padding), (1, *dilation), size, out)
