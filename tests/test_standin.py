"""The stand-in refuses what CuPy refuses, gives what CuPy gives, and has nothing CuPy lacks."""

from __future__ import annotations

import copy
import importlib
import pickle
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from tests.cupy_standin import modules, reset_synchronizations, synchronizations
from tests.cupy_standin.functions import METHODS
from tests.cupy_standin.names import NAMES, Parameters
from tests.cupy_standin.ndarray import ndarray


@pytest.fixture
def cp(standin: ModuleType) -> Any:
    return standin.cupy


def on(cp: Any, values: Any) -> Any:
    return cp.asarray(np.asarray(values))


# ---- what it has


@pytest.mark.parametrize("name", sorted(modules.contents()))
def test_everything_in_it_is_in_cupy(name: str) -> None:
    assert name in NAMES


def test_every_method_and_attribute_of_its_array_is_one_of_cupys() -> None:
    own = {name for name in dir(ndarray) if not name.startswith("_")}
    assert own >= set(METHODS)
    assert own <= {name.removeprefix("ndarray.") for name in NAMES if name.startswith("ndarray.")}


def test_a_function_it_does_not_list_is_not_there(cp: Any) -> None:
    assert importlib.import_module("cupy") is cp
    with pytest.raises(AttributeError, match="no attribute 'nditer'"):
        cp.nditer  # NumPy has it, CuPy has not
    with pytest.raises(AttributeError):
        on(cp, [1.0]).itemset


def test_parameters_are_cupys(cp: Any) -> None:
    x = on(cp, [1.0, 2.0])
    with pytest.raises(TypeError, match="'where'"):
        cp.sum(x, where=x > 1)
    with pytest.raises(TypeError, match="initial"):
        x.max(initial=0)
    with pytest.raises(TypeError, match="where"):
        cp.add(x, x, where=x > 1)
    with pytest.raises(TypeError, match="4 positional"):
        Parameters.read("(a, b=1, c='x', d=..., *, e=None)").check("f", (1, 2, 3, 4, 5), {})
    with pytest.raises(TypeError, match="'g'"):
        Parameters.read("(a, *, e=None)").check("f", (1,), {"e": 1, "g": 2})
    Parameters.read("(*operands, **kwargs)").check("f", (1, 2), {"anything": 1})


# ---- what it is


def test_its_array_is_no_numpy_array(cp: Any) -> None:
    x = on(cp, [1.0])
    assert not isinstance(x, np.ndarray)
    assert type(x).__module__.startswith("cupy")
    assert not hasattr(x.flags, "writeable")


@pytest.mark.parametrize(
    "result",
    [
        lambda x: x.sum(),
        lambda x: x[1, 2],
        lambda x: x.max(axis=(0, 1)),
        lambda x: x.argmax(),
        lambda x: (x > 0).all(),
        lambda x: x.sum() * 2,
        lambda x: x.mean() / x.sum(),
        lambda x: np.sum(x),
        lambda x: -x[0, 0],
        lambda x: x.ravel().dot(x.ravel()),
        lambda x: x[0] @ x[1],
    ],
)
def test_a_single_number_is_a_0d_array(cp: Any, result: Any) -> None:
    found = result(on(cp, np.arange(6.0).reshape(2, 3)))
    assert isinstance(found, cp.ndarray)
    assert found.shape == ()


def test_one_element_is_a_view_of_its_array(cp: Any) -> None:
    x = on(cp, [1.0, 2.0])
    x[1][...] = 5
    assert cp.asnumpy(x).tolist() == [1, 5]


def test_a_view_knows_its_base(cp: Any) -> None:
    x = on(cp, np.arange(6.0))
    assert x.base is None
    assert x.reshape(2, 3).base is x
    assert x.reshape(2, 3).T[0].base is x
    assert x[1:].base is x
    assert cp.broadcast_to(x, (2, 6)).base is x
    assert x.copy().base is None
    assert x[[0, 1]].base is None
    assert (x + 1).base is None
    assert cp.lib.stride_tricks.as_strided(x, (2,), (8,)).base is None  # CuPy forgets it here


def test_scalars_do_not_promote_but_numpys_do(cp: Any) -> None:
    x = on(cp, np.ones(3, np.float32))
    assert (x * 2.5).dtype == (2.5 * x).dtype == (x**2).dtype == np.float32
    assert cp.maximum(x, 0).dtype == cp.where(x > 0, x, 0.5).dtype == np.float32
    assert (x * np.float64(2)).dtype == np.float64
    x += 1.5
    assert x.dtype == np.float32


