"""What arrays of NumPy and of CuPy do differently."""

from __future__ import annotations

from types import ModuleType
from typing import Any

import numpy as np
import pytest

import minidl as md
from minidl import backend
from tests.arrays import device, host


def test_data_decides(standin: ModuleType) -> None:
    ours = np.ones(2)
    theirs = standin.cupy.asarray(ours)
    assert backend.module_of(ours) is np
    assert backend.module_of(theirs) is standin.cupy
    assert backend.module_of(2.0, None, theirs) is standin.cupy
    assert backend.module_of(2.0) is np
    assert [backend.device_of(a) for a in (ours, theirs)] == ["numpy", "cupy"]
    assert [backend.is_array(a) for a in (ours, theirs, np.float64(1), 1.0, [1.0])] == [True, True, False, False, False]


def test_subclasses_of_numpys_array_are_numpys() -> None:
    masked = np.ma.masked_array([1.0, 2.0])
    assert backend.is_array(masked)
    assert backend.module_of(masked) is np


def test_moving_there_and_back(standin: ModuleType) -> None:
    array = np.arange(3.0)
    assert backend.to_device(array, "numpy") is array
    assert backend.to_numpy(array) is array
    moved = backend.to_device(array, "cupy")
    assert backend.to_device(moved, "cupy") is moved
    array[0] = 9.0
    np.testing.assert_array_equal(backend.to_numpy(moved), [0, 1, 2])
    np.testing.assert_array_equal(backend.to_device(moved, "numpy"), [0, 1, 2])


def test_asarray_makes_numbers_arrays_and_leaves_arrays() -> None:
    array = device([1.0])
    assert backend.asarray(array) is array
    assert backend.asarray(np.float32(2)).dtype == np.float32
    assert backend.asarray(2.0).shape == ()


@pytest.mark.parametrize(
    ("view", "shared"),
    [
        (lambda a: a, True),
        (lambda a: a[1:], True),
        (lambda a: a.reshape(3, 2)[0], True),
        (lambda a: a.T, True),
        (lambda a: a.copy(), False),
        (lambda a: a + 0, False),
        (lambda a: a[[0, 1]], False),
        (lambda a: a.T.reshape(-1), False),
    ],
)
def test_share_memory(view: Any, shared: bool) -> None:
    array = device(np.arange(6.0).reshape(2, 3)).copy()
    assert backend.share_memory(view(array), array) is shared
    inner = array[:]  # itself a view
    assert backend.share_memory(view(inner), inner) is shared


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64, np.int64])
def test_scatter_add_adds_at_a_repeated_index_every_time(dtype: Any) -> None:
    target = device(np.zeros((3, 2), dtype))
    backend.scatter_add(target, device([0, 2, 0]), device(np.array([[1, 2], [3, 4], [5, 6]], dtype)))
    np.testing.assert_array_equal(host(target), [[6, 8], [0, 0], [3, 4]])


def test_integers_have_no_negative_powers_on_any_backend() -> None:
    x = device(np.array([2, 3]))
    with pytest.raises(ValueError, match="negative integer powers"):
        backend.power(x, -1)
    np.testing.assert_array_equal(host(backend.power(x, 2)), [4, 9])
    np.testing.assert_array_equal(host(backend.power(2, x)), [4, 8])
    np.testing.assert_allclose(host(backend.power(x, -1.0)), [1 / 2, 1 / 3])


def test_squares_and_roots_are_exact_on_any_backend() -> None:
    for dtype in ("float32", "float64"):
        whole = np.arange(1, 50, dtype=dtype)
        np.testing.assert_array_equal(host(backend.power(device(whole), 2)), whole * whole)
        np.testing.assert_array_equal(host(backend.power(device(whole * whole), 0.5)), whole)
        assert host(backend.power(device(whole), 2.0)).dtype == dtype


@pytest.mark.parametrize("index", [0.5, np.float64(1), "a", "1", 1j])
def test_what_is_no_place_is_refused_on_a_device_too(standin: ModuleType, index: Any) -> None:
    x = md.Tensor(backend.to_device(np.ones((2, 3)), "cupy"))
    with pytest.raises(IndexError, match=r"only integers, slices .* valid indices; got"):
        x[index]
    with pytest.raises(IndexError, match="only integers"):
        x[0, index] = 1.0
    for place in (0, np.int64(1), True, np.True_, None, ..., slice(1)):
        backend.check_index(place, x._data)
    assert standin.synchronizations() == ()


def test_an_array_without_axes_promotes_as_an_exponent_too() -> None:
    x = device(np.ones(2, np.float32))
    assert backend.power(x, device(np.array(2.0))).dtype == np.float64
    assert backend.power(x, 2.0).dtype == np.float32


def test_an_index_goes_to_the_device_and_none_is_fetched_from_there(standin: ModuleType) -> None:
    here, there = np.array([0, 1]), backend.to_device(np.ones(2), "cupy")
    assert backend.moved_beside(here, np.ones(2)) is here
    moved = backend.moved_beside(here, there)
    assert backend.device_of(moved) == "cupy"
    assert backend.moved_beside(moved, there) is moved
    with pytest.raises(md.DeviceError, match=r"the index .*cupy lives elsewhere .*move it with .to\('numpy'\)"):
        backend.moved_beside(moved, np.ones(2))


