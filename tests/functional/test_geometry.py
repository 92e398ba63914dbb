"""minidl/functional/geometry.py."""

from __future__ import annotations

import numpy as np
import pytest

import minidl as md
from minidl.functional.geometry import Geometry, Window, per_axis, pooling_window
from tests.arrays import device, host


def test_a_window_on_a_sequence() -> None:
    """Seven places 0 to 6; the window sees three, two apart, and begins at places -1, 1 and 3."""
    window = Geometry((2,), (1,), (2,), 1).window((7,), (3,))
    assert window.out == (3,)
    assert window.padded_size() == (9,)
    padded = window.padded(device(np.arange(7.0).reshape(1, 1, 7)), -5)
    np.testing.assert_array_equal(host(padded), [[[-5, 0, 1, 2, 3, 4, 5, 6, -5]]])
    seen = [host(padded[place])[0, 0] for place in window.places()]
    np.testing.assert_array_equal(np.transpose(seen), [[-5, 1, 3], [1, 3, 5], [3, 5, -5]])
    np.testing.assert_array_equal(host(window.cropped(padded)), [[[0, 1, 2, 3, 4, 5, 6]]])


def test_the_places_of_an_image_come_row_by_row() -> None:
    window = Geometry((1, 2), (0, 0), (1, 1), 1).window((2, 4), (2, 2))
    image = device(np.arange(8.0).reshape(1, 1, 2, 4))
    seen = [host(image[place])[0, 0, 0] for place in window.places()]
    np.testing.assert_array_equal(seen, [[0, 2], [1, 3], [4, 6], [5, 7]])


@pytest.mark.parametrize(
    ("out", "padded"),
    [
        ((2,), 5),  # the last places are not seen, but the input is there as a whole
        ((4,), 6),  # the padding at the end is as long as a window sees, here none of it
        ((6,), 8),  # more positions than fit between the paddings
    ],
)
def test_the_padding_ends_where_the_last_window_does(out, padded) -> None:
    window = Geometry((1,), (1,), (1,), 1).window((4,), (3,), out)
    assert window.out == out
    assert window.padded_size() == (padded,)


def test_a_window_keeps_the_dtype() -> None:
    window = Window((2,), (1,), (1,), (1,), (3,), (4,))
    for dtype in ("float16", "int8", "bool"):
        assert window.padded(device(np.ones((1, 1, 3), dtype))).dtype == dtype


def test_how_many_positions_fit() -> None:
    geometry = Geometry((2, 3), (1, 0), (1, 2), 1)
    assert geometry.reach((3, 2)) == (3, 3)
    assert geometry.positions((7, 9), (3, 2)) == (4, 3)
    with pytest.raises(md.ShapeError, match="reaches over 3 but the image with its padding has only 2 in width"):
        geometry.positions((7, 2), (3, 2))


def test_pooling_rounds_down_or_up_but_begins_no_window_beyond_the_padding() -> None:
    x = device(np.ones((1, 1, 6)))
    assert pooling_window(1, x, 3, 2, 0, False).out == (2,)
    assert pooling_window(1, x, 3, 2, 0, True).out == (3,)
    assert pooling_window(1, x, 2, 3, 1, True).out == (3,)
    assert pooling_window(1, x, 1, 4, 0, True).out == (2,)  # a third would begin at place 8


def test_numbers_for_each_axis() -> None:
    assert per_axis(3, 2, "stride", 1) == (3, 3)
    assert per_axis([1, np.int64(2)], 2, "stride", 1) == (1, 2)
    assert all(type(number) is int for number in per_axis(np.int8(2), 2, "stride", 1))


@pytest.mark.parametrize("value", [0, 1.0, True, (1, True), "2", None, (1,), (1, 2, 3), [[1], [2]], np.float32(2)])
def test_what_is_no_number_for_each_axis(value) -> None:
    with pytest.raises(md.ShapeError, match="stride: expected a whole number of at least 1, or two of them; got "):
        per_axis(value, 2, "stride", 1)
