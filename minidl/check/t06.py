"""The exercises of tutorial 6: convolution as a product of matrices, its backward, and why blocks are faster."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from minidl.check import columns
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


def _geometries(rng: np.random.Generator) -> Iterator[tuple[Any, int, int, int]]:
    """Shapes (C, H, W), sizes of the filter, strides, paddings: the simplest first; the lengths are drawn."""
    height, width = sorted(int(n) for n in rng.choice(np.arange(5, 8), 2, replace=False))
    yield (2, height, width), 3, 1, 0
    yield (2, height, width), 3, 2, 0
    yield (2, height, width), 3, 1, 1
    yield (3, 6, 8), 3, 2, 1  # where a row at the end is left over
    yield (2, width, height), 2, 3, 2  # taller than wide
    yield (2, height, width), 1, 1, 0


def _images(rng: np.random.Generator) -> Iterator[tuple[Any, ...]]:
    for shape, k, stride, padding in _geometries(rng):
        yield rng.standard_normal(shape), k, stride, padding


def _columns(rng: np.random.Generator) -> Iterator[tuple[Any, ...]]:
    for shape, k, stride, padding in _geometries(rng):
        places = columns.places(shape[1], k, stride, padding) * columns.places(shape[2], k, stride, padding)
        yield rng.standard_normal((shape[0] * k * k, places)), shape, k, stride, padding


_KEEP_DTYPE = "np.zeros makes float64 of its own accord; np.zeros(..., dtype=...) keeps the dtype that came in"
_WHOLE = "a number of places is whole: // and not /"
_PAIRS = "np.pad wants a pair (before, behind) for each axis, and there are three: the first is the channels, (0, 0)"

_ORDER = "in a column: channel by channel, in it row by row; patch.reshape(-1) of a (C, k, k) patch is so"

t06_im2col = Implement(
    "t06_im2col",
    "every k x k patch of an image as one column of a matrix",
    columns.im2col,
    _images,
    mistakes=[
        Mistake(
            lambda x, k, stride, padding: columns.im2col(x, k, stride, padding).T,
            "a patch is a row here; it should be a column",
        ),
        Mistake(
            lambda x, k, stride, padding: columns.im2col(x, k, 1, padding),
            "the stride is not used: every place is taken, not every stride-th",
        ),
        Mistake(
            columns.stride_in_the_result_only,
            "there are as many places as there should be, but they lie side by side: place i begins at i * stride",
        ),
        Mistake(lambda x, k, stride, padding: columns.im2col(x, k, stride, 0), "the padding is not used"),
        Mistake(
            columns.before_the_image_only, "the zeros are put before the image only; they belong behind it as well"
        ),
        Mistake(
            columns.padded_channels,
            "np.pad(x, padding) adds channels of zeros, too: the first axis gets none, ((0, 0), (p, p), (p, p))",
        ),
        Mistake(
            columns.without_the_last, "the last place along each axis is missing: how many places are there? (the + 1)"
        ),
        Mistake(
            columns.by_axes(0, 1, 2, 4, 3),
            "the places are in another order: row by row is asked for, and these follow each other column by column",
        ),
        Mistake(columns.by_axes(0, 2, 1, 3, 4), f"the patches lie on their side, row and column exchanged; {_ORDER}"),
        Mistake(columns.by_axes(1, 2, 0, 3, 4), f"the channels of a pixel stand side by side; {_ORDER}"),
        Mistake(
            lambda x, k, stride, padding: columns.im2col(x, k, stride, padding)[::-1],
            f"the patches are turned round, last number first; {_ORDER}",
        ),
        Mistake(
            columns.by_axes(3, 4, 0, 1, 2),
            "the right numbers, scrambled: reshape does not exchange axes. What runs along the places has to be last "
            "before it (transpose)",
        ),
        Mistake(
            lambda x, k, stride, padding: columns.im2col(x[:1], k, stride, padding),
            "only the first channel is taken; a patch has all of them",
        ),
        Mistake(
            columns.rows_for_columns,
            "place (i, j) has number i * columns + j, not i * rows + j: there are i full rows of places before it",
        ),
        Mistake(
            columns.first_row_of_places,
            "only the places of the first row are there: is there a `return` inside the loop over the rows?",
        ),
        Mistake(
            columns.as_many_columns_as_rows,
            "an image need not be square: along the width there are other places than along the height",
        ),
        Mistake(
            columns.all_into_the_first_column,
            "every patch is written into column 0, over the one before: does the number of the place grow?",
        ),
        Mistake(
            columns.room_for_every_place, "there is room for the places of stride 1, so columns of zeros are left over"
        ),
        Mistake(
            columns.over_the_edge,
            "the filter runs over the edge: the last place begins at height - k, not at height - 1",
        ),
        Mistake(
            lambda x, k, stride, padding: list(columns.im2col(x, k, stride, padding).T),
            "a list of patches: np.array of it has a patch in each row, and .T makes columns of them",
        ),
        Mistake(lambda x, k, stride, padding: columns.im2col(x, k, stride, padding).astype(np.float64), _KEEP_DTYPE),
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

_OVERWRITTEN = (
    "a pixel that lies in several patches has the number of the last one only: what the others sent back is lost "
)

t06_col2im = Implement(
    "t06_col2im",
    "every column added back onto its patch",
    columns.col2im,
    _columns,
    mistakes=[
        Mistake(columns.last_place_wins, _OVERWRITTEN + "(= writes over it; so does += with an array of indices)"),
        Mistake(columns.last_number_wins, _OVERWRITTEN + "(= writes over it)"),
        Mistake(columns.mean, "this is the mean over the patches that a pixel lies in; the gradient is their sum"),
        Mistake(columns.added_back, "the padding is not cut off: the result has the shape of the image"),
        Mistake(columns.not_cut_off_before, "the padding is cut off behind the image only; it begins before the image"),
        Mistake(columns.not_cut_off_behind, "the padding is cut off before the image only; there is as much behind it"),
        Mistake(
            columns.cut_with_minus,
            "without padding this cuts off everything: -0 is 0, and [0:0] is empty. From padding to padding + height",
        ),
        Mistake(
            columns.back_without_the_last, "the last place along each axis is missing: how many are there? (the + 1)"
        ),
        Mistake(
            columns.first_column_everywhere,
            "every patch gets the numbers of column 0: does the number of the column grow?",
        ),
        Mistake(
            columns.back_from_the_first_row,
            "only the first row of places is added back: is there a `return` inside the loop over the rows?",
        ),
        Mistake(columns.side_by_side, "the stride is not used: place i begins at i * stride"),
        Mistake(
            columns.of_axes(0, 1, 2, 4, 3),
            "the places are taken in another order: in cols they follow each other row by row",
        ),
        Mistake(
            columns.of_axes(1, 2, 0, 3, 4),
            "a column is read as if the channels of a pixel stood side by side; it is channel by channel, (C, k, k)",
        ),
        Mistake(
            columns.of_axes(0, 2, 1, 3, 4),
            "rows and columns of the patches are exchanged: a column is a patch row by row, reshape(C, k, k)",
        ),
        Mistake(
            columns.of_axes(3, 4, 0, 1, 2),
            "the rows of cols are taken for patches; its columns are: cols[:, place]",
        ),
        Mistake(
            columns.no_room_for_padding,
            "patches reach into the padding: add them onto an image with its padding, and cut that off afterwards",
        ),
        Mistake(
            columns.rows_of_places,
            "place (i, j) has number i * columns + j, not i * rows + j: there are i full rows of places before it",
        ),
        Mistake(
            lambda cols, shape, k, stride, padding: cols[:, 0].reshape(k, k),
            "a column has C * k * k numbers, all channels of a patch: reshape(C, k, k)",
        ),
        Mistake(
            lambda cols, shape, k, stride, padding: columns.col2im(cols, shape, k, stride, padding).astype(np.float64),
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