# ---- what it refuses


@pytest.mark.parametrize(
    "misuse",
    [
        lambda cp, x, host: x + host,
        lambda cp, x, host: host + x,
        lambda cp, x, host: x @ host,
        lambda cp, x, host: host @ x,
        lambda cp, x, host: x > host,
        lambda cp, x, host: np.add(x, host),
        lambda cp, x, host: cp.maximum(x, host),
        lambda cp, x, host: cp.concatenate([x, host]),
        lambda cp, x, host: np.concatenate([x, host]),
        lambda cp, x, host: cp.where(x > 0, x, host),
        lambda cp, x, host: cp.where(host > 0, x, x),
        lambda cp, x, host: cp.exp(host),
        lambda cp, x, host: cp.sum(host),
        lambda cp, x, host: cp.maximum(x, [0.0, 1.0, 2.0]),
        lambda cp, x, host: cp.maximum(x, None),
        lambda cp, x, host: np.asarray(x),
        lambda cp, x, host: np.array([x, x]),
        lambda cp, x, host: host.__iadd__(x),
        lambda cp, x, host: x.__iadd__(host),
        lambda cp, x, host: cp.concatenate([x[0], x[1]]),
        lambda cp, x, host: cp.add.at(x, [0], host),
        lambda cp, x, host: range(x.argmax()),
        lambda cp, x, host: {x},
    ],
)
def test_numpy_arrays_and_implicit_conversion_are_refused(cp: Any, misuse: Any) -> None:
    with pytest.raises((TypeError, AttributeError)):
        misuse(cp, on(cp, [1.0, 2.0, 3.0]), np.array([1.0, 2.0, 3.0]))


def test_a_numpy_array_cannot_be_stored(cp: Any) -> None:
    x = on(cp, np.zeros(3))
    with pytest.raises(ValueError, match="non-scalar"):
        x[:] = np.ones(3)
    x[:] = 2
    x[0] = np.float64(3)
    assert cp.asnumpy(x).tolist() == [3, 2, 2]


def test_where_needs_an_array_as_its_condition(cp: Any) -> None:
    with pytest.raises(AttributeError, match="astype"):
        cp.where(True, on(cp, [1.0]), 0)


def test_few_functions_scatter(cp: Any) -> None:
    x = on(cp, np.zeros(3))
    cp.add.at(x, on(cp, [1, 1, 2]), on(cp, [1.0, 2.0, 3.0]))
    assert cp.asnumpy(x).tolist() == [0, 3, 3]
    with pytest.raises(NotImplementedError, match="multiply"):
        cp.multiply.at(x, on(cp, [1]), 2.0)
    with pytest.raises(TypeError, match="only supports"):
        cp.add.at(x > 0, on(cp, [1]), True)


@pytest.mark.parametrize(
    "misuse",
    [
        lambda cp, x: cp.maximum.at(x.astype(np.float16), on(cp, [0]), 1),
        lambda cp, x: cp.subtract.at(x, on(cp, [0]), 1),
        lambda cp, x: cp.add.at(x.astype(np.uint8), on(cp, [0]), 1),
        lambda cp, x: x.set(np.ones(2)),
        lambda cp, x: x.set(np.ones(3, np.float32)),
        lambda cp, x: x[::2].set(np.ones(2)),
        lambda cp, x: x.argsort(kind="quicksort"),
        lambda cp, x: cp.sort(x, kind="heapsort"),
    ],
)
def test_what_cupy_cannot_do_is_refused(cp: Any, misuse: Any) -> None:
    with pytest.raises((TypeError, ValueError, RuntimeError)):
        misuse(cp, on(cp, [1.0, 2.0, 3.0]))


# ---- what it computes differently


@pytest.mark.parametrize(
    "f",
    [
        lambda cp, x: x + 1,
        lambda cp, x: cp.exp(x),
        lambda cp, x: cp.where(x > 0, x, 0),
        lambda cp, x: x.sum(axis=1),
        lambda cp, x: x.copy(),
    ],
)
def test_results_are_c_contiguous_whatever_the_operands_layout(cp: Any, f: Any) -> None:
    x = on(cp, np.arange(24.0).reshape(2, 3, 4)).transpose(2, 0, 1)
    assert not x.flags.c_contiguous
    assert f(cp, x).flags.c_contiguous
    assert not x.astype(np.float32).flags.c_contiguous  # keeps the layout, as `empty_like` does


def test_a_shape_of_a_single_number_is_overlooked_by_what_is_made_like_another(cp: Any) -> None:
    assert cp.zeros_like(on(cp, [1.0, 2.0]), shape=()).shape == (2,)


