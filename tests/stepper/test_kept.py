"""What a tape keeps of an array: all of a small one, a sample of a large one, and statistics of the whole."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import minidl as md
from minidl import backend
from minidl.stepper.kept import keep, sample_of

DTYPES = [np.float16, np.float32, np.float64, np.int64, np.uint8, np.bool_]


@given(st.lists(st.integers(0, 6), max_size=4), st.sampled_from(DTYPES), st.integers(0, 99))
def test_a_small_array_is_kept_whole(shape: list[int], dtype: Any, seed: int) -> None:
    array = (np.random.default_rng(seed).standard_normal(shape) * 3).astype(dtype)
    kept = keep(array)
    assert not kept.sampled
    assert kept.shape == array.shape
    assert kept.values.dtype == array.dtype
    np.testing.assert_array_equal(kept.values, array)
    for place in np.ndindex(*array.shape):
        assert kept.at(place) == array[place]


@given(st.lists(st.integers(1, 40), min_size=1, max_size=4), st.integers(1, 300), st.integers(0, 99))
def test_a_sample_holds_the_arrays_numbers_at_the_places_it_says(shape: list[int], elements: int, seed: int) -> None:
    array = np.random.default_rng(seed).standard_normal(shape)
    kept = keep(array, elements)
    assert kept.values.size <= max(elements, 1)
    np.testing.assert_array_equal(kept.values, array[np.ix_(*kept.places())])
    place = tuple(int(p[-1]) for p in kept.places())
    assert kept.at(place) == array[place]
    smaller = kept.sampled_to(max(1, elements // 3))
    np.testing.assert_array_equal(smaller.values, array[np.ix_(*smaller.places())])


def test_statistics_are_of_the_whole_array() -> None:
    array = np.random.default_rng(0).standard_normal((50, 70)).astype(np.float32)
    array[3, :5] = 0
    kept = keep(array, 20)
    assert kept.sampled
    assert (kept.low, kept.high, kept.zeros, kept.nan, kept.infinite) == (array.min(), array.max(), 5, 0, 0)
    assert kept.mean == pytest.approx(array.mean(), rel=1e-5)
    assert kept.norm == pytest.approx(np.linalg.norm(array.astype(np.float64)), rel=1e-6)


def test_nan_and_infinity_are_counted_and_the_range_is_that_of_the_rest() -> None:
    kept = keep(np.array([np.nan, np.inf, -np.inf, 2.0, -1.0, 0.0]))
    assert (kept.low, kept.high, kept.zeros, kept.nan, kept.infinite) == (-1, 2, 1, 1, 2)
    assert math.isnan(kept.norm)
    assert keep(np.array([np.inf, 1.0])).norm == math.inf
    assert math.isnan(keep(np.array([np.nan])).low)


def test_norms_of_tiny_and_huge_numbers() -> None:
    assert keep(np.full(4, 1e-300)).norm == pytest.approx(2e-300)
    assert keep(np.full(4, 1e30, np.float32)).norm == pytest.approx(2e30)
    assert keep(np.zeros(3)).norm == 0
    assert keep(np.zeros((0, 3))).norm == 0


def test_an_image_stays_an_image() -> None:
    first, channels, rows, columns = sample_of((64, 20, 24, 24), 4096)
    assert first.tolist() == [0]
    assert channels.tolist() == list(range(7))
    assert rows is columns is None


def test_a_long_thin_matrix_keeps_its_short_side() -> None:
    rows, columns = sample_of((10, 5000), 1000)
    assert rows is None
    assert len(columns) == 100
    assert columns[-1] == 4999


def test_later_writes_do_not_change_what_was_kept() -> None:
    array = np.ones((3, 3), np.float32)
    whole, part = keep(array), keep(array[:, 1:], 2)
    array[...] = 7
    assert whole.values.max() == part.values.max() == 1


def test_a_place_outside_of_the_array_is_refused() -> None:
    kept = keep(np.zeros((2, 3)))
    assert kept.at((-1, -3)) == 0
    for place in [(2, 0), (0,), (0, 0, 0)]:
        with pytest.raises(IndexError, match=r"an index into shape \(2, 3\)"):
            kept.at(place)
    assert keep(np.zeros(100), 3).at((1,)) is None


@pytest.mark.gpu
def test_what_is_kept_of_a_device_lies_on_the_host() -> None:
    x = md.tensor(np.random.default_rng(0).standard_normal((30, 40)).astype(np.float32)).to("cupy")
    for elements in (10_000, 50):
        kept = keep(x, elements)
        assert type(kept.values) is np.ndarray
        np.testing.assert_array_equal(kept.values, backend.to_numpy(x.data)[np.ix_(*kept.places())])
        assert kept.norm == pytest.approx(float(np.linalg.norm(x.numpy())), rel=1e-5)
