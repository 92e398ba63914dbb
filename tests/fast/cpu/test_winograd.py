"""minidl/fast/cpu/winograd.py: the plain ops within its bound of error, within its memory, and only where it fits."""

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
from minidl.errors import DTypeError, ShapeError
from minidl.fast.cpu import conv as blocked
from minidl.fast.cpu import threads as parallel
from minidl.fast.cpu import winograd
from minidl.functional.conv import Conv, ConvInput, ConvWeight
from minidl.functional.geometry import Geometry
from tests.factory import examples

BOUND = 1e-5  # times 1 + max|y|: what docs/winograd.md promises
VERSIONS = {
    Conv: winograd.WinogradConv,
    ConvInput: winograd.WinogradConvInput,
    ConvWeight: winograd.WinogradConvWeight,
}


@pytest.fixture
def everywhere(monkeypatch):
    """Chosen also where it is not faster, so that small arrays will do."""
    fit_everywhere(monkeypatch)


def fit_everywhere(patch):
    patch.setattr(winograd, "CHANNELS", {3: 0, 5: 0})
    patch.setattr(winograd, "TILES", 0)


def run(op, *arrays):
    """What the op makes of the arrays; and that it was the version that made it."""
    plain = type(op).plain
    result = op(*arrays)
    assert type(op) is VERSIONS[plain]
    return result


def run_whichever(op, *arrays):
    return op(*arrays)


def run_blocked(op, *arrays):
    result = op(*arrays)
    assert type(op) is getattr(blocked, type(op).plain.__name__)
    return result


def run_in_float64(op, *arrays):
    with md.plain():
        return op(*[None if array is None else array.astype(np.float64) for array in arrays])


def three_products(run, x, weight, bias, dy, geometry):
    return (
        run(Conv(geometry, dy.shape[2:]), x, weight, bias),
        run(ConvInput(geometry, x.shape), dy, weight),
        run(ConvWeight(geometry, weight.shape), x, dy),
    )


def numbers(rng, kind, shape):
    """Of mean 0, or as images and the outputs of ReLU are: none below 0; or one of them far larger than the others."""
    drawn = rng.standard_normal(shape).astype(np.float32)
    if kind == "positive":
        return np.maximum(drawn, 0)
    if kind == "one large" and drawn.size:
        drawn[tuple([rng.integers(n) for n in shape])] *= 1000
    return drawn


def in_some_order(values, order):
    """The same numbers, with the axes in this order in memory."""
    return np.ascontiguousarray(values.transpose(order)).transpose(np.argsort(order))


def assert_within_the_bound(found, exact):
    assert found.dtype == np.float32
    assert found.shape == exact.shape
    assert np.abs(found - exact).max(initial=0) <= BOUND * (1 + np.abs(exact).max(initial=0))


@examples(150)
@given(data=st.data(), kernel=st.sampled_from([3, 5]), block=st.sampled_from([1, 20_000, 200_000, 2 << 20]))
def test_is_within_its_bound_of_the_plain_ops_in_float64(data, kernel, block):
    """Whatever geometry, numbers and order in memory, and wherever blocks, bands and runs are cut."""
    whole = st.integers
    rng = np.random.default_rng(data.draw(whole(0, 1000)))
    channels, filters = (data.draw(st.sampled_from([1, 2, 5, 33, 64, 130])) for _ in range(2))
    padding = tuple(data.draw(st.one_of(whole(0, kernel - 1), whole(kernel, 12))) for _ in range(2))
    sizes = tuple(max(1, kernel - 2 * p) + data.draw(whole(0, 14)) for p in padding)
    geometry = Geometry((1, 1), padding, (1, 1), 1)
    out = geometry.positions(sizes, (kernel, kernel))
    out = tuple(max(1, o - data.draw(st.sampled_from([0, 0, 1]))) for o in out)
    order = (0, *data.draw(st.sampled_from(list(itertools.permutations((1, 2, 3))))))
    kind = data.draw(st.sampled_from(["of mean 0", "positive"]))
    images = data.draw(whole(0, 6))
    x, dy = (in_some_order(numbers(rng, kind, (images, *s)), order) for s in ((channels, *sizes), (filters, *out)))
    scale = data.draw(st.sampled_from([0.01, 1, 100])) / math.sqrt(channels) / kernel
    weight = (scale * rng.standard_normal((filters, channels, kernel, kernel))).astype(np.float32)
    bias = data.draw(st.sampled_from([None, rng.standard_normal(filters).astype(np.float32)]))
    way = run if max(padding) < kernel else run_whichever  # a window that sees only padding has no dx by tiles
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(parallel, "BLOCK", block)
        fit_everywhere(patch)
        patch.setattr(blocked, "ENOUGH", 0)
        found = three_products(way, x, weight, bias, dy, geometry)
    for ours, exact in zip(found, three_products(run_in_float64, x, weight, bias, dy, geometry), strict=True):
        assert_within_the_bound(ours, exact)


