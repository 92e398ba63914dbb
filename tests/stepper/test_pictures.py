"""Arrays as text: numbers are NumPy's, large arrays are a picture."""

from __future__ import annotations

import numpy as np
import pytest

from minidl.stepper.kept import keep
from minidl.stepper.pictures import array_lines, one, statistics


@pytest.mark.parametrize("value", [0.1, 1 / 3, 1e-30, np.nan, -np.inf, 0.0, 123456789.0])
@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
def test_one_number_is_printed_as_numpy_does(value: float, dtype: str) -> None:
    with np.errstate(over="ignore"):
        array = np.array([value]).astype(dtype)
    assert one(keep(array), (0,)) == str(array[0])


def test_a_small_array_is_printed_as_numpy_does() -> None:
    array = np.linspace(-1, 1, 64, dtype=np.float32).reshape(8, 8)
    assert array_lines(keep(array), 80) == np.array2string(array, precision=4, max_line_width=80).split("\n")
    assert len(array_lines(keep(array * 1e-6), 84)) == 8  # fewer digits, whole rows


def test_the_users_print_options_change_nothing() -> None:
    array = np.array([1.23456, 1e-9])
    before = array_lines(keep(array), 80)
    with np.printoptions(precision=1, suppress=True, sign="+"):
        assert array_lines(keep(array), 80) == before


@pytest.mark.parametrize("shape", [(9, 8), (100,), (64, 1), (3, 4, 28, 28), (5000,), (2, 3000)])
def test_a_larger_array_is_statistics_and_a_picture(shape: tuple[int, ...]) -> None:
    array = np.arange(np.prod(shape), dtype=np.float32).reshape(shape)
    first, *rows, legend = array_lines(keep(array), 60)
    assert first.startswith(f"0 to {array.max():.4g}, mean {array.mean(dtype=np.float64):.4g}")
    assert len(rows) <= 10
    assert len({len(row) for row in rows}) == 1
    assert max(map(len, rows)) <= 60
    assert "' ' " in legend
    assert rows[0][1] == " "  # the lowest number is blank
    assert rows[-1][-2] == "#"  # the highest is full


def test_numbers_that_are_none_are_seen() -> None:
    array = np.ones((10, 10), np.float32)
    array[0, 0], array[1, 1] = np.nan, np.inf
    first, *rows, _ = array_lines(keep(array), 80)
    assert "1 NaN, 1 infinite" in first
    assert (rows[0][1], rows[1][2], rows[2][3]) == ("?", "?", ":")


def test_nothing_and_the_largest_numbers() -> None:
    assert array_lines(keep(np.ones((0, 3))), 80) == ["[] (it has no elements)"]
    huge = np.full((10, 10), np.finfo(np.float64).max)
    huge[0] *= -1
    assert array_lines(keep(huge), 80)[1] == "|          |"
    assert "norm" in statistics(keep(huge))


def test_yes_and_no_are_a_picture_too() -> None:
    assert array_lines(keep(np.eye(10, dtype=bool)), 80)[1] == "|#         |"
