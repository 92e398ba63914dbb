"""minidl/functional/pooling.py."""

from __future__ import annotations

from contextlib import nullcontext

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

import minidl as md
import minidl.functional as F
from minidl.functional.geometry import pooling_window
from minidl.functional.pooling import MaxPool, areas
from tests.arrays import device, host, tensor
from tests.factory import Operand, check, check_against_numpy, check_special, examples, operand
from tests.pytorch import TF, torch


def pool_plain(x, kernel, stride, padding, out, reduce):
    """The definition: `reduce` of the numbers of each window that lie inside the image, and how many places count.

    The places that count for a mean with padding are those inside image and padding.
    """
    y = np.zeros((*x.shape[:2], *out))
    for n, c, i, j in np.ndindex(y.shape):
        top, left = i * stride[0] - padding[0], j * stride[1] - padding[1]
        bottom, right = top + kernel[0], left + kernel[1]
        window = x[n, c, max(top, 0) : bottom, max(left, 0) : right]
        height = min(bottom, x.shape[2] + padding[0]) - top
        width = min(right, x.shape[3] + padding[1]) - left
        y[n, c, i, j] = reduce(window, height * width)
    return y


def pool1d_plain(x, kernel, stride, padding, out, reduce):
    """The same with one axis less."""
    y = np.zeros((*x.shape[:2], *out))
    for n, c, i in np.ndindex(y.shape):
        start = i * stride[0] - padding[0]
        end = start + kernel[0]
        y[n, c, i] = reduce(x[n, c, max(start, 0) : end], min(end, x.shape[2] + padding[0]) - start)
    return y


MAX = {1: (F.max_pool1d, TF.max_pool1d), 2: (F.max_pool2d, TF.max_pool2d)}
AVG = {1: (F.avg_pool1d, TF.avg_pool1d), 2: (F.avg_pool2d, TF.avg_pool2d)}
PLAIN = {1: pool1d_plain, 2: pool_plain}
ONE_AND_TWO_AXES = pytest.mark.parametrize("n", [1, 2])