@pytest.mark.parametrize(
    ("x_shape", "filters", "kernel"), [((6, 64, 28, 28), 64, 3), ((24, 32, 16, 16), 64, 5), ((8, 256, 16, 16), 32, 5)]
)
def test_is_within_its_bound_where_it_is_chosen(x_shape, filters, kernel):
    rng = np.random.default_rng(0)
    geometry = Geometry((1, 1), (kernel // 2, kernel // 2), (1, 1), 1)
    images, channels, *size = x_shape
    x, dy = (numbers(rng, "of mean 0", (images, c, *size)) for c in (channels, filters))
    weight = numbers(rng, "of mean 0", (filters, channels, kernel, kernel)) / np.float32(kernel * 8)
    results = [three_products(way, x, weight, None, dy, geometry) for way in (run, run_in_float64)]
    for ours, exact in zip(*results, strict=True):
        assert_within_the_bound(ours, exact)


@pytest.mark.parametrize("kernel", [3, 5])
def test_a_number_larger_than_all_others_costs_its_tile_digits_of_its_own_size(kernel, everywhere):
    rng = np.random.default_rng(kernel)
    geometry = Geometry((1, 1), (kernel // 2, kernel // 2), (1, 1), 1)
    x, weight = numbers(rng, "one large", (2, 33, 16, 16)), numbers(rng, "of mean 0", (8, 33, kernel, kernel))
    found, exact = (way(Conv(geometry), x, weight, None) for way in (run, run_in_float64))
    image = np.abs(x).max(axis=(1, 2, 3)).argmax()
    size = np.abs(x).max() * np.abs(weight).max()
    assert np.abs(found - exact)[image].max() <= BOUND * (1 + size)
    assert_within_the_bound(found[1 - image], exact[1 - image])


def test_threads_give_the_same_as_one_and_the_same_bits_again(threads, everywhere):
    rng = np.random.default_rng(1)
    geometry = Geometry((1, 1), (1, 1), (1, 1), 1)
    x, dy = (numbers(rng, "of mean 0", (7, c, 9, 6)) for c in (8, 5))
    weight = numbers(rng, "of mean 0", (5, 8, 3, 3))
    once, again, exact = (three_products(way, x, weight, None, dy, geometry) for way in (run, run, run_in_float64))
    for first, second, right in zip(once, again, exact, strict=True):
        np.testing.assert_array_equal(first, second)
        assert_within_the_bound(first, right)


@pytest.mark.parametrize("shape", [(64, 32, 32, 32), (1, 32, 320, 318)])
def test_memory_stays_within_the_blocks(threads, shape):
    """Beyond input and result, each thread has a few blocks; all transformed tiles would be 4 inputs."""
    geometry = Geometry((1, 1), (2, 2), (1, 1), 1)
    x, weight = np.ones(shape, np.float32), np.ones((32, 32, 5, 5), np.float32)
    assert 4 * x.nbytes > 12 * parallel.BLOCK  # or this shows nothing
    y = blocked.channels_last(shape, x.dtype)
    y[...] = 1
    jobs = {
        "y": (lambda: run(Conv(geometry, shape[2:]), x, weight, None), y.nbytes),
        "dx": (lambda: run(ConvInput(geometry, shape), y, weight), x.nbytes),
        "dw": (lambda: run(ConvWeight(geometry, weight.shape), x, y), weight.nbytes),
    }
    tracemalloc.start()
    try:
        for name, (job, result) in jobs.items():
            before, _ = tracemalloc.get_traced_memory()
            tracemalloc.reset_peak()
            job()
            extra = tracemalloc.get_traced_memory()[1] - before - result
            assert extra < threads * (4 * parallel.block_bytes() + 9 * weight.nbytes) + parallel.block_bytes(), (
                name,
                extra,
            )
    finally:
        tracemalloc.stop()


def test_results_are_channels_last_in_memory_and_own_it(everywhere):
    rng = np.random.default_rng(1)
    x, dy, weight = (numbers(rng, "of mean 0", s) for s in ((2, 3, 5, 4), (2, 6, 5, 4), (6, 3, 3, 3)))
    y, dx, dw = three_products(run, x, weight, None, dy, Geometry((1, 1), (1, 1), (1, 1), 1))
    assert y.transpose(0, 2, 3, 1).flags.c_contiguous
    assert dx.transpose(0, 2, 3, 1).flags.c_contiguous
    assert dw.flags.c_contiguous
    assert y.base is dx.base is None


@pytest.mark.parametrize("value", [np.inf, -np.inf, np.nan, 3e38])
@pytest.mark.parametrize("where", ["x", "weight", "dy"])
def test_what_is_not_finite_reaches_only_the_outputs_that_see_it(where, value, everywhere, monkeypatch):
    rng = np.random.default_rng(1)
    shapes = {"x": (2, 3, 9, 9), "weight": (4, 3, 3, 3), "dy": (2, 4, 9, 9)}
    arrays = {name: numbers(rng, "of mean 0", shape) for name, shape in shapes.items()}
    arrays[where][1, 2, 2, 1] = value
    geometry = Geometry((1, 1), (1, 1), (1, 1), 1)
    operands = arrays["x"], arrays["weight"], None, arrays["dy"], geometry
    found = three_products(run, *operands)
    monkeypatch.setattr(winograd, "POINTS", {})
    for ours, expected in zip(found, three_products(run_blocked, *operands), strict=True):
        np.testing.assert_allclose(ours, expected, rtol=1e-4, atol=1e-4)


OPTIONS = {"x": (32, 64, 8, 8), "filters": 64, "kernel": (3, 3), "dtype": "float32"}


@pytest.mark.parametrize(
    ("changed", "fits"),
    [
        ({}, True),
        ({"x": (32, 32, 8, 8), "filters": 32, "kernel": (5, 5), "padding": 2}, True),
        ({"x": (32, 32, 8, 8), "filters": 32}, False),
        ({"x": (32, 51, 8, 8)}, False),
        ({"filters": 51}, False),
        ({"dtype": "float64"}, False),
        ({"dtype": "float16"}, False),
        ({"kernel": (3, 5)}, False),
        ({"kernel": (7, 7)}, False),
        ({"kernel": (1, 1)}, False),
        ({"stride": 2}, False),
        ({"dilation": 2}, False),
        ({"groups": 2}, False),
        ({"x": (31, 64, 8, 8)}, False),  # too few tiles
        ({"x": (32, 64, 7, 7)}, False),  # 49 outputs of 64
        ({"x": (32, 70, 7, 7), "filters": 70}, True),
        ({"x": (128, 513, 4, 4), "filters": 256}, False),  # too large a weight
    ],
)
def test_fits_where_it_is_faster(changed, fits):
    options = {**OPTIONS, "padding": 1, **changed}
    groups = options.get("groups", 1)
    x = np.zeros(options["x"], options["dtype"])
    weight = np.zeros((options["filters"], x.shape[1] // groups, *options["kernel"]), x.dtype)
    steps = [options.get(name, 1) for name in ("stride", "padding", "dilation", "groups")]
    op = Conv(Geometry.of(2, *steps))
    y = op(x, weight, None)
    assert isinstance(op, winograd.WinogradConv) == fits
    changes = ConvInput(op.geometry, x.shape), ConvWeight(op.geometry, weight.shape)
    changes[0](y, weight)
    changes[1](x, y)
    assert [isinstance(c, VERSIONS[type(c).plain]) for c in changes] == [fits, fits]


def test_sequences_and_integers_are_left_to_others():
    for x, weight in ((np.zeros((99, 64, 32), "f"), np.zeros((64, 64, 3), "f")),):
        op = Conv(Geometry((1,), (1,), (1,), 1))
        op(x, weight, None)
        assert type(op) is blocked.Conv
    op = Conv(Geometry((1, 1), (1, 1), (1, 1), 1))
    op(np.zeros((32, 64, 8, 8), int), np.zeros((64, 64, 3, 3), int), None)
    assert type(op) is Conv


def test_errors_are_those_of_the_op():
    x, weight = md.zeros(99, 64, 8, 8), md.zeros(64, 64, 5, 5)
    with pytest.raises(ShapeError, match="expected an input of 64 channels"):
        F.conv2d(md.zeros(99, 65, 8, 8), weight)
    with pytest.raises(ShapeError, match="the window reaches over 5 but"):
        F.conv2d(md.zeros(9999, 64, 1, 1), weight)
    with pytest.raises(DTypeError):
        F.conv2d(x, weight.astype("float64"))
    with pytest.raises(DTypeError):
        F.conv2d(x, 3)


@pytest.mark.parametrize("kernel", [3, 5])
def test_gradients_and_gradients_of_gradients(kernel, everywhere):
    """Of a function with all three products in it, and twice, against the plain lines in float64."""
    rng = np.random.default_rng(kernel)
    arrays = [numbers(rng, "of mean 0", s) / 3 for s in ((2, 4, 9, 8), (6, 4, kernel, kernel), (6,))]

    def derivatives(dtype):
        tensors = [md.Tensor(array.astype(dtype), True) for array in arrays]
        y = F.conv2d(*tensors, padding=kernel // 2)
        assert isinstance(y._op, winograd.WinogradConv) == (dtype == "float32")
        grads = md.grad((y**3).sum(), tensors, create_graph=True)
        return [*grads, *md.grad(sum((g * g).sum() for g in grads), tensors)]

    found = derivatives("float32")
    with md.plain():
        expected = derivatives("float64")
    for ours, exact in zip(found, expected, strict=True):
        assert ours.dtype == np.float32
        size = np.abs(exact.numpy()).max()
        np.testing.assert_allclose(ours.numpy(), exact.numpy(), rtol=0, atol=10 * BOUND * (1 + size))


def test_a_gradient_without_a_graph_goes_through_tiles(everywhere, monkeypatch):
    seen = []
    for name in ("convolve", "weigh"):
        own = getattr(winograd, name)
        monkeypatch.setattr(winograd, name, lambda *a, own=own, name=name: seen.append(name) or own(*a))
    x, weight = (md.Tensor(np.ones(s, np.float32), True) for s in ((2, 3, 8, 8), (4, 3, 3, 3)))
    F.conv2d(x, weight, padding=1).sum().backward()
    assert sorted(seen) == ["convolve", "convolve", "weigh"]


def test_it_can_be_turned_off_by_name():
    arrays = np.zeros((32, 64, 8, 8), np.float32), np.zeros((64, 64, 3, 3), np.float32), None

    def chosen():
        op = Conv(Geometry((1, 1), (1, 1), (1, 1), 1))
        op(*arrays)
        return type(op)

    assert chosen() is winograd.WinogradConv
    md.fast.use("winograd", False)
    try:
        assert chosen() is blocked.Conv
        md.fast.use("Conv", False)
        assert chosen() is Conv
        md.fast.use("WinogradConv")
        assert chosen() is winograd.WinogradConv
    finally:
        md.fast.use("Conv")
        md.fast.use("winograd")
    assert chosen() is winograd.WinogradConv


def test_a_name_that_no_version_has_is_an_error():
    with pytest.raises(ValueError, match=r"no version or file of versions is named 'vinograd'; md\.fast\.table\(\)"):
        md.fast.use("vinograd", False)
    with pytest.raises(ValueError, match=r"md\.fast\.use: on: expected True or False; got 'no'"):
        md.fast.use("winograd", "no")


@pytest.mark.parametrize("kernel", [3, 5])
def test_the_matrices_make_the_convolution(kernel):
    """A^T [(G w) * (B^T x)] is the correlation of x with w; to float32's rounding of B and A, which are exact."""
    inputs, weights, outputs = (m.astype(np.float64) for m in winograd.transforms(kernel))
    rng = np.random.default_rng(0)
    x, w = rng.standard_normal(len(inputs)), rng.standard_normal(kernel)
    np.testing.assert_allclose(outputs.T @ ((weights @ w) * (inputs @ x)), np.correlate(x, w), rtol=1e-12, atol=1e-12)