@pytest.mark.parametrize(
    "f",
    [
        lambda x: np.sum(x),
        lambda x: np.sum(x, axis=1),
        lambda x: x.mean(axis=(0, 2), keepdims=True),
        lambda x: x.var(axis=0),
        lambda x: x @ x.swapaxes(1, 2),
        lambda x: np.exp(x),
        lambda x: np.abs(x) ** 1.3,
    ],
)
def test_results_are_numpys_up_to_rounding_and_no_further(cp: Any, f: Any) -> None:
    values = np.random.default_rng(0).standard_normal((7, 33, 5)).astype(np.float32)
    found, expected = cp.asnumpy(f(on(cp, values))), f(values)
    assert found.dtype == expected.dtype
    np.testing.assert_allclose(found, expected, rtol=2e-6, atol=2e-6)
    assert (found != expected).any()


def test_round_results_are_exact(cp: Any) -> None:
    x = on(cp, np.array([0.0, 1.0, -0.0], np.float32))
    assert cp.asnumpy(cp.exp(x)).tolist()[0] == 1
    assert cp.asnumpy(cp.log(x)).tolist()[1] == 0
    assert cp.asnumpy(cp.square(on(cp, [2.0, 3.0]))).tolist() == [4, 9]
    assert cp.asnumpy(cp.sqrt(on(cp, [4.0, 9.0]))).tolist() == [2, 3]


def test_round_powers_are_a_unit_off(cp: Any) -> None:
    """3.0 ** 1 was 2.9999999999999996 on an H200."""
    assert cp.asnumpy(on(cp, [0.0, 1.0, 3.0]) ** 1.0).tolist() == [0, 1, np.nextafter(3, 0)]


def test_each_of_several_sums_is_shared_out_among_few_threads(cp: Any) -> None:
    """200,001 float32 numbers lost a digit more than in pairs on an H200."""
    rows = on(cp, np.full((200_001, 2), 0.1, np.float32))
    off = np.abs(cp.asnumpy(rows.sum(axis=0)) / 20000.1 - 1)
    assert (off > 3e-6).all()
    assert (off < 1e-3).all()
    np.testing.assert_allclose(cp.asnumpy(rows.sum()), 40000.2, rtol=1e-6)  # in pairs
    np.testing.assert_allclose(cp.asnumpy(rows.sum(axis=0, dtype=np.float64)), 20000.1, rtol=1e-7)
    ordered = np.arange(24.0).reshape(2, 3, 4)
    for axis, keepdims in ((0, True), ((0, 2), True), (1, False), ((2, 0), False), (None, True)):
        found = on(cp, ordered).sum(axis=axis, keepdims=keepdims)
        np.testing.assert_array_equal(cp.asnumpy(found), ordered.sum(axis=axis, keepdims=keepdims))


