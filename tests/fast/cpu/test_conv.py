"""minidl/fast/cpu/conv.py: the same as the plain ops, within its memory."""

from __future__ import annotations

import itertools
import math
import tracemalloc

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import minidl as md
import minidl.functional as F
from minidl.fast.cpu import conv as versions
from minidl.fast.cpu import threads as parallel
from minidl.functional.conv import Conv, ConvInput, ConvWeight
from minidl.functional.geometry import Geometry
from tests.factory import examples


def run(op, *arrays):
    """What the op makes of the arrays; and that it was the version that made it."""
    result = op(*arrays)
    assert type(op) is getattr(versions, type(op).plain.__name__)
    return result


def run_plain(op, *arrays):
    with md.plain():
        result = op(*arrays)
    assert type(op) is type(op).plain
    return result


def three_products(run, x, weight, bias, out, geometry):
    y = run(Conv(geometry, out), x, weight, bias)
    dy = np.cos(np.arange(y.size).reshape(y.shape)).astype(y.dtype)
    return y, run(ConvInput(geometry, x.shape), dy, weight), run(ConvWeight(geometry, weight.shape), x, dy)


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
    out = tuple(max(1, o - data.draw(st.sampled_from([0, 0, 1, -1]))) for o in out)
    rng = np.random.default_rng(data.draw(whole(0, 9)))
    order = (0, *data.draw(st.sampled_from(list(itertools.permutations(range(1, n + 2))))))
    x = in_some_order(rng.standard_normal((data.draw(whole(0, 5)), channels, *sizes)).astype(dtype), order)
    weight = rng.standard_normal((filters, channels // groups, *kernel)).astype(dtype)
    bias = data.draw(st.sampled_from([None, rng.standard_normal(filters).astype(dtype)]))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(parallel, "BLOCK", block)
        found = three_products(run, x, weight, bias, out, geometry)
    tolerance = {np.float64: 1e-12, np.float32: 1e-4, np.float16: 1e-2}[dtype]
    for ours, plain in zip(found, three_products(run_plain, x, weight, bias, out, geometry), strict=True):
        assert ours.dtype == plain.dtype == dtype
        np.testing.assert_allclose(ours, plain, rtol=tolerance, atol=10 * tolerance)


@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.parametrize("groups", [1, 2, 8])
def test_agrees_on_threads(threads, stride, groups):
    geometry = Geometry((stride, stride), (1, 1), (1, 1), groups)
    rng = np.random.default_rng(1)
    x, weight = rng.standard_normal((7, 8, 9, 6)), rng.standard_normal((8, 8 // groups, 3, 3))
    out = geometry.positions((9, 6), (3, 3))
    results = [three_products(way, x, weight, None, out, geometry) for way in (run, run_plain)]
    for ours, plain in zip(*results, strict=True):
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
        y = run(Conv(geometry, out), x, weight, None)
        jobs = {
            "Conv": (lambda: run(Conv(geometry, out), x, weight, None), y.nbytes),
            "ConvInput": (lambda: run(ConvInput(geometry, shape), y, weight), x.nbytes),
            "ConvWeight": (lambda: run(ConvWeight(geometry, weight.shape), x, y), weight.nbytes),
        }
        for name, (job, result) in jobs.items():
            before, _ = tracemalloc.get_traced_memory()
            tracemalloc.reset_peak()
            job()
            extra = tracemalloc.get_traced_memory()[1] - before - result
            assert extra < threads * (3 * parallel.block_bytes() + padded + 5 * weight.nbytes), (
                name,
                extra / parallel.BLOCK,
            )
    finally:
        tracemalloc.stop()


def test_results_are_channels_last_in_memory_and_own_it():
    """So that the next layer finds the order it needs, and a gradient need not be copied."""
    geometry = Geometry((1, 1), (1, 1), (1, 1), 1)
    x, weight = np.ones((2, 3, 5, 4), np.float32), np.ones((6, 3, 3, 3), np.float32)
    y, dx, dw = three_products(run, x, weight, None, (5, 4), geometry)
    assert y.transpose(0, 2, 3, 1).flags.c_contiguous
    assert dx.transpose(0, 2, 3, 1).flags.c_contiguous
    assert dw.flags.c_contiguous
    assert y.base is dx.base is None


@pytest.mark.parametrize("weight", [[np.inf, 1, 1], [1, -np.inf, 1], [1, 1, np.nan]])
def test_an_infinite_weight_reaches_only_the_numbers_that_it_multiplies(weight):
    """Not those at the edge, beyond which a turned-round convolution would see zeros: inf * 0 is NaN."""
    geometry = Geometry((1,), (1,), (1,), 1)
    dy, w = np.ones((1, 1, 6)), np.array([[weight]])
    np.testing.assert_array_equal(*[way(ConvInput(geometry, (1, 1, 6)), dy, w) for way in (run, run_plain)])


def test_fewer_positions_than_would_fit():
    """As of a transposed convolution whose output has a place more (output_padding) than its windows reach."""
    geometry = Geometry((1,), (3,), (2,), 1)
    dy, w = np.ones((1, 1, 2)), np.ones((1, 1, 3))
    np.testing.assert_array_equal(*[way(ConvInput(geometry, (1, 1, 1)), dy, w) for way in (run, run_plain)])


@pytest.mark.parametrize("size", [4, 5, 9])
@pytest.mark.parametrize("kernel", [2, 3, 4])
def test_the_gradient_of_same_is_a_convolution_of_the_gradient(kernel, size, monkeypatch):
    """Also of an even window, which ends beyond the input: nothing is added back onto windows."""
    monkeypatch.setattr(versions, "_added_back", None)
    x, weight = (md.Tensor(np.arange(math.prod(s)).reshape(s) % 5.0, True) for s in ((2, 1, size), (3, 1, kernel)))
    (F.conv1d(x, weight, padding="same") ** 2).sum().backward()
    found = x.grad.numpy()
    with md.plain():
        np.testing.assert_array_equal(found, md.grad((F.conv1d(x, weight, padding="same") ** 2).sum(), x).numpy())


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_second_gradients_agree(dtype):
    rng = np.random.default_rng(1)
    arrays = [rng.standard_normal(shape).astype(dtype) for shape in ((2, 4, 6, 5), (6, 2, 3, 2), (6,))]

    def second():
        tensors = [md.Tensor(array, True) for array in arrays]
        grads = md.grad((F.conv2d(*tensors, 2, 1, 1, 2) ** 3).sum(), tensors, create_graph=True)
        return [grad.numpy() for grad in md.grad(sum((grad * grad).sum() for grad in grads), tensors)]

    found = second()
    with md.plain():
        expected = second()
    for ours, plain in zip(found, expected, strict=True):
        assert ours.dtype == plain.dtype == dtype
        np.testing.assert_allclose(ours, plain, rtol=1e-10 if dtype == np.float64 else 1e-3, atol=1e-3)


def test_no_images_no_channels_and_no_filters():
    geometry = Geometry((1, 1), (1, 1), (1, 1), 1)
    for x_shape, weight_shape in (((0, 2, 4, 4), (3, 2, 3, 3)), ((2, 0, 4, 4), (3, 0, 3, 3))):
        x, weight, dy = np.ones(x_shape), np.ones(weight_shape), np.ones((x_shape[0], 3, 4, 4))
        for op, arrays in (
            (lambda: Conv(geometry), (x, weight, np.ones(3))),
            (lambda g=x_shape: ConvInput(geometry, g), (dy, weight)),
            (lambda g=weight_shape: ConvWeight(geometry, g), (x, dy)),
        ):
            np.testing.assert_array_equal(run(op(), *arrays), run_plain(op(), *arrays), strict=True)


@pytest.mark.parametrize("dtype", [np.int64, np.uint8])
def test_integers_are_left_to_the_plain_lines(dtype):
    op = Conv(Geometry((1,), (0,), (1,), 1))
    y = op(np.array([[[1, 2, 3]]], dtype), np.array([[[1, 1]]], dtype), None)
    assert type(op) is Conv
    np.testing.assert_array_equal(y, np.array([[[3, 5]]], dtype), strict=True)
