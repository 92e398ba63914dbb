"""im2col and col2im for the checks of tutorial 6: the right ones, and those that students often write.

All have the arguments of the exercises: `im2col(x, k, stride, padding)` of an image x (C, H, W) gives (C * k * k,
places); `col2im(cols, shape, k, stride, padding)` gives an image of that shape. What is wrong with one, its name says.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np


def with_zeros(x: Any, padding: int) -> Any:
    """An image with its padding."""
    return np.pad(x, ((0, 0), (padding, padding), (padding, padding)))


def places(length: int, k: int, stride: int, padding: int) -> int:
    """How many places a filter has along an axis."""
    return (length + 2 * padding - k) // stride + 1


def im2col(x: Any, k: Any, stride: Any, padding: Any) -> Any:
    """Every patch as a column."""
    rows, columns = (places(length, k, stride, padding) for length in x.shape[1:])
    padded = with_zeros(x, padding)
    cols = np.zeros((len(x), k, k, rows, columns), x.dtype)
    for i, j in np.ndindex(k, k):
        cols[:, i, j] = padded[:, i : i + stride * rows : stride, j : j + stride * columns : stride]
    return cols.reshape(len(x) * k * k, rows * columns)


def col2im(cols: Any, shape: Any, k: Any, stride: Any, padding: Any) -> Any:
    """Every column added back onto its patch."""
    padded = added_back(cols, shape, k, stride, padding)
    return padded[:, padding : padding + shape[1], padding : padding + shape[2]]


def added_back(cols: Any, shape: Any, k: int, stride: int, padding: int) -> Any:
    """The columns added onto the padded image."""
    channels, height, width = shape
    rows, columns = (places(length, k, stride, padding) for length in (height, width))
    padded = np.zeros((channels, height + 2 * padding, width + 2 * padding), cols.dtype)
    cols = cols.reshape(channels, k, k, rows, columns)
    for i, j in np.ndindex(k, k):
        padded[:, i : i + stride * rows : stride, j : j + stride * columns : stride] += cols[:, i, j]
    return padded


def by_axes(*order: int) -> Any:
    """im2col whose axes (channel, row in the patch, column in it, row of places, column of places) are in an order."""

    def answer(x: Any, k: Any, stride: Any, padding: Any) -> Any:
        rows, columns = (places(length, k, stride, padding) for length in x.shape[1:])
        cols = im2col(x, k, stride, padding).reshape(len(x), k, k, rows, columns)
        return cols.transpose(order).reshape(len(x) * k * k, rows * columns)

    return answer


def before_the_image_only(x: Any, k: Any, stride: Any, padding: Any) -> Any:
    """With zeros above and at the left alone."""
    return im2col(np.pad(x, ((0, 0), (padding, 0), (padding, 0))), k, stride, 0)


def without_the_last(x: Any, k: Any, stride: Any, padding: Any) -> Any:
    """Without the last place along each axis."""
    rows, columns = (places(length, k, stride, padding) for length in x.shape[1:])
    cols = im2col(x, k, stride, padding).reshape(-1, rows, columns)
    return cols[:, : rows - 1, : columns - 1].reshape(len(cols), -1)


def padded_channels(x: Any, k: Any, stride: Any, padding: Any) -> Any:
    """With channels of zeros before and behind."""
    return im2col(np.pad(x, padding), k, stride, 0)


def stride_in_the_result_only(x: Any, k: Any, stride: Any, padding: Any) -> Any:
    """As many places as there should be, side by side."""
    rows, columns = (places(length, k, stride, padding) for length in x.shape[1:])
    every = [places(length, k, 1, padding) for length in x.shape[1:]]
    cols = im2col(x, k, 1, padding).reshape(-1, *every)
    return cols[:, :rows, :columns].reshape(len(cols), -1)


def rows_for_columns(x: Any, k: Any, stride: Any, padding: Any) -> Any:
    """With place (i, j) as number i * rows + j."""
    rows, columns = (places(length, k, stride, padding) for length in x.shape[1:])
    right = im2col(x, k, stride, padding)
    cols = np.zeros_like(right)
    for i, j in np.ndindex(rows, columns):
        cols[:, i * rows + j] = right[:, i * columns + j]
    return cols


def room_for_every_place(x: Any, k: Any, stride: Any, padding: Any) -> Any:
    """With columns of zeros behind, as many as stride 1 would fill."""
    right = im2col(x, k, stride, padding)
    cols = np.zeros_like(im2col(x, k, 1, padding))
    cols[:, : right.shape[1]] = right
    return cols


def over_the_edge(x: Any, k: Any, stride: Any, padding: Any) -> Any:
    """With a place at each pixel, as far as the stride goes."""
    x = with_zeros(x, padding)
    corners = [(i, j) for i in range(0, x.shape[1], stride) for j in range(0, x.shape[2], stride)]
    return np.array([x[:, i : i + k, j : j + k].reshape(-1) for i, j in corners]).T


def first_row_of_places(x: Any, k: Any, stride: Any, padding: Any) -> Any:
    """As a loop over the rows does that returns in its first round."""
    return im2col(x, k, stride, padding)[:, : places(x.shape[2], k, stride, padding)]


def as_many_columns_as_rows(x: Any, k: Any, stride: Any, padding: Any) -> Any:
    """With the number of places along the height for both axes."""
    rows, columns = (places(length, k, stride, padding) for length in x.shape[1:])
    right = im2col(x, k, stride, padding).reshape(-1, rows, columns)
    return right[:, :, :rows].reshape(len(right), -1)


def all_into_the_first_column(x: Any, k: Any, stride: Any, padding: Any) -> Any:
    """With a number of the place that stays 0."""
    right = im2col(x, k, stride, padding)
    cols = np.zeros_like(right)
    cols[:, 0] = right[:, -1]
    return cols


def last_place_wins(cols: Any, shape: Any, k: Any, stride: Any, padding: Any) -> Any:
    """Written place after place, as a loop over the places with = does, or an index array with +=."""
    channels, height, width = shape
    rows, columns = (places(length, k, stride, padding) for length in (height, width))
    padded = np.zeros((channels, height + 2 * padding, width + 2 * padding), cols.dtype)
    for i, j in np.ndindex(rows, columns):
        patch = cols[:, i * columns + j].reshape(channels, k, k)
        padded[:, i * stride : i * stride + k, j * stride : j * stride + k] = patch
    return padded[:, padding : padding + height, padding : padding + width]


def last_number_wins(cols: Any, shape: Any, k: Any, stride: Any, padding: Any) -> Any:
    """Written number after number of the patches, as a loop over these with = does."""
    channels, height, width = shape
    rows, columns = (places(length, k, stride, padding) for length in (height, width))
    padded = np.zeros((channels, height + 2 * padding, width + 2 * padding), cols.dtype)
    cols = cols.reshape(channels, k, k, rows, columns)
    for i, j in np.ndindex(k, k):
        padded[:, i : i + stride * rows : stride, j : j + stride * columns : stride] = cols[:, i, j]
    return padded[:, padding : padding + height, padding : padding + width]


def mean(cols: Any, shape: Any, k: Any, stride: Any, padding: Any) -> Any:
    """The mean of what comes to a pixel."""
    count = col2im(np.ones_like(cols), shape, k, stride, padding)
    return col2im(cols, shape, k, stride, padding) / np.maximum(count, 1)


def of_axes(*order: int) -> Any:
    """col2im that takes the axes (channel, row and column in the patch, row and column of places) for others."""

    def answer(cols: Any, shape: Any, k: Any, stride: Any, padding: Any) -> Any:
        rows, columns = (places(length, k, stride, padding) for length in shape[1:])
        lengths = (shape[0], k, k, rows, columns)
        taken = cols.reshape([lengths[axis] for axis in order]).transpose(np.argsort(order))
        return col2im(taken.reshape(cols.shape), shape, k, stride, padding)

    return answer


def not_cut_off_before(cols: Any, shape: Any, k: Any, stride: Any, padding: Any) -> Any:
    """With the first rows and columns of the padded image."""
    return added_back(cols, shape, k, stride, padding)[:, : shape[1], : shape[2]]


def not_cut_off_behind(cols: Any, shape: Any, k: Any, stride: Any, padding: Any) -> Any:
    """With all that follows the padding before the image."""
    return added_back(cols, shape, k, stride, padding)[:, padding:, padding:]


def cut_with_minus(cols: Any, shape: Any, k: Any, stride: Any, padding: Any) -> Any:
    """Cut off by [padding:-padding], which is nothing for 0."""
    return added_back(cols, shape, k, stride, padding)[:, padding:-padding, padding:-padding]


def laid_down(cols: Any, shape: Any, k: Any, padding: Any, where: Iterable[tuple[int, int, int]]) -> Any:
    """col2im with the columns of some numbers at some places: (number, row, column) in the padded image."""
    channels, height, width = shape
    padded = np.zeros((channels, height + 2 * padding, width + 2 * padding), cols.dtype)
    for number, row, column in where:
        padded[:, row : row + k, column : column + k] += cols[:, number].reshape(channels, k, k)
    return padded[:, padding : padding + height, padding : padding + width]


def side_by_side(cols: Any, shape: Any, k: Any, stride: Any, padding: Any) -> Any:
    """With place i beginning at i, whatever the stride."""
    rows, columns = (places(length, k, stride, padding) for length in shape[1:])
    return laid_down(cols, shape, k, padding, ((i * columns + j, i, j) for i, j in np.ndindex(rows, columns)))


def first_column_everywhere(cols: Any, shape: Any, k: Any, stride: Any, padding: Any) -> Any:
    """With a number of the column that stays 0."""
    rows, columns = (places(length, k, stride, padding) for length in shape[1:])
    return laid_down(cols, shape, k, padding, ((0, i * stride, j * stride) for i, j in np.ndindex(rows, columns)))


def back_without_the_last(cols: Any, shape: Any, k: Any, stride: Any, padding: Any) -> Any:
    """Without the last place along each axis; the columns are taken one after the other."""
    rows, columns = (places(length, k, stride, padding) for length in shape[1:])
    corners = np.ndindex(rows - 1, columns - 1)
    return laid_down(cols, shape, k, padding, ((n, i * stride, j * stride) for n, (i, j) in enumerate(corners)))


def back_from_the_first_row(cols: Any, shape: Any, k: Any, stride: Any, padding: Any) -> Any:
    """As a loop over the rows does that returns in its first round."""
    columns = places(shape[2], k, stride, padding)
    return laid_down(cols, shape, k, padding, ((j, 0, j * stride) for j in range(columns)))


def no_room_for_padding(cols: Any, shape: Any, k: Any, stride: Any, padding: Any) -> Any:
    """Onto an image without its padding."""
    channels, height, width = shape
    rows, columns = (places(length, k, stride, padding) for length in (height, width))
    image = np.zeros(shape, cols.dtype)
    for i, j in np.ndindex(rows, columns):
        patch = cols[:, i * columns + j].reshape(channels, k, k)
        image[:, i * stride : i * stride + k, j * stride : j * stride + k] += patch
    return image


def rows_of_places(cols: Any, shape: Any, k: Any, stride: Any, padding: Any) -> Any:
    """With place (i, j) as number i * rows + j."""
    rows, columns = (places(length, k, stride, padding) for length in shape[1:])
    taken = np.zeros_like(cols)
    for i, j in np.ndindex(rows, columns):
        taken[:, i * columns + j] = cols[:, i * rows + j]
    return col2im(taken, shape, k, stride, padding)
