"""minidl/fast/cpu/indexing.py: what index arrays picked out, added up by numbered places."""

from __future__ import annotations

import math
import tracemalloc
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import minidl as md
import minidl.functional as F
from minidl.fast.cpu import indexing, threads
from minidl.functional.indexing import AddAt
from tests.factory import LAYOUTS, examples, laid_out, shapes
from tests.functional.test_indexing import FORMS, indices, named

pytestmark = pytest.mark.usefixtures("faster_versions")


@pytest.fixture(scope="module", params=["columns", "rows"], autouse=True)
def way(request: pytest.FixtureRequest) -> Iterator[str]:
    """The version is taken for the fewest of numbers, and adds up as little at a time as it may, in either way."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(indexing, "SMALL", 0)
        patch.setattr(indexing, "MANY", 1)
        patch.setattr(indexing, "LONG", 2 if request.param == "rows" else 1000)
        patch.setattr(threads, "BLOCK", 1)
        yield request.param


def added_up(index: Any, shape: tuple[int, ...], x: Any) -> Any:
    """For each place the sum of what is put there, rounded once."""
    numbers = np.arange(math.prod(shape)).reshape(shape)[index].reshape(-1)
    hits: list[list[float]] = [[] for _ in range(math.prod(shape))]
    for number, value in zip(numbers, x.reshape(-1), strict=True):
        hits[number].append(float(value))
    return np.array([math.fsum(each) for each in hits]).reshape(shape).astype(x.dtype)


def both_ways(index: Any, shape: tuple[int, ...], x: Any) -> Any:
    """What the version makes, which is what the plain lines make, to the bit."""
    op = AddAt(index, shape)
    result = op(x)
    assert type(op) is indexing.AddAt
    with md.plain():
        np.testing.assert_array_equal(result, AddAt(index, shape)(x), strict=True)
    return result


@examples(80)
@given(st.data())
def test_it_is_the_float64_sum_whatever_the_index(data: Any) -> None:
    shape = data.draw(shapes())
    index = data.draw(indices(shape, True))
    dtype = data.draw(st.sampled_from(["float32", "float64", "float16", "int64"]))
    place = np.zeros(shape)[index].shape
    x = np.random.default_rng(data.draw(st.integers(0, 99))).integers(-2000, 2000, place)  # their sums are exact
    x = laid_out((x if dtype == "int64" else x / 16).astype(dtype), data.draw(st.sampled_from(LAYOUTS)))
    np.testing.assert_array_equal(both_ways(index, shape, x), added_up(index, shape, x), strict=True)


@pytest.mark.parametrize("index", [i for i in FORMS if isinstance(i, (np.ndarray, tuple))], ids=named)
def test_forms_of_index(index: Any) -> None:
    """A sequence in an index is an array by the time that it is an op's."""
    plain = F.getitem(md.Tensor(np.zeros((3, 4)), requires_grad=True), index)._op.index  # type: ignore[union-attr]
    x = np.random.default_rng(0).integers(-9, 9, np.zeros((3, 4))[index].shape).astype(np.float32)
    both_ways(plain, (3, 4), np.asarray(x))


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
@pytest.mark.parametrize("hits", [(), (1,), (50,), (0,), (6, 7)])
@pytest.mark.parametrize("shape", [(9, 4), (3, 2, 5), (300, 1), (2, 0), (7,), (4, 35), (2, 16)])
def test_rows_of_any_numbers_and_layout(dtype: str, hits: tuple[int, ...], shape: tuple[int, ...]) -> None:
    rng = np.random.default_rng(0)
    index = np.asarray(rng.integers(-shape[0], shape[0], hits))
    x = rng.standard_normal((*hits, *shape[1:])).astype(dtype)
    for layout in LAYOUTS:
        both_ways(index, shape, laid_out(x, layout) if x.size else x)


def test_places_hit_seldom_and_often() -> None:
    rng = np.random.default_rng(0)
    index = (40 * rng.random(2000) ** 4).astype(int)
    both_ways(index, (50, 6), rng.standard_normal((2000, 6)).astype(np.float32))