@st.composite
def cases(draw, n):
    """An input with n spatial axes and a window that PyTorch accepts."""
    kernel = tuple(draw(st.integers(1, 3)) for _ in range(n))
    stride = draw(st.sampled_from([None, 1, 2, 3, *([(2, 3), (1, 2)] if n == 2 else [(2,)])]))
    padding = tuple(draw(st.integers(0, k // 2)) for k in kernel)
    sides = [draw(st.integers(1, 7)) for _ in range(n)]
    assume(all(n + 2 * p >= k for n, p, k in zip(sides, padding, kernel, strict=True)))
    x = draw(operand((draw(st.sampled_from([1, 2])), draw(st.sampled_from([2, 1])), *sides)))
    return x, {"kernel_size": kernel, "stride": stride, "padding": padding, "ceil_mode": draw(st.booleans())}


@ONE_AND_TWO_AXES
@examples(160)
@given(data=st.data())
def test_max_pooling_against_pytorch(n, data):
    x, options = data.draw(cases(n))
    ours, theirs = MAX[n]
    check(lambda t: ours(t, **options), lambda t: theirs(t, **options), x)


@ONE_AND_TWO_AXES
@examples(160)
@given(data=st.data(), count_include_pad=st.booleans())
def test_average_pooling_against_pytorch(n, data, count_include_pad):
    x, options = data.draw(cases(n))
    options["count_include_pad"] = count_include_pad
    ours, theirs = AVG[n]
    check(lambda t: ours(t, **options), lambda t: theirs(t, **options), x)


@ONE_AND_TWO_AXES
@examples(60)
@given(data=st.data())
def test_against_the_plain_definition(n, data):
    x, options = data.draw(cases(n))
    kernel, padding, plain = options["kernel_size"], options["padding"], PLAIN[n]
    stride = options["stride"] or kernel
    stride = (stride,) * n if isinstance(stride, int) else stride
    largest = MAX[n][0](tensor(x.values), **options)
    rest = (kernel, stride, padding, largest.shape[2:])
    np.testing.assert_array_equal(host(largest), plain(x.values, *rest, lambda window, places: window.max()))
    with_padding = AVG[n][0](tensor(x.values), **options)
    np.testing.assert_allclose(
        host(with_padding), plain(x.values, *rest, lambda window, places: window.sum() / places), atol=1e-12
    )
    without = AVG[n][0](tensor(x.values), **options, count_include_pad=False)
    np.testing.assert_allclose(host(without), plain(x.values, *rest, lambda window, places: window.mean()), atol=1e-12)


def test_caffes_clipped_windows():
    """Caffe's cifar10_quick: 32 pixels, window 3, stride 2, rounded up, are 16 positions; the last sees 2x2."""
    x = np.arange(32.0 * 32).reshape(1, 1, 32, 32)
    y = F.avg_pool2d(tensor(x), 3, stride=2, ceil_mode=True)
    assert y.shape == (1, 1, 16, 16)
    assert host(y)[0, 0, 15, 15] == x[0, 0, 30:, 30:].mean()
    assert F.max_pool2d(tensor(x), 3, stride=2).shape == (1, 1, 15, 15)


def test_the_first_of_equal_numbers_gets_the_gradient():
    x = Operand(np.ones((1, 1, 5, 5)))
    for options in ({"kernel_size": 2}, {"kernel_size": 3, "stride": 1, "padding": 1}, {"kernel_size": 3, "stride": 2}):
        check(lambda t, o=options: F.max_pool2d(t, **o), lambda t, o=options: TF.max_pool2d(t, **o), x, numeric=False)


def test_nan_and_infinity():
    nan, inf = np.nan, np.inf
    image = np.array([[1, nan, 2, 3], [nan, 5, -inf, inf], [-inf, -inf, 0, 1], [-inf, -inf, 1, 1]]).reshape(1, 1, 4, 4)
    for options in ({"kernel_size": 2}, {"kernel_size": 2, "stride": 1, "padding": 1}):
        check_special(lambda t, o=options: F.max_pool2d(t, **o), lambda t, o=options: TF.max_pool2d(t, **o), [image])
    nothing = np.full((1, 1, 3, 3), -inf)
    check_special(lambda t: F.max_pool2d(t, 3, 1, 1), lambda t: TF.max_pool2d(t, 3, 1, 1), [nothing])
    finite = np.where(np.isnan(image), 0, image)
    check_special(lambda t: F.avg_pool2d(t, 2), lambda t: TF.avg_pool2d(t, 2), [finite], gradients=False)


@pytest.mark.parametrize("dtype", ["int64", "uint8", "int8"])
def test_integers(dtype):
    x = (np.arange(16) - (0 if dtype == "uint8" else 20)).reshape(1, 1, 4, 4).astype(dtype)
    expected = TF.max_pool2d(torch.tensor(x), 3, 2, 1).numpy()
    check_against_numpy(lambda t: F.max_pool2d(t, 3, 2, 1), lambda a: expected, x)
    means = TF.avg_pool2d(torch.tensor(x.astype(np.float64)), 2).numpy()
    check_against_numpy(lambda t: F.avg_pool2d(t, 2), lambda a: means, x)


@pytest.mark.parametrize("shape", [(0, 2, 4, 4), (2, 0, 4, 4)])
@pytest.mark.parametrize("function", [F.max_pool2d, F.avg_pool2d])
def test_no_images_and_no_channels(function, shape):
    x = tensor(np.ones(shape), True)
    y = function(x, 2)
    assert y.shape == (*shape[:2], 2, 2)
    y.backward(device(np.ones(y.shape)))
    assert x.grad.shape == shape


def test_float16_means_are_exact():
    x = tensor(np.full((1, 1, 64, 64), 100, np.float16), True)
    y = F.avg_pool2d(x, 64)  # the sum, 409600, is infinite in float16
    assert y.item() == 100
    y.backward(device(np.ones(y.shape, np.float16)))
    np.testing.assert_allclose(host(x.grad), 1 / 4096, rtol=1e-3)


def test_float16_gradients_where_a_window_holds_more_than_float16_can_count():
    x = tensor(np.ones((1, 1, 260, 260), np.float16), True)
    F.avg_pool2d(x, 260).backward(device(np.full((1, 1, 1, 1), 67600 / 4, np.float16)))
    np.testing.assert_allclose(host(x.grad), 0.25, rtol=1e-3)


def test_a_window_larger_than_the_image_fits_when_sizes_are_rounded_up():
    x = Operand(np.arange(4.0).reshape(1, 1, 2, 2))
    options = {"kernel_size": 3, "stride": 2, "ceil_mode": True}
    check(lambda t: F.max_pool2d(t, **options), lambda t: TF.max_pool2d(t, **options), x)
    check(lambda t: F.avg_pool2d(t, **options), lambda t: TF.avg_pool2d(t, **options), x)


def test_a_window_of_one_copies():
    x = tensor(np.ones((1, 1, 2, 2)))
    y = F.max_pool2d(x, 1)
    y.data[...] = 0
    np.testing.assert_array_equal(host(x), 1)


@pytest.mark.parametrize(
    ("shape", "options", "words"),
    [
        ((4, 4), {"kernel_size": 2}, r"\(N, C, H, W\); got Tensor of shape \(4, 4\).*$"),
        (
            (1, 4, 4),
            {"kernel_size": 2},
            r"\(N, C, H, W\); got Tensor of shape \(1, 4, 4\).*: add a batch axis, x\[None\]$",
        ),
        ((1, 1, 4, 4), {"kernel_size": 5}, r"window of \(5, 5\) does not fit an image of \(4, 4\)"),
        ((1, 1, 1, 1), {"kernel_size": 3, "stride": 2, "ceil_mode": True}, "does not fit"),
        ((1, 1, 0, 4), {"kernel_size": 1}, "does not fit"),
        ((1, 1, 4, 4), {"kernel_size": 3, "padding": 2}, "at most half of kernel_size"),
        ((1, 1, 4, 4), {"kernel_size": 0}, "kernel_size: expected a whole number of at least 1"),
        ((1, 1, 4, 4), {"kernel_size": 2, "stride": (1, 0)}, "stride: expected a whole number of at least 1"),
        ((1, 1, 4, 4), {"kernel_size": 2, "stride": "wide"}, "stride: expected a whole number"),
    ],
)
@pytest.mark.parametrize("function", [F.max_pool2d, F.avg_pool2d])
def test_what_does_not_fit(function, shape, options, words):
    with pytest.raises(md.ShapeError, match=words):
        function(tensor(np.ones(shape)), **options)


@pytest.mark.parametrize("function", [F.max_pool2d, F.avg_pool2d])
def test_a_dilation_in_the_place_of_ceil_mode_is_refused(function):
    with pytest.raises(ValueError, match=r"ceil_mode: expected True or False .*no dilation here.*; got 1"):
        function(tensor(np.ones((1, 1, 8, 8))), 3, 2, 1, 1)
    assert function(tensor(np.ones((1, 1, 8, 8))), 3, 2, 1, np.True_).shape == (1, 1, 5, 5)


def test_a_list_is_named():
    for function in (lambda x: F.max_pool2d(x, 2), F.global_avg_pool):
        with pytest.raises(md.ShapeError, match=r"got list"):
            function([[[[1.0, 2.0], [3.0, 4.0]]]])


@pytest.mark.parametrize(
    ("shape", "options", "words"),
    [
        ((1, 4), {"kernel_size": 2}, r"\(N, C, L\); got Tensor of shape \(1, 4\).*: add a batch axis"),
        ((1, 1, 4, 4), {"kernel_size": 2}, r"\(N, C, L\); got Tensor of shape \(1, 1, 4, 4\).*$"),
        ((1, 1, 4), {"kernel_size": 5}, r"window of \(5,\) does not fit a sequence of \(4,\)"),
        ((1, 1, 4), {"kernel_size": (2, 2)}, r"kernel_size: expected a whole number of at least 1; got \(2, 2\)"),
    ],
)
@pytest.mark.parametrize("function", [F.max_pool1d, F.avg_pool1d])
def test_what_does_not_fit_a_sequence(function, shape, options, words):
    with pytest.raises(md.ShapeError, match=words):
        function(tensor(np.ones(shape)), **options)


@pytest.mark.parametrize("stride", [7, 2**31 - 1, 2**40])
def test_a_stride_that_leads_out_of_the_input_gives_one_window(stride):
    x = tensor(np.array([[[1.0, 3.0, 2.0, 0.0]]]), requires_grad=True)
    y = F.max_pool1d(x, 3, stride, 1) + F.avg_pool1d(x, 3, stride, 1)
    assert y.shape == (1, 1, 1)
    y.sum().backward()
    np.testing.assert_allclose(host(x.grad), [[[1 / 3, 4 / 3, 0, 0]]])
    weight = tensor(np.ones((1, 1, 2)), requires_grad=True)
    F.conv1d(x, weight, stride=stride, padding=1).sum().backward()
    np.testing.assert_allclose(host(weight.grad), [[[0, 1]]])


def test_chosen_is_the_number_of_the_place_in_the_window():
    """Row by row from 0; a place of the padding is never chosen, and of several NaN the last is."""
    image = np.array([[-1, -2, 5, 5], [-3, -4, 5, 5], [0, np.nan, -np.inf, -np.inf], [np.nan, 1, -np.inf, -np.inf]])
    op = MaxPool(pooling_window(2, image[None, None], 2, None, 0, False))
    op(device(image[None, None]))
    np.testing.assert_array_equal(host(op.chosen)[0, 0], [[0, 0], [2, 0]])
    op = MaxPool(pooling_window(2, image[None, None], 3, 3, 1, False))
    op(device(image[None, None]))
    np.testing.assert_array_equal(host(op.chosen)[0, 0], [[4, 3], [4, 0]])


def test_a_forward_and_a_backward_of_which_only_one_is_plain():
    """What the one leaves the other takes up: plain forwards with fast backwards, and the other way round."""
    x = np.random.default_rng(0).integers(-4, 5, (2, 3, 7, 6)).astype(np.float32)

    def slope(forward_plain, backward_plain, pool):
        leaf = tensor(x, True)
        with md.plain() if forward_plain else nullcontext():
            y = pool(leaf)
        with md.plain() if backward_plain else nullcontext():
            (grad,) = md.grad(
                y, [leaf], device(np.arange(y.size, dtype=np.float32).reshape(y.shape)), create_graph=True
            )
            (grad * grad * leaf).sum().backward()
        return [host(y), host(grad), host(leaf.grad)]

    for pool in (lambda t: F.max_pool2d(t, 3, 2, 1, True), lambda t: F.avg_pool2d(t, 3, 2, 1, True)):
        expected = slope(True, True, pool)
        for modes in ((False, False), (True, False), (False, True)):
            for ours, plain in zip(slope(*modes, pool), expected, strict=True):
                np.testing.assert_allclose(ours, plain, rtol=1e-5, atol=1e-5)


def test_how_many_places_of_a_window_count():
    """Windows of three from -1 and 2 on, in four places: places -1, 0, 1 and 2, 3, 4, of which -1 and 4 are padding."""
    window = pooling_window(1, np.ones((1, 1, 4)), 3, 3, 1, False)
    like = device(np.ones(1, np.float32))
    np.testing.assert_array_equal(host(areas(window, True, like)), [3, 3])
    np.testing.assert_array_equal(host(areas(window, False, like)), [2, 2])