def test_small_numbers_count_as_0_in_a_gpus_arithmetic(cp: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    small, normal = np.float32(1e-38), np.float32(1.2e-38)
    for arithmetic, expected in (("cpu", [small, normal]), ("gpu", [0, normal])):
        monkeypatch.setattr("tests.cupy_standin.kernels.arithmetic", arithmetic)
        x = on(cp, np.array([small, normal]))
        for result in (x * 1, x + 0, x[:, None].sum(axis=1), x[:, None].max(axis=1)):
            assert cp.asnumpy(result).tolist() == [float(number) for number in expected]
    assert cp.asnumpy(on(cp, np.array([1e-39])) * 1).tolist() == [1e-39]


@pytest.mark.parametrize(
    ("misuse", "error", "words"),
    [
        (lambda cp: on(cp, 3.0).argmax(axis=0), IndexError, "axis 0 is out of bounds"),
        (lambda cp: cp.argmin(on(cp, 3.0), axis=-1), IndexError, "out of bounds"),
        (lambda cp: cp.clip(on(cp, [1.0]), "a", None), TypeError, "Unsupported type <class 'str'>"),
        (lambda cp: cp.asarray(np.array([None, None])), ValueError, "Unsupported dtype object"),
        (lambda cp: on(cp, [1.0, 2.0])["a"], ValueError, "invalid literal"),
    ],
)
def test_what_numpy_takes_and_cupy_refuses(cp: Any, misuse: Any, error: type[Exception], words: str) -> None:
    with pytest.raises(error, match=words):
        misuse(cp)


def test_what_cupy_takes_and_numpy_refuses(cp: Any) -> None:
    x = on(cp, [1.0, 2.0])
    assert cp.asnumpy(x[0.5]).tolist() == 1
    assert cp.asnumpy(x["1"]).tolist() == 2
    assert bool(cp.shares_memory(on(cp, 1.0), on(cp, 1.0)))  # wrongly
    assert not bool(cp.may_share_memory(on(cp, 1.0), on(cp, 1.0)))


def test_numbers_that_are_scattered_come_in_any_order(cp: Any) -> None:
    values = np.random.default_rng(0).standard_normal(1000).astype(np.float32)
    seen = set()
    for _ in range(20):
        x = cp.zeros(1, np.float32)
        cp.add.at(x, on(cp, np.zeros(1000, int)), on(cp, values))
        seen.add(float(x[0]))
    assert len(seen) > 1
    np.testing.assert_allclose(list(seen), values.sum(dtype=np.float64), rtol=1e-4)


def test_what_arrays_hold_is_counted_and_views_count_once(cp: Any) -> None:
    pool = cp.get_default_memory_pool()
    before = pool.used_bytes()
    x = cp.zeros((1000, 4), np.float64)
    assert pool.used_bytes() - before == 32256  # a multiple of 512
    windows = cp.lib.stride_tricks.as_strided(x, (999, 8), (32, 8))
    view = x[1:].T
    del x
    assert pool.used_bytes() - before == 32256
    del windows, view
    assert pool.used_bytes() == before
    pool.set_limit(size=before + 1024)
    try:
        with pytest.raises(MemoryError, match="allocating 1,536 bytes"):
            cp.zeros(130)
    finally:
        pool.set_limit(size=0)


# ---- where a GPU is silent


def test_an_index_out_of_range_wraps_around(cp: Any) -> None:
    x = on(cp, [[0.0, 1.0, 2.0], [3.0, 4.0, 5.0]])
    assert cp.asnumpy(x[:, on(cp, [3, -1])]).tolist() == [[0, 2], [3, 5]]
    with pytest.raises(IndexError):
        x[:, 3]  # a plain integer is checked


def test_which_of_two_values_written_to_one_place_stays_is_undefined(cp: Any) -> None:
    seen = set()
    for _ in range(50):
        x = on(cp, [0.0])
        x[on(cp, [0, 0])] = on(cp, [1.0, 2.0])
        seen.add(float(x[0]))
    assert seen == {1, 2}


def test_no_warning_for_overflow_and_division_by_zero(cp: Any) -> None:
    x = on(cp, np.array([0.0, 1000.0], np.float32))
    assert cp.asnumpy(1 / x)[0] == np.inf
    assert cp.asnumpy(cp.exp(x))[1] == np.inf


# ---- what stays on the device, and what waits for it


@pytest.mark.parametrize(
    "f", [np.exp, np.sum, np.square, np.argmax, lambda x: np.concatenate([x, x]), lambda x: np.add(2, x)]
)
def test_numpys_functions_stay_on_the_device(cp: Any, f: Any) -> None:
    values = np.array([1.0, 2.0])
    found = f(on(cp, values))
    assert isinstance(found, cp.ndarray)
    np.testing.assert_allclose(cp.asnumpy(found), f(values), rtol=1e-15)


@pytest.mark.parametrize(
    "look",
    [
        float,
        int,
        bool,
        complex,
        repr,
        str,
        pickle.dumps,
        lambda x: x.item(),
        lambda x: x.tolist(),
        lambda x: x.get(),
        lambda x: x.tobytes(),
        lambda x: f"{x}",
        lambda x: importlib.import_module("cupy").asnumpy(x),
        lambda x: x.reshape(1).nonzero(),
        lambda x: x[x > 0],
        lambda x: importlib.import_module("cupy").cuda.Device().synchronize(),
        lambda x: importlib.import_module("cupy").zeros(2).fill(x),
        lambda x: importlib.import_module("cupy").arange(x),
    ],
)
def test_every_look_at_a_value_is_counted(cp: Any, look: Any) -> None:
    x = on(cp, 2.0)
    reset_synchronizations()
    look(x)
    assert len(synchronizations()) == 1


def test_computing_does_not_wait(cp: Any) -> None:
    x = on(cp, np.arange(6.0).reshape(2, 3))
    reset_synchronizations()
    y = cp.exp(x @ x.T).sum(axis=0) / x.mean()
    y[0] = y[1]
    y += 1
    cp.add.at(y, on(cp, [0, 0]), 1.0)
    copy.deepcopy(y)
    cp.random.Generator(cp.random.Philox4x3210(3)).random((2, 2), dtype=np.float32)
    assert synchronizations() == ()
