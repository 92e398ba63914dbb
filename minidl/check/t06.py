"""The exercises of tutorial 6: convolution as a product of matrices, its backward, and why blocks are faster."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from minidl.check.exercise import Exercise, Explain, Implement, Mistake, Predict

EXACT = 1e-9

t06_size = Predict(
    "t06_size",
    "how many places has a 5 x 5 filter along an axis of 28, with stride 2 and padding 2?",
    14,
    mistakes=[
        Mistake(13, "either the first place is not counted (the + 1), or the padding is counted on one side only"),
        Mistake(15, "what is left over at the end is no place: rounded down, not up"),
        Mistake(14.5, "there are no half places: rounded down"),
        Mistake(13.5, "rounded down, and then the first place is counted too (+ 1)"),
        Mistake(28, "that is with stride 1; here the filter moves on by 2"),
        Mistake(27, "how far the last place may begin from the first one; how many steps of 2 fit in there?"),
        Mistake(12, "without padding; there are 2 zeros on each side"),
        Mistake(24, "without padding and with stride 1"),
        Mistake(196, "that is along both axes together; one axis is asked for"),
    ],
    rtol=EXACT,
    why="(28 + 4 - 5) // 2 + 1 = 13 + 1",
)

t06_multiplications = Predict(
    "t06_multiplications",
    "how many multiplications do 16 filters of 5 x 5 do on 6 channels of 14 x 14, stride 1, no padding?",
    240_000,
    mistakes=[
        Mistake(2_400, "that is the number of weights; each is used at every place"),
        Mistake(40_000, "each filter multiplies in all 6 channels"),
        Mistake(15_000, "that is one filter; there are 16"),
        Mistake(150, "that is one number of the result; how many numbers has it?"),
        Mistake(470_400, "the filter has 10 x 10 places, not 14 x 14: there is no padding"),
        Mistake(480_000, "the additions are counted as well"),
        Mistake(1_881_600, "that is what a dense layer would do"),
        Mistake(1_600, "that is how many numbers come out; how many multiplications does each take?"),
        Mistake(25 * 100, "that is one filter in one channel; there are 16 filters and 6 channels"),
        Mistake(9_600, "one axis is forgotten: 5 x 5 weights at 10 x 10 places"),
    ],
    rtol=EXACT,
    why="16 x 10 x 10 numbers come out, each of 6 x 5 x 5 products",
)


def _padded(x: Any, padding: int) -> Any:
    return np.pad(x, ((0, 0), (padding, padding), (padding, padding)))


def _places(length: int, k: int, stride: int, padding: int) -> int:
    return (length + 2 * padding - k) // stride + 1


def _im2col(x: Any, k: Any, stride: Any, padding: Any) -> Any:
    rows, columns = (_places(length, k, stride, padding) for length in x.shape[1:])
    padded = _padded(x, padding)
    cols = np.zeros((len(x), k, k, rows, columns), x.dtype)
    for i, j in np.ndindex(k, k):
        cols[:, i, j] = padded[:, i : i + stride * rows : stride, j : j + stride * columns : stride]
    return cols.reshape(len(x) * k * k, rows * columns)


def _col2im(cols: Any, shape: Any, k: Any, stride: Any, padding: Any) -> Any:
    padded = _added_back(cols, shape, k, stride, padding)
    return padded[:, padding : padding + shape[1], padding : padding + shape[2]]


def _added_back(cols: Any, shape: Any, k: int, stride: int, padding: int) -> Any:
    """The columns added onto the padded image."""
    channels, height, width = shape
    rows, columns = (_places(length, k, stride, padding) for length in (height, width))
    padded = np.zeros((channels, height + 2 * padding, width + 2 * padding), cols.dtype)
    cols = cols.reshape(channels, k, k, rows, columns)
    for i, j in np.ndindex(k, k):
        padded[:, i : i + stride * rows : stride, j : j + stride * columns : stride] += cols[:, i, j]
    return padded


def _geometries(rng: np.random.Generator) -> Iterator[tuple[Any, int, int, int]]:
    """Shapes (C, H, W), sizes of the filter, strides, paddings: the simplest first; the lengths are drawn."""
    height, width = (int(n) for n in rng.choice(np.arange(5, 8), 2, replace=False))
    yield (2, height, width), 3, 1, 0
    yield (2, height, width), 3, 2, 0
    yield (2, height, width), 3, 1, 1
    yield (3, 6, 8), 3, 2, 1  # where a row at the end is left over
    yield (2, height, width), 2, 3, 2
    yield (2, height, width), 1, 1, 0


def _images(rng: np.random.Generator) -> Iterator[tuple[Any, ...]]:
    for shape, k, stride, padding in _geometries(rng):
        yield rng.standard_normal(shape), k, stride, padding


def _columns(rng: np.random.Generator) -> Iterator[tuple[Any, ...]]:
    for shape, k, stride, padding in _geometries(rng):
        places = _places(shape[1], k, stride, padding) * _places(shape[2], k, stride, padding)
        yield rng.standard_normal((shape[0] * k * k, places)), shape, k, stride, padding


# Usual wrong ones, of im2col


def _by_axes(*order: int) -> Any:
    """im2col whose axes (channel, row in the patch, column in it, row of places, column of places) are in an order."""

    def answer(x: Any, k: Any, stride: Any, padding: Any) -> Any:
        rows, columns = (_places(length, k, stride, padding) for length in x.shape[1:])
        cols = _im2col(x, k, stride, padding).reshape(len(x), k, k, rows, columns)
        return cols.transpose(order).reshape(len(x) * k * k, rows * columns)

    return answer


def _before_the_image_only(x: Any, k: Any, stride: Any, padding: Any) -> Any:
    return _im2col(np.pad(x, ((0, 0), (padding, 0), (padding, 0))), k, stride, 0)


def _without_the_last(x: Any, k: Any, stride: Any, padding: Any) -> Any:
    rows, columns = (_places(length, k, stride, padding) for length in x.shape[1:])
    cols = _im2col(x, k, stride, padding).reshape(-1, rows, columns)
    return cols[:, : rows - 1, : columns - 1].reshape(len(cols), -1)


def _padded_channels(x: Any, k: Any, stride: Any, padding: Any) -> Any:
    return _im2col(np.pad(x, padding), k, stride, 0)


def _stride_in_the_result_only(x: Any, k: Any, stride: Any, padding: Any) -> Any:
    rows, columns = (_places(length, k, stride, padding) for length in x.shape[1:])
    every = [_places(length, k, 1, padding) for length in x.shape[1:]]
    cols = _im2col(x, k, 1, padding).reshape(-1, *every)
    return cols[:, :rows, :columns].reshape(len(cols), -1)


def _rows_for_columns(x: Any, k: Any, stride: Any, padding: Any) -> Any:
    """With place (i, j) as number i * rows + j."""
    rows, columns = (_places(length, k, stride, padding) for length in x.shape[1:])
    right = _im2col(x, k, stride, padding)
    cols = np.zeros_like(right)
    for i, j in np.ndindex(rows, columns):
        cols[:, i * rows + j] = right[:, i * columns + j]
    return cols


def _room_for_every_place(x: Any, k: Any, stride: Any, padding: Any) -> Any:
    right = _im2col(x, k, stride, padding)
    cols = np.zeros_like(_im2col(x, k, 1, padding))
    cols[:, : right.shape[1]] = right
    return cols


def _over_the_edge(x: Any, k: Any, stride: Any, padding: Any) -> Any:
    x = _padded(x, padding)
    corners = [(i, j) for i in range(0, x.shape[1], stride) for j in range(0, x.shape[2], stride)]
    return np.array([x[:, i : i + k, j : j + k].reshape(-1) for i, j in corners]).T


_KEEP_DTYPE = "np.zeros makes float64 of its own accord; np.zeros(..., dtype=...) keeps the dtype that came in"
_WHOLE = "a number of places is whole: // and not /"
_PAIRS = "np.pad wants a pair (before, behind) for each axis, and there are three: the first is the channels, (0, 0)"

_ORDER = "in a column: channel by channel, in it row by row; patch.reshape(-1) of a (C, k, k) patch is so"

t06_im2col = Implement(
    "t06_im2col",
    "every k x k patch of an image as one column of a matrix",
    _im2col,
    _images,
    mistakes=[
        Mistake(
            lambda x, k, stride, padding: _im2col(x, k, stride, padding).T,
            "a patch is a row here; it should be a column",
        ),
        Mistake(
            lambda x, k, stride, padding: _im2col(x, k, 1, padding),
            "the stride is not used: every place is taken, not every stride-th",
        ),
        Mistake(
            _stride_in_the_result_only,
            "there are as many places as there should be, but they lie side by side: place i begins at i * stride",
        ),
        Mistake(lambda x, k, stride, padding: _im2col(x, k, stride, 0), "the padding is not used"),
        Mistake(_before_the_image_only, "the zeros are put before the image only; they belong behind it as well"),
        Mistake(
            _padded_channels,
            "np.pad(x, padding) adds channels of zeros, too: the first axis gets none, ((0, 0), (p, p), (p, p))",
        ),
        Mistake(_without_the_last, "the last place along each axis is missing: how many places are there? (the + 1)"),
        Mistake(
            _by_axes(0, 1, 2, 4, 3),
            "the places are in another order: row by row is asked for, and these follow each other column by column",
        ),
        Mistake(_by_axes(0, 2, 1, 3, 4), f"the patches lie on their side, row and column exchanged; {_ORDER}"),
        Mistake(_by_axes(1, 2, 0, 3, 4), f"the channels of a pixel stand side by side; {_ORDER}"),
        Mistake(
            lambda x, k, stride, padding: _im2col(x, k, stride, padding)[::-1],
            f"the patches are turned round, last number first; {_ORDER}",
        ),
        Mistake(
            _by_axes(3, 4, 0, 1, 2),
            "the right numbers, scrambled: reshape does not exchange axes. What runs along the places has to be last "
            "before it (transpose)",
        ),
        Mistake(
            lambda x, k, stride, padding: _im2col(x[:1], k, stride, padding),
            "only the first channel is taken; a patch has all of them",
        ),
        Mistake(
            _rows_for_columns,
            "place (i, j) has number i * columns + j, not i * rows + j: there are i full rows of places before it",
        ),
        Mistake(_room_for_every_place, "there is room for the places of stride 1, so columns of zeros are left over"),
        Mistake(_over_the_edge, "the filter runs over the edge: the last place begins at height - k, not height - 1"),
        Mistake(
            lambda x, k, stride, padding: list(_im2col(x, k, stride, padding).T),
            "a list of patches: np.array of it has a patch in each row, and .T makes columns of them",
        ),
        Mistake(lambda x, k, stride, padding: _im2col(x, k, stride, padding).astype(np.float64), _KEEP_DTYPE),
        Mistake(lambda x, k, stride, padding: np.zeros((1, x.shape[1] / 1)), _WHOLE),
        Mistake(lambda x, k, stride, padding: np.pad(x, ((padding, padding), (padding, padding))), _PAIRS),
    ],
)

t06_uses = Predict(
    "t06_uses",
    "in how many 3 x 3 patches of an 8 x 8 image (stride 1, no padding) is a pixel in a corner, in the middle of an "
    "edge, in the middle?",
    (1, 3, 9),
    mistakes=[
        Mistake((9, 9, 9), "at the border a patch would have to reach out of the image, and there is no padding"),
        Mistake((4, 6, 9), "that is with a padding of 1; here the patches stay inside the image"),
        Mistake((1, 1, 1), "patches overlap with stride 1: the next one begins one pixel further on"),
        Mistake((1, 2, 4), "that is with stride 2"),
        Mistake((1, 2, 3), "along one axis a pixel is in 1, 2 or 3 patches; there are two axes"),
        Mistake((1, 6, 9), "on an edge: 3 patches along it, and how many across it? Only the outermost"),
        Mistake((1, 9, 9), "on an edge: 3 patches along it, and how many across it? Only the outermost"),
        Mistake((4, 9, 9), "in a corner only one patch has the pixel: the one that begins there"),
        Mistake((1, 3, 36), "36 is how many patches there are; how many of them have a pixel in the middle?"),
        Mistake((36, 36, 36), "36 is how many patches there are; each pixel is in some of them"),
    ],
    rtol=EXACT,
    why="a pixel at place i of 8 is in 1, 2, 3, 3, ..., 2, 1 patches along an axis; both axes multiply",
)


# Usual wrong ones, of col2im


def _last_place_wins(cols: Any, shape: Any, k: Any, stride: Any, padding: Any) -> Any:
    """Written place after place, as a loop over the places with = does, or an index array with +=."""
    channels, height, width = shape
    rows, columns = (_places(length, k, stride, padding) for length in (height, width))
    padded = np.zeros((channels, height + 2 * padding, width + 2 * padding), cols.dtype)
    for i, j in np.ndindex(rows, columns):
        patch = cols[:, i * columns + j].reshape(channels, k, k)
        padded[:, i * stride : i * stride + k, j * stride : j * stride + k] = patch
    return padded[:, padding : padding + height, padding : padding + width]


def _last_number_wins(cols: Any, shape: Any, k: Any, stride: Any, padding: Any) -> Any:
    """Written number after number of the patches, as a loop over these with = does."""
    channels, height, width = shape
    rows, columns = (_places(length, k, stride, padding) for length in (height, width))
    padded = np.zeros((channels, height + 2 * padding, width + 2 * padding), cols.dtype)
    cols = cols.reshape(channels, k, k, rows, columns)
    for i, j in np.ndindex(k, k):
        padded[:, i : i + stride * rows : stride, j : j + stride * columns : stride] = cols[:, i, j]
    return padded[:, padding : padding + height, padding : padding + width]


def _mean(cols: Any, shape: Any, k: Any, stride: Any, padding: Any) -> Any:
    count = _col2im(np.ones_like(cols), shape, k, stride, padding)
    return _col2im(cols, shape, k, stride, padding) / np.maximum(count, 1)


def _of_axes(*order: int) -> Any:
    """col2im that takes the axes (channel, row and column in the patch, row and column of places) for others."""

    def answer(cols: Any, shape: Any, k: Any, stride: Any, padding: Any) -> Any:
        rows, columns = (_places(length, k, stride, padding) for length in shape[1:])
        lengths = (shape[0], k, k, rows, columns)
        taken = cols.reshape([lengths[axis] for axis in order]).transpose(np.argsort(order))
        return _col2im(taken.reshape(cols.shape), shape, k, stride, padding)

    return answer


def _not_cut_off_before(cols: Any, shape: Any, k: Any, stride: Any, padding: Any) -> Any:
    return _added_back(cols, shape, k, stride, padding)[:, : shape[1], : shape[2]]


def _not_cut_off_behind(cols: Any, shape: Any, k: Any, stride: Any, padding: Any) -> Any:
    return _added_back(cols, shape, k, stride, padding)[:, padding:, padding:]


def _cut_with_minus(cols: Any, shape: Any, k: Any, stride: Any, padding: Any) -> Any:
    return _added_back(cols, shape, k, stride, padding)[:, padding:-padding, padding:-padding]


def _side_by_side(cols: Any, shape: Any, k: Any, stride: Any, padding: Any) -> Any:
    """With place i beginning at i, whatever the stride."""
    channels, height, width = shape
    rows, columns = (_places(length, k, stride, padding) for length in (height, width))
    padded = np.zeros((channels, height + 2 * padding, width + 2 * padding), cols.dtype)
    for i, j in np.ndindex(rows, columns):
        padded[:, i : i + k, j : j + k] += cols[:, i * columns + j].reshape(channels, k, k)
    return padded[:, padding : padding + height, padding : padding + width]


def _no_room_for_padding(cols: Any, shape: Any, k: Any, stride: Any, padding: Any) -> Any:
    channels, height, width = shape
    rows, columns = (_places(length, k, stride, padding) for length in (height, width))
    image = np.zeros(shape, cols.dtype)
    for i, j in np.ndindex(rows, columns):
        patch = cols[:, i * columns + j].reshape(channels, k, k)
        image[:, i * stride : i * stride + k, j * stride : j * stride + k] += patch
    return image


def _rows_of_places(cols: Any, shape: Any, k: Any, stride: Any, padding: Any) -> Any:
    """With place (i, j) as number i * rows + j."""
    rows, columns = (_places(length, k, stride, padding) for length in shape[1:])
    taken = np.zeros_like(cols)
    for i, j in np.ndindex(rows, columns):
        taken[:, i * columns + j] = cols[:, i * rows + j]
    return _col2im(taken, shape, k, stride, padding)


_OVERWRITTEN = (
    "a pixel that lies in several patches has the number of the last one only: what the others sent back is lost "
)

t06_col2im = Implement(
    "t06_col2im",
    "every column added back onto its patch",
    _col2im,
    _columns,
    mistakes=[
        Mistake(_last_place_wins, _OVERWRITTEN + "(= writes over it; so does += with an array of indices)"),
        Mistake(_last_number_wins, _OVERWRITTEN + "(= writes over it)"),
        Mistake(_mean, "this is the mean over the patches that a pixel lies in; the gradient is their sum"),
        Mistake(_added_back, "the padding is not cut off: the result has the shape of the image"),
        Mistake(_not_cut_off_before, "the padding is cut off behind the image only; it begins before the image"),
        Mistake(_not_cut_off_behind, "the padding is cut off before the image only; there is as much behind it"),
        Mistake(
            _cut_with_minus,
            "without padding this cuts off everything: -0 is 0, and [0:0] is empty. From padding to padding + height",
        ),
        Mistake(_side_by_side, "the stride is not used: place i begins at i * stride"),
        Mistake(
            _of_axes(0, 1, 2, 4, 3),
            "the places are taken in another order: in cols they follow each other row by row",
        ),
        Mistake(
            _of_axes(1, 2, 0, 3, 4),
            "a column is read as if the channels of a pixel stood side by side; it is channel by channel, (C, k, k)",
        ),
        Mistake(
            _of_axes(0, 2, 1, 3, 4),
            "rows and columns of the patches are exchanged: a column is a patch row by row, reshape(C, k, k)",
        ),
        Mistake(
            _of_axes(3, 4, 0, 1, 2),
            "the rows of cols are taken for patches; its columns are: cols[:, place]",
        ),
        Mistake(
            _no_room_for_padding,
            "patches reach into the padding: add them onto an image with its padding, and cut that off afterwards",
        ),
        Mistake(
            _rows_of_places,
            "place (i, j) has number i * columns + j, not i * rows + j: there are i full rows of places before it",
        ),
        Mistake(
            lambda cols, shape, k, stride, padding: cols[:, 0].reshape(k, k),
            "a column has C * k * k numbers, all channels of a patch: reshape(C, k, k)",
        ),
        Mistake(
            lambda cols, shape, k, stride, padding: _col2im(cols, shape, k, stride, padding).astype(np.float64),
            _KEEP_DTYPE,
        ),
        Mistake(lambda cols, shape, k, stride, padding: np.zeros((1, shape[1] / 1)), _WHOLE),
    ],
)

t06_why_blocks = Explain(
    "t06_why_blocks",
    "why are blocks of images faster than the whole batch at once?",
    choices={
        "a": "because they need fewer multiplications",
        "b": "because a block's columns are still in the cache when the product reads them, and those of the whole "
        "batch are not",
        "c": "because several short loops in Python are faster than one long operation of NumPy",
        "d": "because in blocks the columns need not be made at all",
    },
    solution="b",
    hints={
        "a": "count them: the same filters at the same places of the same images",
        "c": "look at the left end of the figure: with one image a block there are most loops, and they do cost",
        "d": "convolve_block writes every column, as before; only not all of them before the first product",
    },
)

EXERCISES: tuple[Exercise, ...] = (
    t06_size,
    t06_multiplications,
    t06_im2col,
    t06_uses,
    t06_col2im,
    t06_why_blocks,
)
