"""im2col and col2im of the checks: the right ones are each other's transpose, and the wrong ones are wrong."""

from __future__ import annotations

import numpy as np
import pytest

from minidl.check import columns

GEOMETRIES = [(3, 1, 0), (3, 2, 0), (3, 1, 1), (3, 2, 1), (2, 3, 2), (1, 1, 0)]  # k, stride, padding
SHAPE = (2, 5, 7)
ORDERS = [(0, 1, 2, 4, 3), (0, 2, 1, 3, 4), (1, 2, 0, 3, 4), (3, 4, 0, 1, 2)]
WRONG_IM2COL = {
    "before the image only": columns.before_the_image_only,
    "without the last": columns.without_the_last,
    "padded channels": columns.padded_channels,
    "stride in the result only": columns.stride_in_the_result_only,
    "rows for columns": columns.rows_for_columns,
    "room for every place": columns.room_for_every_place,
    "first row": columns.first_row_of_places,
    "as many columns as rows": columns.as_many_columns_as_rows,
    "all into the first": columns.all_into_the_first_column,
    **{f"axes {order}": columns.by_axes(*order) for order in ORDERS},
}
WRONG_COL2IM = {
    "last place wins": columns.last_place_wins,
    "last number wins": columns.last_number_wins,
    "mean": columns.mean,
    "padding left": columns.added_back,
    "not cut off before": columns.not_cut_off_before,
    "not cut off behind": columns.not_cut_off_behind,
    "cut with minus": columns.cut_with_minus,
    "side by side": columns.side_by_side,
    "first column everywhere": columns.first_column_everywhere,
    "without the last": columns.back_without_the_last,
    "from the first row": columns.back_from_the_first_row,
    "rows of places": columns.rows_of_places,
    **{f"axes {order}": columns.of_axes(*order) for order in ORDERS},
}


@pytest.mark.parametrize("geometry", GEOMETRIES)
def test_the_right_ones_are_each_others_transpose(geometry):
    rng = np.random.default_rng(0)
    x = rng.standard_normal(SHAPE)
    cols = columns.im2col(x, *geometry)
    k, stride, padding = geometry
    rows, across = (columns.places(length, k, stride, padding) for length in SHAPE[1:])
    assert cols.shape == (SHAPE[0] * k * k, rows * across)
    patch = columns.with_zeros(x, padding)[:, stride * (rows - 1) :, stride * (across - 1) :][:, :k, :k]
    assert np.array_equal(cols[:, -1], patch.reshape(-1))
    g = rng.standard_normal(cols.shape)
    assert np.sum(g * cols) == pytest.approx(np.sum(columns.col2im(g, SHAPE, *geometry) * x))


def right_everywhere(answer, right, given):
    def same(values, geometry):
        found, expected = answer(*values, *geometry), right(*values, *geometry)
        return found.shape == expected.shape and np.array_equal(found, expected)

    return all(same(given(geometry), geometry) for geometry in GEOMETRIES)


@pytest.mark.parametrize("answer", WRONG_IM2COL.values(), ids=WRONG_IM2COL)
def test_a_wrong_im2col_is_wrong(answer):
    x = np.random.default_rng(1).standard_normal(SHAPE)
    assert right_everywhere(columns.im2col, columns.im2col, lambda geometry: (x,))
    assert not right_everywhere(answer, columns.im2col, lambda geometry: (x,))


@pytest.mark.parametrize("answer", WRONG_COL2IM.values(), ids=WRONG_COL2IM)
def test_a_wrong_col2im_is_wrong(answer):
    def given(geometry):
        return np.random.default_rng(2).standard_normal(columns.im2col(np.zeros(SHAPE), *geometry).shape), SHAPE

    assert not right_everywhere(answer, columns.col2im, given)
