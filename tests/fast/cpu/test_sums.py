"""minidl/fast/cpu/sums.py: sums in blocks, and sums of products in one pass."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from minidl.fast.cpu import sums
from minidl.fast.cpu.sums import add_up
from minidl.functional import broadcasting, precision
from tests.factory import examples, operands

AXES = [None, (0,), (1,), (0, 2), (0, 2, 3), (0, 1), (1, 2, 3), (0, 1, 2, 3)]


@st.composite
def arrays(draw):
    """An array with some axes of it, counted from the front; channels may lie last in memory."""
    rng = np.random.default_rng(draw(st.integers(0, 2**16)))
    shape = tuple(draw(st.lists(st.integers(1, 5), min_size=1, max_size=4)))
    shape = (draw(st.sampled_from([shape[0], 300, 0])), *shape[1:])
    x = rng.integers(-8, 9, shape).astype(draw(st.sampled_from(["float16", "float32", "float64", "int64"])))
    if draw(st.booleans()):
        x = np.moveaxis(np.moveaxis(x, 0, -1).copy(), -1, 0)
    if x.ndim > 2 and draw(st.booleans()):
        x = np.moveaxis(np.moveaxis(x, 1, -1).copy(), -1, 1)
    possible = [axis for axis in AXES if axis is None or max(axis) < x.ndim]
    return x, draw(st.sampled_from(possible))


@examples(200)
@given(arrays(), st.booleans())
def test_it_is_the_plain_sum(drawn, keepdims):
    x, axis = drawn
    found = sums.add_up(x, axis, keepdims)
    np.testing.assert_array_equal(found, precision.add_up(x, axis, keepdims), strict=True)


@examples(60)
@given(operands(2))
def test_unbroadcast_is_the_plain_one(xs):
    x, y = (o.values for o in xs)
    grad = np.arange(np.prod(np.broadcast_shapes(x.shape, y.shape))).reshape(np.broadcast_shapes(x.shape, y.shape))
    np.testing.assert_array_equal(sums.unbroadcast(grad, x.shape), broadcasting.unbroadcast(grad, x.shape), strict=True)


@examples(100)
@given(arrays(), st.booleans())
def test_sums_of_products(drawn, squared):
    x, axis = drawn
    if x.dtype.kind != "f":
        x = x.astype(np.float64)
    x = sums.widened(x)
    axis = tuple(range(x.ndim)) if axis is None else axis
    found = sums.add_products(x, x if squared else None, axis)
    np.testing.assert_array_equal(found, (x * x if squared else x).sum(axis=axis, keepdims=True), strict=True)


@pytest.mark.parametrize("places", [1000, 1 << 20, 999_999])
def test_sums_of_products_keep_what_is_small(places):
    """In float32 a million times 0.1, one after the other, are 100,958."""
    x = np.full((1, 2, places), 0.1, np.float32)
    exact = x.astype(np.float64).sum(axis=2, keepdims=True)
    np.testing.assert_allclose(sums.add_products(x, None, (2,)), exact, rtol=1e-6)
    np.testing.assert_allclose(sums.add_products(x, x, (0, 2)), exact * x[0, 0, 0], rtol=1e-6)


@pytest.mark.parametrize("shape", [(1_000_001, 2), (1001, 3, 31, 33)])
def test_long_sums_over_rows_lose_nothing(shape):
    """Of images the channels lie last in memory, as a convolution leaves them."""
    x = np.full(shape, 0.1, np.float32)
    if x.ndim == 4:
        x = np.moveaxis(np.moveaxis(x, 1, -1).copy(), -1, 1)
    axis = (0, *range(2, x.ndim))
    np.testing.assert_allclose(sums.add_up(x, axis), x.astype(np.float64).sum(axis=axis), rtol=3e-6)


def test_a_large_gradient_is_a_view_and_a_small_one_a_copy():
    x = np.ones((1, 3))
    assert sums.repeated_view(x, (2, 3)).base is None
    large = sums.repeated_view(x, (sums.SMALL, 3))
    assert np.shares_memory(large, x)
    assert not large.flags.writeable


@pytest.mark.parametrize(
    ("shape", "axis", "layout"),
    [
        ((300_000, 2, 3), (0, 1), "C"),
        ((300_000, 2, 3), (0,), "C"),
        ((600_000, 3), (0,), "C"),
        ((2, 300_000, 3), (1,), "C"),
        ((2, 300_000, 3), (0, 1), "C"),
        ((3, 600_000), (1,), "F"),
        ((300_000, 3, 2), (0, 2), "C"),
        ((2, 3, 300_000), (0, 2), "C"),
    ],
)
def test_sums_over_any_axes_lose_nothing(shape: Any, axis: Any, layout: str) -> None:
    x = np.full(shape, np.float32(0.1), order=layout)
    exact = np.float64(np.float32(0.1)) * math.prod(shape[i] for i in axis)
    np.testing.assert_allclose(add_up(x, axis), exact, rtol=1e-5)
    np.testing.assert_allclose(add_up(x, axis, keepdims=True), exact, rtol=1e-5)
    assert add_up(x, axis).dtype == np.float32
