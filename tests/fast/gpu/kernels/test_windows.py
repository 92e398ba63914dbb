"""Columns and pooling: the kernels compute what the plain lines do on NumPy."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from minidl import backend
from minidl.errors import ShapeError
from minidl.fast.gpu.kernels import windows as w
from minidl.functional import conv
from minidl.functional.geometry import Window
from minidl.functional.pooling import AvgPool, MaxPool, PutChosen, SpreadMean, TakeChosen
from tests.arrays import host
from tests.fast.gpu.kernels.agreement import assert_close, dtypes, few, launches_of, needs_compiler, numbers, on_device

pytestmark = [needs_compiler, pytest.mark.usefixtures("cupy")]
most_blocks = st.sampled_from([1, 2, w.BLOCKS])  # of one, a thread has all images, or channels


@st.composite
def geometries(draw: Any, pooling: bool = False) -> Any:
    """(x_shape, kernel, stride, padding, dilation, out) for one to three axes."""
    n = draw(st.integers(1, 3))
    images, channels = draw(st.integers(0 if not pooling else 1, 6)), draw(st.integers(1, 6))
    axes = []
    for _ in range(n):
        k, s = draw(st.integers(1, 4)), draw(st.integers(1, 3))
        d = 1 if pooling else draw(st.integers(1, 3))
        p = draw(st.integers(0, k // 2 if pooling else 3))
        size = draw(st.integers(max(1, d * (k - 1) + 1 - 2 * p), 10))
        span = size + 2 * p - d * (k - 1) - 1
        out = span // s + 1
        if pooling and draw(st.booleans()):  # rounded up, as long as the last window begins inside
            out = -(-span // s) + 1
            out -= (out - 1) * s >= size + p
        axes.append((size, k, s, p, d, out))
    size, k, s, p, d, out = (tuple(numbers) for numbers in zip(*axes, strict=True))
    return (images, channels, *size), k, s, p, d, out


def pools() -> Any:
    """(x_shape, window) of pooling over one to three axes."""
    return geometries(pooling=True).map(lambda g: (g[0], Window(g[1], g[2], g[3], g[4], g[0][2:], g[5])))


def columns_plain(x: Any, k: Any, out: Any, *moves: Any) -> Any:
    """The columns of `functional/conv.py` in the kernel's order: those of all images side by side."""
    cols = conv.columns(x, Window(k, *moves, x.shape[2:], out), 1)[:, 0]
    return cols.swapaxes(0, 1).reshape((cols.shape[1], -1))


def add_columns_plain(cols: Any, x_shape: Any, k: Any, out: Any, *moves: Any) -> Any:
    by_image = cols.reshape((len(cols), x_shape[0], math.prod(out))).swapaxes(0, 1)
    window = Window(k, *moves, x_shape[2:], out)
    return conv.add_columns(by_image.astype(float), x_shape, window).astype(cols.dtype)


def add_columns(cols: Any, x_shape: Any, *window: Any) -> Any:
    x = backend.module_of(cols).empty(x_shape, dtype=cols.dtype)
    w.add_columns(cols, x, *window)
    return x


