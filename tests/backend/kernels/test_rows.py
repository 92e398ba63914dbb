"""Softmax and cross entropy of rows: the kernels compute what the plain versions do, in one launch."""

from __future__ import annotations

from types import ModuleType
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from minidl.backend.kernels import rows
from tests.backend.kernels.agreement import assert_close, both, dtypes, launched, needs_compiler, numbers, on_device
from tests.cupy_standin import kernels as standin_kernels

pytestmark = [needs_compiler, pytest.mark.usefixtures("cupy")]
few = settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
shapes = st.sampled_from([(1,), (7,), (3, 1), (5, 10), (2, 3, 33), (0, 4), (9, 70), (300, 3)])
dtype_names = st.sampled_from(["float16", "float32", "float64"])


@few
@given(shape=shapes, dtype=dtype_names, logarithm=st.booleans(), scale=st.sampled_from([1.0, 50.0]))
def test_softmax(cupy: ModuleType, shape: Any, dtype: str, logarithm: bool, scale: float) -> None:
    x = numbers(shape, dtype) * np.dtype(dtype).type(scale)
    (out,), (expected,) = both(lambda a: rows.softmax_rows(a, logarithm), x)
    assert_close(out, expected)
    grad = numbers(shape, dtype, 1)
    (slope,), (expected_slope,) = both(lambda g, o: rows.softmax_rows_gradient(g, o, logarithm), grad, expected)
    assert_close(slope, expected_slope)


@pytest.mark.parametrize("logarithm", [False, True])
def test_softmax_of_what_is_not_finite(cupy: ModuleType, logarithm: bool) -> None:
    inf, nan = np.inf, np.nan
    x = np.array([[-inf, 0, 1], [-inf, -inf, -inf], [inf, 0, 0], [nan, 0, 0], [-inf, -inf, 5]])
    (found,), (expected,) = both(lambda a: rows.softmax_rows(a, logarithm), x)
    np.testing.assert_allclose(found, expected, rtol=1e-12)


@st.composite
def samples(draw: Any) -> Any:
    """(scores, labels, ignored) with some labels ignored."""
    n, classes = draw(st.integers(1, 70)), draw(st.integers(1, 40))
    labels = np.random.default_rng(draw(st.integers(0, 9))).integers(0, classes, n)
    if draw(st.booleans()):
        labels[:: draw(st.integers(1, 3))] = -100
    return numbers((n, classes), draw(dtype_names)) * 3, labels


@few
@given(sample=samples(), smoothing=st.sampled_from([0.0, 0.1]), mean=st.booleans())
def test_cross_entropy(cupy: ModuleType, sample: Any, smoothing: float, mean: bool) -> None:
    x, labels = sample
    (loss, counted), (expected, number) = both(lambda a, b: rows.cross_entropy(a, b, -100, smoothing, mean), x, labels)
    assert loss.shape == counted.shape == ()
    assert counted == number == (labels != -100).sum()
    if number == 0 and mean:
        assert np.isnan([loss, expected]).all()
    else:
        assert_close(loss, expected)
    grad, counted = np.asarray(1.5, x.dtype), number

    def slope(x: Any, labels: Any, grad: Any, counted: Any) -> Any:
        return rows.cross_entropy_gradient(x, labels, grad, counted, -100, smoothing, mean)

    (found,), (expected,) = both(slope, x, labels, grad, counted)
    assert_close(found, expected)


@pytest.mark.parametrize("wrong", [-1, 4])
@pytest.mark.parametrize("mean", [True, False])
def test_a_label_that_is_no_class_makes_the_loss_nan(cupy: ModuleType, wrong: int, mean: bool) -> None:
    x, labels = numbers((5, 4), "float32"), np.array([0, 1, wrong, 3, -100])
    (loss, counted), (expected, number) = both(lambda a, b: rows.cross_entropy(a, b, -100, 0.0, mean), x, labels)
    assert np.isnan([loss, counted, expected, number]).all()
    one = np.ones((), np.float32)
    (found,), (expected,) = both(lambda *a: rows.cross_entropy_gradient(*a, -100, 0.0, mean), x, labels, one, number)
    np.testing.assert_array_equal(np.isnan(found), np.isnan(expected))
    assert np.isnan(found[2]).all()
    assert not found[4].any()


def test_a_thousand_launches_count_from_0_every_time(cupy: ModuleType) -> None:
    x, labels = on_device(numbers((50, 4), "float32")), on_device(np.arange(50) % 4)
    losses = {float(rows.cross_entropy(x, labels, -100, 0.0, True)[0]) for _ in range(20)}
    assert len(losses) == 1


@dtypes
def test_each_is_one_launch(cupy: ModuleType, dtype: str) -> None:
    x, labels = numbers((8, 4), dtype), np.arange(8) % 4
    one, number = np.ones((), dtype), np.full((), 8.0)
    both(lambda a, b: rows.cross_entropy(a, b, -100, 0.0, True), x, labels)  # the counter is made once
    for names, function, args in [
        ("softmax_rows", lambda a: rows.softmax_rows(a), (x,)),
        ("softmax_rows_gradient", lambda g, o: rows.softmax_rows_gradient(g, o), (x, x)),
        ("cross_entropy", lambda a, b: rows.cross_entropy(a, b, -100, 0.0, True), (x, labels)),
        (
            "cross_entropy_gradient",
            lambda *a: rows.cross_entropy_gradient(*a, -100, 0.0, True),
            (x, labels, one, number),
        ),
    ]:
        both(function, *args)
        assert launched() in ((), (names,))


@dtypes
def test_32_threads_add_up_among_themselves(cupy: ModuleType, dtype: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(standin_kernels, "threads_in_a_warp", 32)
    for shape in [(3, 1), (5, 31), (11, 70)]:
        x, labels = numbers(shape, dtype), np.arange(shape[0]) % shape[1]
        for logarithm in (False, True):
            (out,), (expected,) = both(lambda a, form=logarithm: rows.softmax_rows(a, form), x)
            assert_close(out, expected)
            (slope,), (expected,) = both(lambda g, o, form=logarithm: rows.softmax_rows_gradient(g, o, form), x, out)
            assert_close(slope, expected)
        (loss, number), (expected, _) = both(lambda a, b: rows.cross_entropy(a, b, 0, 0.1, True), x, labels)
        np.testing.assert_allclose(loss, expected, rtol=2e-3 if dtype == "float16" else 1e-6)
        one = np.ones((), dtype)
        (slope,), (expected,) = both(lambda *a: rows.cross_entropy_gradient(*a, 0, 0.1, True), x, labels, one, number)
        assert_close(slope, expected)
