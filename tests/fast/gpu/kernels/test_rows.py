"""minidl/fast/gpu/kernels/rows.py: the kernels compute what the ops' plain lines do on NumPy, in one launch."""

from __future__ import annotations

from types import ModuleType
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import minidl as md
import minidl.functional as F
from minidl import backend
from minidl.fast.gpu import probabilities as on_gpu
from minidl.fast.gpu.kernels import rows
from minidl.functional.likelihood import GeneralCrossEntropy
from minidl.functional.probabilities import LogSoftmax, Softmax
from tests.cupy_standin import kernels as standin_kernels
from tests.fast.gpu.kernels.agreement import (
    assert_close,
    both,
    dtypes,
    few,
    launches_of,
    needs_compiler,
    numbers,
    on_device,
)

pytestmark = [needs_compiler, pytest.mark.usefixtures("cupy")]
shapes = st.sampled_from([(1,), (7,), (3, 1), (5, 10), (2, 3, 33), (0, 4), (9, 70), (300, 3)])
dtype_names = st.sampled_from(["float16", "float32", "float64"])


FORMS = pytest.mark.parametrize("form", [Softmax, LogSoftmax])
VERSIONS = {Softmax: on_gpu.Softmax, LogSoftmax: on_gpu.LogSoftmax}


def along_rows(form: Any, array: Any) -> Any:
    """The op, along the last axis: its version for a GPU of an array there, else the plain one."""
    op = (form if type(array) is np.ndarray else VERSIONS[form])(-1)
    op.axis = (array.ndim - 1,)
    return op


def value_of(form: Any) -> Any:
    """Softmax, or its logarithm, as a function of a raw array."""
    return lambda x: along_rows(form, x).forward(x)


def slope_of(form: Any) -> Any:
    """The backward of softmax, or its logarithm, on raw arrays."""

    def slope(grad: Any, out: Any) -> Any:
        wide = (a.astype(np.float32) if a.dtype == np.float16 and type(a) is np.ndarray else a for a in (grad, out))
        return along_rows(form, out).backward(*wide).astype(grad.dtype, copy=False)

    return slope


@few(40)
@given(shape=shapes, dtype=dtype_names, form=st.sampled_from([Softmax, LogSoftmax]), scale=st.sampled_from([1.0, 50.0]))
def test_softmax(cupy: ModuleType, shape: Any, dtype: str, form: Any, scale: float) -> None:
    x = numbers(shape, dtype) * np.dtype(dtype).type(scale)
    (out,), (expected,) = both(value_of(form), x)
    assert_close(out, expected)
    (slope,), (expected_slope,) = both(slope_of(form), numbers(shape, dtype, 1), expected)
    assert_close(slope, expected_slope)


@FORMS
def test_softmax_of_what_is_not_finite(cupy: ModuleType, form: Any) -> None:
    inf, nan = np.inf, np.nan
    x = np.array([[-inf, 0, 1], [-inf, -inf, -inf], [inf, 0, 0], [nan, 0, 0], [-inf, -inf, 5]])
    (found,), (expected,) = both(value_of(form), x)
    np.testing.assert_allclose(found, expected, rtol=1e-12)


@st.composite
def samples(draw: Any) -> Any:
    """(scores, labels) with some labels ignored."""
    n, classes = draw(st.integers(1, 70)), draw(st.integers(1, 40))
    labels = np.random.default_rng(draw(st.integers(0, 9))).integers(0, classes, n)
    if draw(st.booleans()):
        labels[:: draw(st.integers(1, 3))] = -100
    return numbers((n, classes), draw(dtype_names)) * 3, labels


def cross_entropy(x: Any, labels: Any, smoothing: float, mean: bool, grad: float = 1.5) -> tuple[Any, Any, Any]:
    """By the kernels: the loss, how many rows count, and dL/dx from dL/dloss."""
    there, targets, options = on_device(x), on_device(labels), (-100, smoothing, mean)
    loss, counted = rows.cross_entropy(there, targets, *options)
    slope = rows.cross_entropy_gradient(there, targets, on_device(np.asarray(grad, x.dtype)), counted, *options)
    return backend.to_numpy(loss), backend.to_numpy(counted), backend.to_numpy(slope)


def plain_cross_entropy(x: Any, labels: Any, smoothing: float, mean: bool, grad: float = 1.5) -> tuple[Any, Any]:
    """By the op: the loss, and dL/dx."""
    reduction = "mean" if mean else "sum"
    op = GeneralCrossEntropy(labels, -100, None, reduction, smoothing)
    with np.errstate(all="ignore"):  # as every op does it
        return np.asarray(op.forward(x)), op.backward(np.asarray(grad, x.dtype), x)