def test_numbers_outside_are_found_on_the_host_and_not_looked_for_on_a_device(standin: ModuleType) -> None:
    for numbers, outside in (([0, 2], None), ([0, 3, 1], 3), ([-1, 7], -1), ([], None)):
        array = np.array(numbers, np.int64)
        assert backend.found_outside(array, 3) == outside
        assert backend.found_outside(backend.to_device(array, "cupy"), 3) is None
    assert backend.found_outside(np.array(3, np.uint8), 3) == 3
    assert standin.synchronizations() == ()


def test_memory_of_further_pools_counts_as_long_as_they_live(standin: ModuleType) -> None:
    class Pool:
        def used_bytes(self) -> int:
            return 1000

    before, pool = backend.memory_used("cupy"), Pool()
    backend.further_pools.add(pool)
    assert backend.memory_used("cupy") == before + 1000
    del pool
    assert backend.memory_used("cupy") == before


def test_as_strided_makes_overlapping_windows() -> None:
    array = device(np.arange(5.0))
    windows = backend.as_strided(array, (3, 3), (8, 8))
    np.testing.assert_array_equal(host(windows), [[0, 1, 2], [1, 2, 3], [2, 3, 4]])


def test_waiting_and_memory(standin: ModuleType) -> None:
    backend.synchronize("numpy")
    assert standin.synchronizations() == ()
    backend.synchronize("cupy")
    assert standin.synchronizations() == ("Device.synchronize()",)
    assert backend.memory_used("numpy") == 0
    assert isinstance(backend.memory_used("cupy"), int)


@pytest.mark.parametrize(
    ("values", "dtypes"),
    [
        ([np.ones(2, np.float32), np.float64(2)], [np.float32, None]),
        ([np.ones(2, np.float32), [1.0, 2.0]], [np.float32, np.float32]),
        ([np.ones(2, np.float64), [1.0, 2.0]], [np.float64, np.float64]),
        ([np.ones(2, np.float32), [1, 2]], [np.float32, np.float32]),
        ([np.ones(2, np.float32), [True, False]], [np.float32, np.bool_]),
        ([np.ones(2, np.int16), [1, 2]], [np.int16, np.int64]),
        ([np.ones(2, np.int16), [1.0, 2.0]], [np.int16, np.float32]),
        ([np.float32(1), 2.0], [np.float32, np.float64]),
        ([[1.0, 2.0]], [np.float64]),
    ],
)
def test_operands_beside_an_array_take_its_side(values: list[Any], dtypes: list[Any]) -> None:
    values = [device(value) if isinstance(value, np.ndarray) else value for value in values]
    ready = backend.as_operands(values)
    assert [getattr(value, "dtype", None) for value in ready] == dtypes
    arrays = [value for value in ready if backend.is_array(value)]
    if any(backend.is_array(value) for value in values):
        assert {backend.device_of(array) for array in arrays} == {backend.current()}


def test_a_large_array_goes_to_the_device_in_parts(cupy: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("minidl.backend.arrays.PART_MOVED", 100)
    for array in (np.arange(1000.0).reshape(8, 125), np.arange(1000, dtype=np.uint8), np.arange(60.0).reshape(6, 10).T):
        moved = backend.to_device(array, "cupy")
        np.testing.assert_array_equal(backend.to_numpy(moved), array, strict=True)


# ---- arrays of another kind than what is computed with


@pytest.mark.parametrize("dtype", ["f2", "f4", "f8", "i2", "i8", "u4"])
def test_a_native_array_is_the_same_with_its_bytes_in_order(dtype: str) -> None:
    values = np.arange(6).reshape(2, 3)
    swapped = values.astype(np.dtype(dtype).newbyteorder())
    made = backend.native(swapped)
    assert made.dtype == np.dtype(dtype)
    np.testing.assert_array_equal(made, values)
    for array in (made, values.astype("u1"), np.array([True]), values.T, device([1.0])):
        assert backend.native(array) is array


@pytest.mark.parametrize(
    "array", [np.ones((1, 2)).view(np.matrix), np.ones(3).view(np.recarray), np.ma.masked_array([1.0, 2.0])], ids=type
)
def test_a_native_array_is_of_numpys_own_class_and_shares_the_memory(array: Any) -> None:
    made = backend.native(array)
    assert type(made) is np.ndarray
    assert np.shares_memory(made, array)
    assert made.shape == array.shape


def test_masked_numbers_are_refused_for_they_would_come_back() -> None:
    with pytest.raises(md.DTypeError, match=r"without masked numbers; got MaskedArray of shape \(2,\).*x\.filled\(0\)"):
        backend.native(np.ma.masked_array([1.0, 2.0], mask=[False, True]))


def test_what_goes_to_a_device_is_native(standin: ModuleType) -> None:
    moved = backend.to_device(np.arange(3).astype(">f4"), "cupy")
    np.testing.assert_array_equal(backend.to_numpy(moved), [0, 1, 2])
