"""The three products of a convolution on the CPU: columns of a few images at a time, channels last.

What `conv_plain.py` does in one matrix product for the whole batch, this does for blocks of images whose columns fit
the cache (`backend/parallel.py`), in one workspace that a thread uses again and again. Two more things make it fast:

- **Channels last in memory.** Arrays are (N, C, H, W) for everyone who indexes them, but the channels of one pixel lie
  side by side: a window's row is then one run of KW*C numbers to copy, and a product writes its result where it
  belongs. Results have this order in memory; NumPy's elementwise functions and the pooling pass it on, and the next
  convolution finds it.
- **Columns are made again in the backward**, not kept: reading them back from memory would take longer.

A block of columns is a matrix (positions, KH*KW*C) here, the weights are (KH*KW*C, F), so that

    y = columns @ weights        dW = columns^T @ dy        dx = dy @ weights^T, each row added back onto its window

With groups of channels there is one such matrix a group: C and F are then those of a group.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np

from minidl.backend import as_strided
from minidl.fast.cpu.threads import blocks, per_block, shared_out, workspace
from minidl.functional.geometry import Geometry, Sizes
from minidl.functional.precision import for_products, narrowed

SHORT = 32  # numbers in a run that is not copied at full speed
_CHANNELS_LAST = np.empty((2, 2, 2, 2)).transpose(0, 3, 1, 2)  # an example of the order in memory


def conv(x: Any, weight: Any, bias: Any, out: Sizes, geometry: Geometry) -> Any:
    """y (N, F, *out) of x (N, C, *sizes), weight (F, C/groups, *kernel) and bias (F,) or None."""
    if len(out) == 1:
        return conv(_as_images(x), _as_images(weight), bias, (1, *out), _of_images(geometry))[:, :, 0]
    matrix = _as_matrix(weight, geometry.groups)
    work = Columns(x.shape[1:], weight.shape[2:], out, geometry, matrix.dtype)
    y = channels_last((len(x), len(weight), *out), matrix.dtype)
    shared_out(_conv_images, len(x), work.bytes_an_image, work, x, matrix, bias, pixels(y))
    return narrowed(y, x)


def _conv_images(start: int, stop: int, work: Columns, x: Any, matrix: Any, bias: Any, y: Any) -> None:
    for block, columns in work.of(x, start, stop):
        target = y[block]
        np.matmul(columns, matrix, out=_by_group(target, work.geometry.groups))
        if bias is not None:
            target += bias


def conv_input(grad_out: Any, weight: Any, x_shape: tuple[int, ...], geometry: Geometry) -> Any:
    """dL/dx, of `x_shape`.

    Where the windows moved by one, and hardly any positions got lost at the edges, dx is itself a convolution: of dy
    with the weights turned round. That is twice as fast as adding rows back onto windows, which is the general way.
    """
    if len(x_shape) == 3:
        shape = (*x_shape[:2], 1, x_shape[2])
        return conv_input(_as_images(grad_out), _as_images(weight), shape, _of_images(geometry))[:, :, 0]
    out, kernel, sizes = grad_out.shape[2:], weight.shape[2:], x_shape[2:]
    reach = geometry.reach(kernel)
    margin = tuple([r - 1 - p for r, p in zip(reach, geometry.padding, strict=True)])
    reached = tuple([o + 2 * m - r + 1 for o, m, r in zip(out, margin, reach, strict=True)])
    few_lost = math.prod(out) >= 0.8 * math.prod(sizes)
    # An infinite weight would meet the zeros of the margin, and make them NaN.
    if set(geometry.stride) == {1} and min(margin) >= 0 and reached == sizes and few_lost and np.isfinite(weight).all():
        turned_round = replace(geometry, padding=margin)
        return conv(grad_out, _turned_round(weight, geometry.groups), None, sizes, turned_round)
    return _add_back(grad_out, weight, x_shape, geometry)


def _add_back(grad_out: Any, weight: Any, x_shape: tuple[int, ...], geometry: Geometry) -> Any:
    """dx = dy @ weights^T, each row of it added back onto its window."""
    transposed = _as_matrix(weight, geometry.groups).swapaxes(1, 2)
    work = Columns(x_shape[1:], weight.shape[2:], grad_out.shape[2:], geometry, transposed.dtype)
    dx = channels_last(x_shape, transposed.dtype)
    shared_out(_add_back_images, len(dx), work.bytes_an_image, work, pixels(grad_out), transposed, pixels(dx))
    return narrowed(dx, grad_out)


def _add_back_images(start: int, stop: int, work: Columns, grad_out: Any, transposed: Any, dx: Any) -> None:
    groups = work.geometry.groups
    space, memory = work.space(stop - start)
    for images in blocks(start, stop, work.bytes_an_image):
        padded = space[: images.stop - images.start]
        padded[...] = 0
        for rows in work.bands():
            dy = np.ascontiguousarray(grad_out[images, rows], dtype=transposed.dtype)
            columns = work.shaped(memory, len(dy), dy.shape[1])
            np.matmul(_by_group(dy, groups), transposed, out=_by_group(columns, groups))
            seen = work.windows(padded, rows)
            by_place = columns.reshape(seen.shape)
            for i, j in np.ndindex(*work.kernel):  # what weight i, j saw, over all positions: no pixel twice
                seen[..., i, j, :] += by_place[..., i, j, :]
        dx[images] = padded[:, *work.inside]


def conv_weight(x: Any, grad_out: Any, weight_shape: tuple[int, ...], geometry: Geometry) -> Any:
    """dL/dw, of `weight_shape`: each thread adds up its images' columns^T @ dy, and the threads' sums are added."""
    if len(weight_shape) == 3:
        shape = (*weight_shape[:2], 1, weight_shape[2])
        return conv_weight(_as_images(x), _as_images(grad_out), shape, _of_images(geometry))[:, :, 0]
    filters, channels, *kernel = weight_shape
    groups, dtype = geometry.groups, for_products(grad_out[:0]).dtype
    work = Columns(x.shape[1:], tuple(kernel), grad_out.shape[2:], geometry, dtype)
    totals = sum(shared_out(_weigh_images, len(x), work.bytes_an_image, work, x, pixels(grad_out)))
    dw = totals.reshape((groups, *kernel, channels, filters // groups)).transpose(0, 4, 3, 1, 2)
    return narrowed(np.ascontiguousarray(dw).reshape(weight_shape), x)


def _weigh_images(start: int, stop: int, work: Columns, x: Any, grad_out: Any) -> Any:
    groups, filters = work.geometry.groups, grad_out.shape[3]
    total = np.zeros((groups, math.prod(work.kernel) * work.channels // groups, filters // groups), work.dtype)
    for block, columns in work.of(x, start, stop):
        dy = np.ascontiguousarray(grad_out[block], dtype=work.dtype)
        total += columns.swapaxes(1, 2) @ _by_group(dy, groups)
    return total


class Columns:
    """How x, with these channels and sizes, is cut into blocks of columns, and the workspace for one block.

    A block is as many images as fit (`backend.per_block`), or, of larger images, one with a band of the output's rows.
    `by_weight` says in which order a block is written. A window's row is a run of KW*C numbers: long enough to be
    copied fast, except in the first layer of a network, where it may be five. There the numbers one weight sees along a
    row of the output are the longer run, so the block is written weight by weight, as the transposed matrix.

    Attributes:
        channels, kernel, out, geometry: of the convolution; `dtype` is the one to compute in.
        padded: height and width of an image with its padding, and `inside`: where in it the image lies.
        bytes_a_row, bytes_an_image: how much the columns of one row of the output take, and those of an image.
        band: how many rows of the output a block has.
    """

    def __init__(self, x_shape: tuple[int, ...], kernel: Sizes, out: Sizes, geometry: Geometry, dtype: Any) -> None:
        self.channels, *sizes = x_shape
        self.kernel, self.out, self.geometry, self.dtype = kernel, out, geometry, np.dtype(dtype)
        self.inside = tuple([slice(p, p + size) for p, size in zip(geometry.padding, sizes, strict=True)])
        self.padded = tuple([size + 2 * p for size, p in zip(sizes, geometry.padding, strict=True)])
        self.bytes_a_row = out[1] * math.prod(kernel) * self.channels * self.dtype.itemsize
        self.bytes_an_image = out[0] * self.bytes_a_row
        self.band = per_block(self.bytes_a_row, out[0])  # rows of the output
        self.by_weight = kernel[1] * self.channels // geometry.groups < min(SHORT, out[1])

    def bands(self) -> Iterator[slice]:
        """The output's rows, in bands."""
        for first in range(0, self.out[0], self.band):
            yield slice(first, min(first + self.band, self.out[0]))

    def space(self, images: int) -> tuple[Any, Any]:
        """For blocks of that many images at most: padded images (n, H, W, C), uninitialised, and memory for columns."""
        n = per_block(self.bytes_an_image, images)
        memory = workspace("columns", (n * self.bytes_a_row * self.band // self.dtype.itemsize,), self.dtype)
        if self.by_weight:
            padded = workspace("padded", (self.channels, n, *self.padded), self.dtype).transpose(1, 2, 3, 0)
        else:
            padded = workspace("padded", (n, *self.padded, self.channels), self.dtype)
        return padded, memory

    def shaped(self, memory: Any, images: int, rows: int) -> Any:
        """The columns (images, rows, OW, KH*KW*C) of one block, as a view of the memory for them."""
        positions, weights = (images, rows, self.out[1]), math.prod(self.kernel) * self.channels
        block = memory[: math.prod(positions) * weights]
        if self.by_weight:
            return block.reshape((weights, *positions)).transpose(1, 2, 3, 0)
        return block.reshape((*positions, weights))

    def of(self, x: Any, start: int, stop: int) -> Iterator[tuple[tuple[slice, slice], Any]]:
        """For each block of images start to stop of x: which images and rows, and their columns, a matrix a group."""
        padded, memory = self.space(stop - start)
        padded[...] = 0
        x_rows, groups = pixels(x), self.geometry.groups
        for images in blocks(start, stop, self.bytes_an_image):
            n = images.stop - images.start
            padded[:n, *self.inside] = x_rows[images]
            for rows in self.bands():
                windows = self.windows(padded[:n], rows)
                block = self.shaped(memory, n, rows.stop - rows.start)
                np.copyto(block.reshape(windows.shape), windows)
                yield (images, rows), _by_group(block, groups)

    def windows(self, padded: Any, rows: slice) -> Any:
        """A view of padded images with axes (N, rows, OW, groups, KH, KW, C/groups): what each position sees."""
        image, row, pixel, channel = padded.strides
        (down, right), (apart_y, apart_x), groups = self.geometry.stride, self.geometry.dilation, self.geometry.groups
        per_group = self.channels // groups
        return as_strided(
            padded[:, rows.start * down :],
            (len(padded), rows.stop - rows.start, self.out[1], groups, *self.kernel, per_group),
            (image, row * down, pixel * right, channel * per_group, row * apart_y, pixel * apart_x, channel),
        )


def channels_last(shape: tuple[int, ...], dtype: Any) -> Any:
    """An uninitialised array (N, C, H, W) that owns its memory, in which the channels of a pixel lie side by side."""
    return np.empty_like(_CHANNELS_LAST, shape=shape, dtype=dtype)


def pixels(x: Any) -> Any:
    """x (N, C, H, W) as (N, H, W, C)."""
    return x.transpose(0, 2, 3, 1)


def _by_group(rows: Any, groups: int) -> Any:
    """Rows (..., groups * n) as matrices (groups, positions, n): a view, also to write to."""
    return rows.reshape((math.prod(rows.shape[:-1]), groups, rows.shape[-1] // groups)).swapaxes(0, 1)


def _as_matrix(weight: Any, groups: int) -> Any:
    """weight (F, C/groups, KH, KW) as matrices (groups, KH*KW*C/groups, F/groups)."""
    filters, channels, *kernel = weight.shape
    by_group = for_products(weight).reshape((groups, filters // groups, channels, *kernel))
    return by_group.transpose(0, 3, 4, 2, 1).reshape((groups, math.prod(kernel) * channels, filters // groups))


def _turned_round(weight: Any, groups: int) -> Any:
    """The weight (C, F/groups, KH, KW) with which dy is convolved to give dx: the last row first, C and F exchanged."""
    filters, channels, *kernel = weight.shape
    by_group = weight[:, :, ::-1, ::-1].reshape((groups, filters // groups, channels, *kernel)).swapaxes(1, 2)
    return by_group.reshape((groups * channels, filters // groups, *kernel))


def _as_images(x: Any) -> Any:
    """Sequences (N, C, L) as images (N, C, 1, L)."""
    return x[:, :, None]


def _of_images(geometry: Geometry) -> Geometry:
    """The geometry of sequences, for images one pixel high."""
    stride, padding, dilation = (1, *geometry.stride), (0, *geometry.padding), (1, *geometry.dilation)
    return Geometry(stride, padding, dilation, geometry.groups)
