"""minidl/functional/conv_blocked.py: the same as conv_plain.py, within its memory."""

from __future__ import annotations

import itertools
import math
import tracemalloc

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from minidl.fast.cpu import conv as conv_blocked
from minidl.fast.cpu import threads as parallel
from minidl.functional import conv_plain
from minidl.functional.geometry import Geometry
from tests.factory import examples

WAYS = (conv_plain, conv_blocked)


@pytest.fixture(params=[1, 3])
def threads(request, monkeypatch):
    """One thread, and three of which each gets a part however small it is."""
    if request.param > 1:
        pytest.importorskip("threadpoolctl")
    monkeypatch.setattr(parallel, "_threads", parallel._Threads())
    monkeypatch.setattr(parallel, "WORTH", 0)
    parallel.set_num_threads(request.param)
    yield request.param
    parallel._threads.set(1)


def three_products(way, x, weight, bias, out, geometry):
    y = way.conv(x, weight, bias, out, geometry)
    dy = np.cos(np.arange(y.size).reshape(y.shape)).astype(y.dtype)
    return y, way.conv_input(dy, weight, x.shape, geometry), way.conv_weight(x, dy, weight.shape, geometry)


def in_some_order(values, order):
    """The same numbers, with the axes in this order in memory."""
    back = np.argsort(order)
    return np.ascontiguousarray(values.transpose(order)).transpose(back)


@pytest.mark.parametrize("dtype", [np.float64, np.float32, np.float16])
@examples(150)
@given(data=st.data(), n=st.sampled_from([1, 2]), block=st.sampled_from([1, 200, 1000, 1 << 20]))
def test_agrees_with_the_plain_version(dtype, data, n, block):
    """Whatever the window and its way, however memory is laid out, and wherever blocks and bands are cut."""
    whole = st.integers
    groups = data.draw(st.sampled_from([1, 1, 2, 3]))
    channels, filters = groups * data.draw(whole(1, 3)), groups * data.draw(whole(1, 3))
    kernel, stride = (tuple(data.draw(whole(1, 4)) for _ in range(n)) for _ in range(2))
    padding, dilation = (tuple(data.draw(whole(low, 3)) for _ in range(n)) for low in (0, 1))
    geometry = Geometry(stride, padding, dilation, groups)
    reaches = zip(geometry.reach(kernel), padding, strict=True)
    sizes = tuple(max(1, reach - 2 * p) + data.draw(whole(0, 9)) for reach, p in reaches)
    out = geometry.positions(sizes, kernel)
    out = tuple(max(1, o - data.draw(st.sampled_from([0, 0, 1]))) for o in out)  # as of a transposed convolution
    rng = np.random.default_rng(data.draw(whole(0, 9)))
    order = (0, *data.draw(st.sampled_from(list(itertools.permutations(range(1, n + 2))))))
    x = in_some_order(rng.standard_normal((data.draw(whole(0, 5)), channels, *sizes)).astype(dtype), order)
    weight = rng.standard_normal((filters, channels // groups, *kernel)).astype(dtype)
    bias = data.draw(st.sampled_from([None, rng.standard_normal(filters).astype(dtype)]))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(parallel, "BLOCK", block)
        found = three_products(conv_blocked, x, weight, bias, out, geometry)
    tolerance = {np.float64: 1e-12, np.float32: 1e-4, np.float16: 1e-2}[dtype]
    for ours, plain in zip(found, three_products(conv_plain, x, weight, bias, out, geometry), strict=True):
        assert ours.dtype == plain.dtype == dtype
        np.testing.assert_allclose(ours, plain, rtol=tolerance, atol=10 * tolerance)


@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.parametrize("groups", [1, 2, 8])
def test_agrees_on_threads(threads, stride, groups):
    geometry = Geometry((stride, stride), (1, 1), (1, 1), groups)
    rng = np.random.default_rng(1)
    x, weight = rng.standard_normal((7, 8, 9, 6)), rng.standard_normal((8, 8 // groups, 3, 3))
    out = geometry.positions((9, 6), (3, 3))
    for ours, plain in zip(*[three_products(way, x, weight, None, out, geometry) for way in WAYS[::-1]], strict=True):
        np.testing.assert_allclose(ours, plain, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize(
    ("shape", "filters", "stride"),
    [((256, 16, 32, 32), 16, 1), ((256, 16, 32, 32), 16, 2), ((1, 16, 512, 512), 16, 1), ((256, 1, 64, 64), 8, 1)],
)
def test_memory_stays_within_the_blocks(threads, shape, filters, stride):
    """Beyond input and result, each thread has a few blocks; the whole column matrix would be 25 inputs."""
    geometry = Geometry((stride, stride), (2, 2), (1, 1), 1)
    x, weight = np.ones(shape, np.float32), np.ones((filters, shape[1], 5, 5), np.float32)
    out = geometry.positions(shape[2:], (5, 5))
    assert 25 * x.nbytes / stride**2 > 20 * parallel.BLOCK  # or this shows nothing
    padded = 4 * shape[1] * math.prod(side + 4 for side in shape[2:])  # of an image, which may be larger than a block
    tracemalloc.start()
    try:
        y = conv_blocked.conv(x, weight, None, out, geometry)
        jobs = {
            "conv": (lambda: conv_blocked.conv(x, weight, None, out, geometry), y.nbytes),
            "conv_input": (lambda: conv_blocked.conv_input(y, weight, shape, geometry), x.nbytes),
            "conv_weight": (lambda: conv_blocked.conv_weight(x, y, weight.shape, geometry), weight.nbytes),
        }
        for name, (job, result) in jobs.items():
            before, _ = tracemalloc.get_traced_memory()
            tracemalloc.reset_peak()
            job()
            extra = tracemalloc.get_traced_memory()[1] - before - result
            assert extra < threads * (3 * parallel.BLOCK + padded + 5 * weight.nbytes), (name, extra / parallel.BLOCK)
    finally:
        tracemalloc.stop()


def test_results_are_channels_last_in_memory_and_own_it():
    """So that the next layer finds the order it needs, and a gradient need not be copied."""
    geometry = Geometry((1, 1), (1, 1), (1, 1), 1)
    x, weight = np.ones((2, 3, 5, 4), np.float32), np.ones((6, 3, 3, 3), np.float32)
    y, dx, dw = three_products(conv_blocked, x, weight, None, (5, 4), geometry)
    assert y.transpose(0, 2, 3, 1).flags.c_contiguous
    assert dx.transpose(0, 2, 3, 1).flags.c_contiguous
    assert dw.flags.c_contiguous
    assert y.base is dx.base is None


@pytest.mark.parametrize("weight", [[np.inf, 1, 1], [1, -np.inf, 1], [1, 1, np.nan]])
def test_an_infinite_weight_reaches_only_the_numbers_that_it_multiplies(weight):
    """Not those at the edge, beyond which a turned-round convolution would see zeros: inf * 0 is NaN."""
    geometry = Geometry((1,), (1,), (1,), 1)
    dy, w = np.ones((1, 1, 6)), np.array([[weight]])
    found = [way.conv_input(dy, w, (1, 1, 6), geometry) for way in WAYS]
    np.testing.assert_array_equal(*found)


def test_fewer_positions_than_would_fit():
    """As of a transposed convolution whose output has a place more (output_padding) than its windows reach."""
    geometry = Geometry((1,), (3,), (2,), 1)
    dy, w = np.ones((1, 1, 2)), np.ones((1, 1, 3))
    np.testing.assert_array_equal(*[way.conv_input(dy, w, (1, 1, 1), geometry) for way in WAYS])