@pytest.mark.parametrize("index", ["uint8", "int8", "uint64", "int64"])
def test_places_of_any_integer_dtype(index: str) -> None:
    places = np.array([100, 3, 100]).astype(index)
    total = both_ways(places, (300, 2), np.ones((3, 2), np.float32))
    assert total[[100, 3, 0], 0].tolist() == [2, 1, 0]


@pytest.mark.parametrize(("dtype", "value", "hits"), [("float16", 0.125, 400_000), ("float32", 0.1, 1_000_000)])
@pytest.mark.parametrize("row", [(), (2,)])
def test_a_place_hit_very_often_loses_nothing(dtype: str, value: float, hits: int, row: tuple[int, ...]) -> None:
    """One after the other a million times 0.1 make 100,958 in float32, and eighths no more than 256 in float16."""
    index = np.zeros(hits, int)
    exact = np.array([hits * value, 0]).astype(dtype)
    total = both_ways(index, (2, *row), np.full((hits, *row), value, dtype))
    np.testing.assert_array_equal(total.reshape((2, -1))[:, 0], exact)
    one_by_one = np.zeros(2, dtype)
    np.add.at(one_by_one, index, np.array(value, dtype))
    assert abs(one_by_one[0] / exact[0] - 1) > 0.009


@pytest.mark.parametrize("wrong", [np.inf, np.nan])
def test_infinite_numbers_stay_at_their_place(wrong: float) -> None:
    x = np.array([[1.0, wrong], [2, 3], [4, -wrong]])
    np.testing.assert_array_equal(both_ways(np.array([1, 0, 1]), (3, 2), x), [[2, 3], [5, np.nan], [0, 0]])


def test_second_derivatives_are_those_of_the_plain_lines() -> None:
    rng, found = np.random.default_rng(0), []
    values, index = rng.standard_normal((5, 3)), rng.integers(0, 5, 9)
    for mode in (md.plain(), md.enable_grad()):
        with mode:
            x = md.Tensor(values, requires_grad=True)
            first = md.grad((x[index] ** 3).sum(), x, create_graph=True)
            found.append([first._data, md.grad((first**2).sum(), x)._data])
    np.testing.assert_array_equal(*found)


@pytest.mark.parametrize(("places", "length"), [(10, 1), (10, 5), (500, 17), (20_000, 64)])
def test_memory(places: int, length: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(threads, "BLOCK", 1 << 16)
    index = np.random.default_rng(0).integers(0, places, 10_000)
    x = np.ones((10_000, length), np.float32)
    peaks = []
    for mode in (md.plain(), md.enable_grad()):
        with mode:
            tracemalloc.start()
            AddAt(index, (places, length))(x)
            peaks.append(tracemalloc.get_traced_memory()[1])
            tracemalloc.stop()
    assert peaks[1] < 2.5 * peaks[0]


def test_long_rows_are_added_up_as_such(way: str, monkeypatch: pytest.MonkeyPatch) -> None:
    added: list[tuple[int, ...]] = []
    own = indexing._add_rows
    monkeypatch.setattr(indexing, "_add_rows", lambda out, places, x: added.append(x.shape) or own(out, places, x))
    for length in (1, 5):
        AddAt(np.array([0, 1, 1]), (2, length))(np.ones((3, length)))
    assert added == ([(3, 5)] if way == "rows" else [])


def test_few_numbers_take_the_plain_lines(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(indexing, "SMALL", 2000)
    taken = []
    index = np.array([0, 1, 1])
    for shape in ((3, 4), (2, 700), (100_000,)):
        op = AddAt(index, shape)
        op(np.ones((3, *shape[1:])))
        taken.append(type(op) is indexing.AddAt)
    assert taken == [False, True, True]
    assert not AddAt(index, (2, 700)).versions[0].fits(AddAt(index, (2, 700)), np.ones((3, 700), complex))