@contextmanager
def blocks(most: int) -> Iterator[None]:
    """Launches with at most so many blocks a place."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(w, "BLOCKS", most)
        yield


def run(kernel: Any, array: Any, *args: Any) -> Any:
    """What the kernel makes of a NumPy array."""
    return backend.to_numpy(kernel(on_device(array), *args))


@few(40)
@given(
    geometry=geometries(),
    dtype=st.sampled_from(["float16", "float32", "float64"]),
    transposed=st.booleans(),
    most=most_blocks,
)
def test_columns(cupy: ModuleType, geometry: Any, dtype: str, transposed: bool, most: int) -> None:
    x_shape, k, s, p, d, out = geometry
    x = numbers(x_shape, dtype)
    with blocks(most):
        taken = run(w.columns, x, k, out, s, p, d)
    np.testing.assert_array_equal(taken, columns_plain(x, k, out, s, p, d), strict=True)

    cols = numbers(taken.shape, dtype, 1)
    if transposed:  # strides as a product of transposed matrices gives them
        cols = np.asfortranarray(cols)
    with blocks(most):
        added = run(add_columns, cols, x_shape, k, out, s, p, d)
    assert_close(added, add_columns_plain(cols, x_shape, k, out, s, p, d))
    if dtype == "float64":  # one is the transpose of the other
        assert (taken * cols).sum() == pytest.approx((x * added).sum(), rel=1e-9, abs=1e-9)


@few(40)
@given(case=pools(), dtype=st.sampled_from(["float16", "float32", "float64"]), data=st.data(), most=most_blocks)
def test_max_pooling(cupy: ModuleType, case: Any, dtype: str, data: Any, most: int) -> None:
    x_shape, window = case
    moves = window.kernel, window.stride, window.padding
    x = numbers(x_shape, dtype)
    kind = data.draw(st.sampled_from(["any", "equal", "nan", "low"]))
    if kind == "equal":
        x = np.round(x)
    elif kind == "nan":
        x[x > 1] = np.nan
    elif kind == "low":
        x[...] = -np.inf
    plain = MaxPool(window)
    expected = plain.forward(x)
    grad, other = numbers(expected.shape, dtype, 1), numbers(x_shape, dtype)
    with blocks(most):
        best, chosen = w.max_pool(on_device(x), *moves, window.out)
        put = w.put_chosen(on_device(grad), chosen, x_shape, *moves)
        taken = w.take_chosen(on_device(other), chosen, *moves)
    np.testing.assert_array_equal(host(best), expected, strict=True)
    np.testing.assert_array_equal(host(chosen), plain.chosen.astype(np.int16), strict=True)
    assert_close(host(put), PutChosen(window, plain.chosen).forward(grad))
    np.testing.assert_array_equal(host(taken), TakeChosen(window, plain.chosen).forward(other), strict=True)


@few(40)
@given(
    case=pools(),
    dtype=st.sampled_from(["float16", "float32", "float64"]),
    with_padding=st.booleans(),
    most=most_blocks,
)
def test_average_pooling(cupy: ModuleType, case: Any, dtype: str, with_padding: bool, most: int) -> None:
    x_shape, window = case
    moves = window.kernel, window.stride, window.padding
    x, grad = numbers(x_shape, dtype), numbers((*x_shape[:2], *window.out), dtype, 1)
    with blocks(most):
        mean = w.mean_pool(on_device(x), *moves, window.out, with_padding)
        spread = w.spread_mean(on_device(grad), x_shape, *moves, with_padding)
    assert_close(host(mean), AvgPool(window, with_padding).forward(x))
    assert_close(host(spread), SpreadMean(window, with_padding).forward(grad))


@dtypes
def test_each_is_one_launch(cupy: ModuleType, dtype: str) -> None:
    two, none = (2, 2), (0, 0)
    x, cols = on_device(numbers((2, 3, 6, 6), dtype)), on_device(numbers((12, 18), dtype))
    for name, function in [
        ("columns", lambda: w.columns(x, two, (3, 3), two, none, (1, 1))),
        ("add_columns", lambda: add_columns(cols, (2, 3, 6, 6), two, (3, 3), two, none, (1, 1))),
    ]:
        assert launches_of(function) in ((), (name,))


def test_a_channel_must_be_countable(cupy: ModuleType) -> None:
    """In the kernels the number of a place in its channel is an int."""
    side, one = 46341, (1, 1)
    w._windows((1, 1, side, side - 1), one, one, (0, 0), None, (side, side - 1))
    with pytest.raises(ShapeError, match=r"fewer than 2\^31 numbers in a channel; got \(46341, 46341\)"):
        w._windows((1, 1, side, side), one, one, (0, 0), None, (side, side))


@pytest.mark.parametrize(
    ("shape", "grid", "threads"),
    [
        ((64, 50, 4, 4), (4, 16), 256),  # four images at a time
        ((9, 2, 3, 5), (1, 3), 32),
        ((256, 96, 55, 55), (1135, 7), 256),
        ((3, 40, 256, 256), (10240, 1), 256),
    ],
)
def test_threads_stay_busy(
    cupy: ModuleType, shape: Any, grid: Any, threads: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The places of an image fill the blocks, however small its planes are; few of them share the images out."""
    started: list[Any] = []
    monkeypatch.setattr(w, "kernel", lambda *_: lambda *sizes_and_args: started.append(sizes_and_args[:2]))
    result = backend.module("cupy").empty(shape, dtype=np.float16)
    w._pool("mean_pool", result, result)
    assert started == [(grid, (threads,))]


def test_a_view_is_copied_first(cupy: ModuleType) -> None:
    x, window = numbers((6, 6, 3, 2), "float32"), Window((2, 2), (2, 2), (0, 0), (1, 1), (6, 6), (3, 3))
    best, _ = w.max_pool(on_device(x).T, (2, 2), (2, 2), (0, 0), (3, 3))
    np.testing.assert_array_equal(host(best), MaxPool(window).forward(x.T))
