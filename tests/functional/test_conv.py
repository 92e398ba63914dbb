"""minidl/functional/conv.py."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import minidl as md
import minidl.functional as F
from minidl.functional.conv import Conv, add_columns, columns, for_products
from minidl.functional.geometry import Geometry
from tests.arrays import device, host, tensor
from tests.factory import Operand, check, check_against_numpy, examples, operand
from tests.pytorch import TF, torch


def conv2d_plain(x, weight, bias, stride, padding, dilation, groups):
    """The definition, as slow as it is clear: every output number is a sum over channels and window."""
    images, _, height, width = x.shape
    filters, per_group, kernel_h, kernel_w = weight.shape
    out_h = (height + 2 * padding[0] - dilation[0] * (kernel_h - 1) - 1) // stride[0] + 1
    out_w = (width + 2 * padding[1] - dilation[1] * (kernel_w - 1) - 1) // stride[1] + 1
    y = np.zeros((images, filters, out_h, out_w))
    for n, f, i, j in np.ndindex(y.shape):
        first_channel = f // (filters // groups) * per_group
        total = bias[f]
        for c, k, m in np.ndindex(per_group, kernel_h, kernel_w):
            row = i * stride[0] + k * dilation[0] - padding[0]
            column = j * stride[1] + m * dilation[1] - padding[1]
            if 0 <= row < height and 0 <= column < width:
                total += weight[f, c, k, m] * x[n, first_channel + c, row, column]
        y[n, f, i, j] = total
    return y


def conv1d_plain(x, weight, bias, stride, padding, dilation, groups):
    """The same with one axis less."""
    images, _, length = x.shape
    filters, per_group, kernel = weight.shape
    out = (length + 2 * padding[0] - dilation[0] * (kernel - 1) - 1) // stride[0] + 1
    y = np.zeros((images, filters, out))
    for n, f, i in np.ndindex(y.shape):
        first_channel = f // (filters // groups) * per_group
        total = bias[f]
        for c, k in np.ndindex(per_group, kernel):
            place = i * stride[0] + k * dilation[0] - padding[0]
            if 0 <= place < length:
                total += weight[f, c, k] * x[n, first_channel + c, place]
        y[n, f, i] = total
    return y


CONV = {1: (F.conv1d, TF.conv1d, conv1d_plain), 2: (F.conv2d, TF.conv2d, conv2d_plain)}
ONE_AND_TWO_AXES = pytest.mark.parametrize("n", [1, 2])


@dataclass
class Case:
    x: Any
    weight: Any
    bias: Any
    options: dict[str, Any]


@st.composite
def cases(draw, n):
    """Inputs with n spatial axes, filters and a way for the window to move, such that it fits."""
    groups = draw(st.sampled_from([1, 1, 2, 3]))
    channels, filters = groups * draw(st.sampled_from([1, 2])), groups * draw(st.sampled_from([2, 1]))
    kernel, stride = (tuple(draw(st.integers(1, 3)) for _ in range(n)) for _ in range(2))
    padding = tuple(draw(st.integers(0, 2)) for _ in range(n))
    dilation = tuple(draw(st.sampled_from([1, 1, 2])) for _ in range(n))
    sides = []
    for i in range(n):
        smallest = max(1, dilation[i] * (kernel[i] - 1) + 1 - 2 * padding[i])
        sides.append(smallest + draw(st.integers(0, 4)))
    return Case(
        draw(operand((draw(st.sampled_from([2, 1, 3])), channels, *sides))),
        draw(operand((filters, channels // groups, *kernel), low=-2, high=2)),
        draw(operand((filters,))),
        {"stride": stride, "padding": padding, "dilation": dilation, "groups": groups},
    )


@ONE_AND_TWO_AXES
@examples(120)
@given(data=st.data())
def test_against_pytorch(n, data):
    case = data.draw(cases(n))
    ours, theirs, _ = CONV[n]
    check(
        lambda x, w, b: ours(x, w, b, **case.options),
        lambda x, w, b: theirs(x, w, b, **case.options),
        [case.x, case.weight, case.bias],
        mixed=False,
        slack=4,
    )


@ONE_AND_TWO_AXES
@examples(40)
@given(data=st.data())
def test_against_the_plain_definition(n, data):
    case = data.draw(cases(n))
    ours, _, plain = CONV[n]
    result = ours(tensor(case.x.values), tensor(case.weight.values), tensor(case.bias.values), **case.options)
    expected = plain(case.x.values, case.weight.values, case.bias.values, **case.options)
    np.testing.assert_allclose(host(result), expected, rtol=1e-12, atol=1e-12)


@ONE_AND_TWO_AXES
@examples(25)
@given(data=st.data())
def test_without_bias(n, data):
    case = data.draw(cases(n))
    ours, theirs, _ = CONV[n]
    check(
        lambda x, w: ours(x, w, **case.options),
        lambda x, w: theirs(x, w, **case.options),
        [case.x, case.weight],
        mixed=False,
        numeric=False,
        slack=4,
    )


@ONE_AND_TWO_AXES
@pytest.mark.parametrize("kernel", [1, 2, 3, 4])
@pytest.mark.parametrize("dilation", [1, 3])
@pytest.mark.filterwarnings("ignore:Using padding='same'")  # PyTorch's, of its even kernels
def test_same_and_valid_as_pytorchs(n, kernel, dilation):
    """An even window takes an odd number of rows for "same"; the odd one goes to the end."""
    rng = np.random.default_rng(1)
    ours, theirs, _ = CONV[n]
    x, weight = Operand(rng.standard_normal((2, 2, *[11] * n))), Operand(rng.standard_normal((3, 2, *[kernel] * n)))
    for padding in ("same", "valid"):
        check(
            lambda a, w, p=padding: ours(a, w, padding=p, dilation=dilation),
            lambda a, w, p=padding: theirs(a, w, padding=p, dilation=dilation),
            [x, weight],
            mixed=False,
            numeric=False,
            slack=4,
        )
    assert (
        ours(tensor(x.values), tensor(weight.values), padding="same", dilation=dilation).shape[2:] == x.values.shape[2:]
    )


@pytest.mark.parametrize(
    ("x", "weight", "options"),
    [
        ((2, 3, 5, 4), (6, 3, 1, 1), {}),
        ((2, 3, 5, 4), (6, 3, 1, 1), {"stride": 2}),
        ((2, 3, 5, 5), (3, 1, 3, 3), {"groups": 3, "padding": 1}),
        ((2, 3, 5, 5), (6, 1, 3, 3), {"groups": 3, "padding": (1, 0), "stride": (2, 1)}),
        ((1, 1, 7, 3), (2, 1, 3, 1), {"dilation": (3, 1)}),
        ((1, 2, 1, 1), (2, 2, 3, 3), {"padding": 1}),
        ((1, 2, 6, 6), (2, 2, 2, 2), {"stride": 3}),
        ((1, 2, 4, 4), (2, 2, 4, 4), {}),
        ((1, 1, 4, 4), (1, 1, 2, 2), {"padding": 4}),
    ],
)
def test_known_kinds_of_convolution(x, weight, options):
    rng = np.random.default_rng(1)
    a, b = rng.standard_normal(x), rng.standard_normal(weight)
    expected = TF.conv2d(torch.tensor(a), torch.tensor(b), **options)
    np.testing.assert_allclose(host(F.conv2d(tensor(a), tensor(b), **options)), expected.numpy(), atol=1e-12)


def test_gradcheck_agrees():
    rng = np.random.default_rng(1)
    xs = [tensor(rng.standard_normal(s), True) for s in ((1, 2, 4, 3), (2, 1, 2, 2), (2,))]

    def convolve(x, w, b):
        return F.conv2d(x, w, b, stride=(2, 1), padding=1, groups=2)

    assert md.gradcheck(convolve, xs)
    assert md.gradgradcheck(convolve, xs)


@pytest.mark.parametrize("shape", [(0, 2, 4, 4), (1, 0, 4, 4)])
def test_no_images_and_no_channels(shape):
    x = tensor(np.ones(shape), True)
    weight = tensor(np.ones((3, shape[1], 3, 3)), True)
    bias = tensor(np.ones(3), True)
    y = F.conv2d(x, weight, bias, padding=1)
    assert y.shape == (shape[0], 3, 4, 4)
    np.testing.assert_array_equal(host(y), 1)
    y.backward(device(np.ones(y.shape)))
    assert x.grad.shape == shape
    np.testing.assert_array_equal(host(weight.grad), 0)
    np.testing.assert_array_equal(host(bias.grad), y.size // 3)


def test_integers_are_convolved_as_integers():
    x, w = np.arange(16).reshape(1, 1, 4, 4), np.ones((1, 1, 2, 2), np.int64)
    check_against_numpy(
        F.conv2d,
        lambda a, b: conv2d_plain(a, b, [0], (1, 1), (0, 0), (1, 1), 1).astype(np.int64),
        x,
        w,
    )


def test_float16_over_many_images():
    x = tensor(np.ones((3000, 1, 2, 2), np.float16), True)
    weight, bias = tensor(np.ones((1, 1, 2, 2), np.float16), True), tensor(np.zeros(1, np.float16), True)
    y = F.conv2d(x, weight, bias)
    y.backward(device(np.ones(y.shape, np.float16)))
    assert y.dtype == x.grad.dtype == weight.grad.dtype == np.float16
    np.testing.assert_array_equal(host(weight.grad), 3000)
    np.testing.assert_array_equal(host(bias.grad), 3000)


def test_second_derivatives_where_float32_met_float64():
    x, weight = tensor(np.ones((1, 1, 3, 3), np.float32), True), tensor(np.ones((1, 1, 2, 2), np.float32), True)
    y = F.conv2d(x, weight) * tensor(np.ones((1, 1, 2, 2)))
    (grad,) = md.grad(y.sum(), [x], create_graph=True)
    (grad * grad).sum().backward()
    assert weight.grad.dtype == np.float32


@pytest.mark.parametrize(
    ("x", "weight", "bias", "options", "words"),
    [
        ((4, 4), (3, 2, 2, 2), None, {}, r"x \(N, C, H, W\).*; got \(4, 4\) and \(3, 2, 2, 2\)$"),
        ((2, 4, 4), (3, 2, 2, 2), None, {}, r"x \(N, C, H, W\).*: add a batch axis, x\[None\]$"),
        ((2, 4, 4), (3, 2, 2, 2), None, {"padding": "same"}, "add a batch axis"),
        ((1, 2, 4, 4), (3, 2, 2), None, {"padding": "same"}, r"weight \(F, C/groups, KH, KW\)"),
        ((1, 2, 4, 4), (3, 3, 2, 2), None, {}, r"input of 3 channels.*got x \(1, 2, 4, 4\)"),
        ((1, 4, 4, 4), (3, 2, 2, 2), None, {"groups": 2}, "filters in a multiple of 2"),
        ((1, 2, 4, 4), (3, 2, 2, 2), (2,), {}, r"bias of shape \(3,\); got \(2,\)"),
        ((1, 2, 4, 4), (3, 2, 5, 2), None, {}, "reaches over 5 but the image with its padding has only 4 in height"),
        ((1, 2, 4, 4), (3, 2, 2, 3), None, {"dilation": 2}, "reaches over 5 .* in width"),
        ((1, 2, 4, 4), (0, 2, 2, 2), None, {}, "at least one filter"),
        ((1, 2, 4, 4), (3, 2, 0, 2), None, {}, "at least 1x1"),
        ((1, 2, 4, 4), (3, 2, 2, 2), None, {"stride": 0}, "stride: expected a whole number of at least 1.*got 0"),
        ((1, 2, 4, 4), (3, 2, 2, 2), None, {"stride": 1.5}, "stride: expected a whole number"),
        ((1, 2, 4, 4), (3, 2, 2, 2), None, {"padding": (1, 2, 3)}, "padding: expected a whole number.*or two"),
        (
            (1, 2, 4, 4),
            (3, 2, 2, 2),
            None,
            {"padding": "full"},
            "padding: expected a whole number.*or 'valid'; got 'full'",
        ),
        (
            (1, 2, 4, 4),
            (3, 2, 2, 2),
            None,
            {"padding": "same", "stride": (1, 2)},
            r"'same' is not supported for strided.*",
        ),
        ((1, 2, 4, 4), (3, 2, 2, 2), None, {"padding": -1}, "padding: expected a whole number of at least 0"),
        ((1, 2, 4, 4), (3, 2, 2, 2), None, {"groups": 0}, "groups: expected a whole number"),
    ],
)
def test_what_does_not_fit(x, weight, bias, options, words):
    with pytest.raises(md.ShapeError, match=words):
        F.conv2d(
            tensor(np.ones(x)), tensor(np.ones(weight)), None if bias is None else tensor(np.ones(bias)), **options
        )


@pytest.mark.parametrize(
    ("x", "weight", "options", "words"),
    [
        ((1, 2, 4, 4), (3, 2, 2), {}, r"x \(N, C, L\) and weight \(F, C/groups, K\); got"),
        ((2, 4), (3, 2, 2), {}, "add a batch axis"),
        ((1, 2, 4), (3, 2, 5), {}, "reaches over 5 but the sequence with its padding has only 4 in length"),
        ((1, 2, 4), (3, 2, 0), {}, "a window of at least 1;"),
        ((1, 2, 4), (3, 2, 2), {"stride": (1, 1)}, r"stride: expected a whole number of at least 1; got \(1, 1\)"),
    ],
)
def test_what_does_not_fit_a_sequence(x, weight, options, words):
    with pytest.raises(md.ShapeError, match=words):
        F.conv1d(tensor(np.ones(x)), tensor(np.ones(weight)), **options)


def test_one_dtype_is_wanted():
    with pytest.raises(md.DTypeError, match="float64, float32: for example"):
        F.conv2d(tensor(np.ones((1, 1, 2, 2))), tensor(np.ones((1, 1, 2, 2), np.float32)))


def test_what_is_no_array():
    weight = tensor(np.ones((1, 1, 2, 2)))
    with pytest.raises(md.DTypeError, match="Conv: expected Tensors or arrays; got 5, "):
        F.conv2d(5, weight)
    with pytest.raises(md.ShapeError, match=r"expected x \(N, C, H, W\) .*; got \(\) and"):
        F.conv2d(5, weight, padding="same")


def test_an_error_shows_the_input_as_it_was_before_padding():
    with pytest.raises(md.ShapeError, match=r"an input of 2 channels .*; got x \(1, 3, 4, 4\)"):
        F.conv2d(tensor(np.ones((1, 3, 4, 4))), tensor(np.ones((5, 2, 2, 2))), padding="same")


def test_a_list_is_padded_as_an_array_is():
    x, weight = [[[1.0, 2.0, 3.0]]], np.ones((1, 1, 2))
    np.testing.assert_array_equal(F.conv1d(x, weight, padding="same"), [[[3, 5, 3]]])


def test_columns_are_the_windows_and_add_columns_puts_them_back():
    """Of [1 2 3 4], padded with a zero on both sides, a window of two that moves by two sees 0 1, 2 3 and 4 0."""
    window = Geometry((2,), (1,), (1,), 1).window((4,), (2,))
    cols = columns(device([[[1, 2, 3, 4]]]), window, 1)
    np.testing.assert_array_equal(host(cols), [[[[0, 2, 4], [1, 3, 0]]]])
    back = add_columns(device([[[[9, 1, 2], [3, 4, 9]]]]), (1, 1, 4), window)
    np.testing.assert_array_equal(host(back), [[[3, 1, 4, 2]]])


@ONE_AND_TWO_AXES
@examples(40)
@given(data=st.data())
def test_add_columns_is_the_transpose_of_columns(n, data):
    case = data.draw(cases(n))
    x, options = case.x.values, case.options
    geometry = Geometry(options["stride"], options["padding"], options["dilation"], options["groups"])
    window = geometry.window(x.shape[2:], case.weight.values.shape[2:])
    cols = host(columns(device(x), window, geometry.groups))
    others = np.random.default_rng(0).integers(-4, 5, cols.shape).astype(float)
    back = host(add_columns(device(others), x.shape, window))
    assert (cols * others).sum() == (x * back).sum()  # in eighths: exact


def test_float16_is_multiplied_in_float32():
    assert for_products(device(np.ones(2, np.float16))).dtype == np.float32
    for dtype in (np.float32, np.float64, np.int32):
        x = device(np.ones(2, dtype))
        assert for_products(x) is x


def test_same_makes_no_padded_copy_of_the_input():
    """The window begins before the input, and where it is even ends one place after it."""
    y = F.conv2d(tensor(np.ones((1, 1, 4, 4)), True), tensor(np.ones((1, 1, 2, 3))), padding="same")
    assert isinstance(y._op, Conv)
    assert y._op.inputs[0].shape == (1, 1, 4, 4)
    np.testing.assert_array_equal(host(y)[0, 0], [[4, 6, 6, 4]] * 3 + [[2, 3, 3, 2]])


def test_each_gradient_reads_the_other_operand_only():
    assert Conv.reads == ((1,), (0,), ())


@pytest.mark.parametrize("options", [{}, {"padding": "same"}, {"padding": 1, "groups": 2, "dilation": 2}])
def test_the_plain_mode_runs_no_line_of_a_faster_version(options):
    x, weight, bias = (
        tensor(np.ones(shape), True) for shape in ((1, 2, 5, 5), (2, 2 // options.get("groups", 1), 3, 3), (2,))
    )
    entered = set()
    with md.plain():
        sys.setprofile(lambda frame, event, arg: entered.add(frame.f_code.co_filename))
        try:
            F.conv2d(x, weight, bias, **options).sum().backward()
        finally:
            sys.setprofile(None)
    assert any(name.endswith("functional/conv.py") for name in map(Path.as_posix, map(Path, entered)))
    assert not [name for name in map(Path.as_posix, map(Path, entered)) if "/minidl/fast/" in name]