@few(40)
@given(sample=samples(), smoothing=st.sampled_from([0.0, 0.1]), mean=st.booleans())
def test_cross_entropy(cupy: ModuleType, sample: Any, smoothing: float, mean: bool) -> None:
    x, labels = sample
    loss, counted, slope = cross_entropy(x, labels, smoothing, mean)
    expected, expected_slope = plain_cross_entropy(x, labels, smoothing, mean)
    assert loss.shape == counted.shape == ()
    assert counted == (labels != -100).sum()
    if counted == 0 and mean:
        assert np.isnan([loss, expected]).all()
        assert not slope.any()
    else:
        assert_close(loss, expected)
        assert_close(slope, expected_slope)


@pytest.mark.parametrize("wrong", [-1, 4])
@pytest.mark.parametrize("mean", [True, False])
def test_a_label_that_is_no_class_makes_the_loss_nan(cupy: ModuleType, wrong: int, mean: bool) -> None:
    x, labels = numbers((5, 4), "float32"), np.array([0, 1, wrong, 3, -100])
    loss, counted, slope = cross_entropy(x, labels, 0.0, mean)
    assert np.isnan([loss, counted]).all()
    assert np.isnan(slope[2]).all()
    assert np.isnan(slope[[0, 1, 3]]).all() == mean  # the number of rows, by which all are divided, is NaN
    assert not slope[4].any()


@pytest.mark.parametrize("most", [1, 3, 50])
def test_pieces_of_several_rows(cupy: ModuleType, most: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rows, "_MOST_PIECES", most)
    labels = np.arange(50) % 4
    labels[::5] = -100
    for x in (numbers((50, 4), "float32"), numbers((2, 4), "float64"), numbers((0, 4), "float64")):
        loss, counted, _ = cross_entropy(x, labels[: len(x)], 0.1, False)
        expected, _ = plain_cross_entropy(x, labels[: len(x)], 0.1, False)
        assert counted == (labels[: len(x)] != -100).sum()
        assert_close(loss, expected)


def test_a_thousand_launches_count_from_0_every_time(cupy: ModuleType) -> None:
    x, labels = on_device(numbers((50, 4), "float32")), on_device(np.arange(50) % 4)
    losses = {float(rows.cross_entropy(x, labels, -100, 0.0, True)[0]) for _ in range(20)}
    assert len(losses) == 1


@dtypes
def test_each_is_one_launch(cupy: ModuleType, dtype: str) -> None:
    x, labels = on_device(numbers((8, 4), dtype)), on_device(np.arange(8) % 4)
    options = -100, 0.0, True
    _, counted = rows.cross_entropy(x, labels, *options)  # makes the counter, once
    one = on_device(np.ones((), dtype))
    for name, function in [
        ("softmax_rows", lambda: value_of(Softmax)(x)),
        ("softmax_rows_gradient", lambda: slope_of(LogSoftmax)(x, x)),
        ("cross_entropy", lambda: rows.cross_entropy(x, labels, *options)),
        ("cross_entropy_gradient", lambda: rows.cross_entropy_gradient(x, labels, one, counted, *options)),
    ]:
        assert launches_of(function) in ((), (name,))


@dtypes
def test_32_threads_add_up_among_themselves(cupy: ModuleType, dtype: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(standin_kernels, "threads_in_a_warp", 32)
    for shape in [(3, 1), (5, 31), (11, 70)]:
        x = numbers(shape, dtype)
        for form in (Softmax, LogSoftmax):
            (out,), (expected,) = both(value_of(form), x)
            assert_close(out, expected)
            (slope,), (expected,) = both(slope_of(form), x, out)
            assert_close(slope, expected)
        labels = np.arange(shape[0]) % shape[1]
        loss, _, slope = cross_entropy(x, labels, 0.1, True)
        expected, expected_slope = plain_cross_entropy(x, labels, 0.1, True)
        assert_close(loss, expected)
        assert_close(slope, expected_slope)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_a_row_that_is_ignored_and_not_finite_has_the_gradient_that_it_has_on_numpy(
    cupy: ModuleType, value: float
) -> None:
    def step(logits: Any, labels: Any) -> Any:
        x = md.Tensor(logits, requires_grad=True)
        F.cross_entropy(x, labels).backward()
        return x.grad._data

    x = numbers((4, 3), "float64")
    x[1, 2] = x[2, 0] = value
    (found,), (plain,) = both(step, x, np.array([0, -100, 1, 2]))
    np.testing.assert_allclose(found, plain, rtol=1e-12)
    np.testing.assert_array_equal(found[1], 0)  # PyTorch has NaN
