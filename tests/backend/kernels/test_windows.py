"""Columns and pooling: the kernels compute what the plain versions do, in one launch."""

from __future__ import annotations

import math
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from minidl.backend.kernels import windows as w
from tests.backend.kernels.agreement import assert_close, both, dtypes, launched, needs_compiler, numbers

pytestmark = [needs_compiler, pytest.mark.usefixtures("cupy")]
few = settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


@st.composite
def geometries(draw: Any, pooling: bool = False) -> Any:
    """(x_shape, kernel, stride, padding, dilation, out) for one to three axes."""
    n = draw(st.integers(1, 3))
    images, channels = draw(st.integers(0 if not pooling else 1, 3)), draw(st.integers(1, 3))
    axes = []
    for _ in range(n):
        k, s = draw(st.integers(1, 4)), draw(st.integers(1, 3))
        d = 1 if pooling else draw(st.integers(1, 2))
        p = draw(st.integers(0, k // 2 if pooling else 3))
        size = draw(st.integers(max(1, d * (k - 1) + 1 - 2 * p), 9))
        span = size + 2 * p - d * (k - 1) - 1
        out = span // s + 1
        if pooling and draw(st.booleans()):  # rounded up, as long as the last window begins inside
            out = -(-span // s) + 1
            out -= (out - 1) * s >= size + p
        axes.append((size, k, s, p, d, out))
    size, k, s, p, d, out = (tuple(numbers) for numbers in zip(*axes, strict=True))
    return (images, channels, *size), k, s, p, d, out


@few
@given(geometry=geometries(), dtype=st.sampled_from(["float16", "float32", "float64"]))
def test_columns(cupy: ModuleType, geometry: Any, dtype: str) -> None:
    x_shape, k, s, p, d, out = geometry
    x = numbers(x_shape, dtype)
    (found,), (expected,) = both(lambda a: w.columns(a, k, out, s, p, d), x)
    np.testing.assert_array_equal(found, expected, strict=True)


@few
@given(geometry=geometries(), dtype=st.sampled_from(["float16", "float32", "float64"]))
def test_columns_added_back(cupy: ModuleType, geometry: Any, dtype: str) -> None:
    x_shape, k, s, p, d, out = geometry
    cols = numbers((x_shape[1] * math.prod(k), x_shape[0] * math.prod(out)), dtype)
    (found,), (expected,) = both(lambda a: w.add_columns(a, x_shape, k, out, s, p, d), cols)
    assert_close(found, expected)


@few
@given(geometry=geometries(), transposed=st.booleans())
def test_adding_back_is_the_transpose_of_taking(cupy: ModuleType, geometry: Any, transposed: bool) -> None:
    x_shape, k, s, p, d, out = geometry
    x = numbers(x_shape, "float64")
    cols = numbers((x_shape[1] * math.prod(k), x_shape[0] * math.prod(out)), "float64", 1)
    if transposed:  # strides as a product of transposed matrices gives them
        cols = np.asfortranarray(cols)
    (taken,), _ = both(lambda a: w.columns(a, k, out, s, p, d), x)
    (added,), _ = both(lambda a: w.add_columns(a, x_shape, k, out, s, p, d), cols)
    assert (taken * cols).sum() == pytest.approx((x * added).sum(), rel=1e-9, abs=1e-9)


@few
@given(geometry=geometries(pooling=True), dtype=st.sampled_from(["float16", "float32", "float64"]), data=st.data())
def test_max_pooling(cupy: ModuleType, geometry: Any, dtype: str, data: Any) -> None:
    x_shape, k, s, p, _, out = geometry
    x = numbers(x_shape, dtype)
    kind = data.draw(st.sampled_from(["any", "equal", "nan", "low"]))
    if kind == "equal":
        x = np.round(x)
    elif kind == "nan":
        x[x > 1] = np.nan
    elif kind == "low":
        x[...] = -np.inf
    (best, chosen), (expected, expected_chosen) = both(lambda a: w.max_pool(a, k, s, p, out), x)
    np.testing.assert_array_equal(best, expected, strict=True)
    np.testing.assert_array_equal(chosen, expected_chosen, strict=True)

    grad = numbers((*x_shape[:2], *out), dtype, 1)
    (put,), (expected_put,) = both(lambda g, c: w.put_chosen(g, c, x_shape, k, s, p), grad, expected_chosen)
    assert_close(put, expected_put)
    (taken,), (expected_taken,) = both(lambda a, c: w.take_chosen(a, c, k, s, p), numbers(x_shape, dtype), chosen)
    np.testing.assert_array_equal(taken, expected_taken, strict=True)


@few
@given(
    geometry=geometries(pooling=True),
    dtype=st.sampled_from(["float16", "float32", "float64"]),
    with_padding=st.booleans(),
)
def test_average_pooling(cupy: ModuleType, geometry: Any, dtype: str, with_padding: bool) -> None:
    x_shape, k, s, p, _, out = geometry
    (mean,), (expected,) = both(lambda a: w.mean_pool(a, k, s, p, out, with_padding), numbers(x_shape, dtype))
    assert_close(mean, expected)
    grad = numbers((*x_shape[:2], *out), dtype, 1)
    (spread,), (expected,) = both(lambda g: w.spread_mean(g, x_shape, k, s, p, with_padding), grad)
    assert_close(spread, expected)


@dtypes
def test_each_is_one_launch(cupy: ModuleType, dtype: str) -> None:
    x, grad = numbers((2, 3, 6, 6), dtype), numbers((2, 3, 3, 3), dtype)
    two, none = (2, 2), (0, 0)
    _, (_, chosen) = both(lambda a: w.max_pool(a, two, two, none, (3, 3)), x)
    assert launched() in ((), ("max_pool",))
    for name, function, args in [
        ("columns", lambda a: w.columns(a, two, (3, 3), two, none, (1, 1)), (x,)),
        (
            "add_columns",
            lambda a: w.add_columns(a, x.shape, two, (3, 3), two, none, (1, 1)),
            (numbers((12, 18), dtype),),
        ),
        ("put_chosen", lambda g, c: w.put_chosen(g, c, x.shape, two, two, none), (grad, chosen)),
        ("take_chosen", lambda a, c: w.take_chosen(a, c, two, two, none), (x, chosen)),
        ("mean_pool", lambda a: w.mean_pool(a, two, two, none, (3, 3), True), (x,)),
        ("spread_mean", lambda g: w.spread_mean(g, x.shape, two, two, none, True), (grad,)),
    ]:
        both(function, *args)
        assert launched() in ((), (name,))


def test_a_view_is_copied_first(cupy: ModuleType) -> None:
    x = numbers((6, 6, 3, 2), "float32")
    taken = [w.max_pool(a, (2, 2), (2, 2), (0, 0), (3, 3))[0] for a in (x.T, np.ascontiguousarray(x.T))]
    np.testing.assert_array_equal(*taken)
    (best, _), (expected, _) = both(lambda a: w.max_pool(a.T, (2, 2), (2, 2), (0, 0), (3, 3)), x)
    np.testing.assert_array_equal(best, expected)


def test_integers_have_no_kernel_and_are_pooled_all_the_same(cupy: ModuleType) -> None:
    x = np.arange(16).reshape(1, 1, 4, 4)
    (best, _), (expected, _) = both(lambda a: w.max_pool(a, (2, 2), (2, 2), (0, 0), (2, 2)), x)
    np.testing.assert_array_equal(best, expected)
    assert launched() != ("max_pool",)
