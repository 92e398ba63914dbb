"""The transposed convolutions of minidl/functional/conv_transpose.py."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import minidl as md
import minidl.functional as F
from tests.arrays import device, host, tensor
from tests.factory import check, examples, operand
from tests.functional.test_conv import CONV, ONE_AND_TWO_AXES, Case
from tests.pytorch import TF, torch

TRANSPOSE = {1: (F.conv_transpose1d, TF.conv_transpose1d), 2: (F.conv_transpose2d, TF.conv_transpose2d)}


def conv_transpose_plain(x, weight, bias, stride, padding, output_padding, groups, dilation):
    """The definition for any number of axes: each number of x adds the filters, times itself, onto its window."""
    (images, channels, *sizes), (_, per_group, *kernel) = x.shape, weight.shape
    step, spread = np.array(stride), np.array(dilation)
    whole = (np.array(sizes) - 1) * step + spread * (np.array(kernel) - 1) + 1 + np.array(output_padding)
    y = np.zeros((images, per_group * groups, *whole))
    for n, c, *place in np.ndindex(x.shape):
        first_filter = c // (channels // groups) * per_group
        for f, *k in np.ndindex(weight.shape[1:]):
            at = np.array(place) * step + np.array(k) * spread
            y[n, first_filter + f, *at] += x[n, c, *place] * weight[c, f, *k]
    y += bias.reshape((-1, *[1] * len(sizes)))
    return y[:, :, *[slice(p, length - p) for p, length in zip(padding, whole, strict=True)]]


@st.composite
def transposed_cases(draw, n):
    """Inputs with n spatial axes and filters that leave something between the padding."""
    groups = draw(st.sampled_from([1, 1, 2, 3]))
    channels, per_group = groups * draw(st.sampled_from([2, 1])), draw(st.sampled_from([1, 2]))
    kernel, stride = (tuple(draw(st.integers(1, 3)) for _ in range(n)) for _ in range(2))
    dilation = tuple(draw(st.sampled_from([1, 1, 2])) for _ in range(n))
    sides = [draw(st.integers(1, 4)) for _ in range(n)]
    output_padding = tuple(draw(st.integers(0, max(s, d) - 1)) for s, d in zip(stride, dilation, strict=True))
    padding = []
    for i in range(n):
        whole = (sides[i] - 1) * stride[i] + dilation[i] * (kernel[i] - 1) + output_padding[i] + 1
        padding.append(draw(st.integers(0, min(2, (whole - 1) // 2))))
    return Case(
        draw(operand((draw(st.sampled_from([2, 1])), channels, *sides))),
        draw(operand((channels, per_group, *kernel), low=-2, high=2)),
        draw(operand((per_group * groups,))),
        {
            "stride": stride,
            "padding": tuple(padding),
            "output_padding": output_padding,
            "groups": groups,
            "dilation": dilation,
        },
    )


@ONE_AND_TWO_AXES
@examples(80)
@given(data=st.data())
def test_transposed_against_pytorch(n, data):
    case = data.draw(transposed_cases(n))
    ours, theirs = TRANSPOSE[n]
    check(
        lambda x, w, b: ours(x, w, b, **case.options),
        lambda x, w, b: theirs(x, w, b, **case.options),
        [case.x, case.weight, case.bias],
        mixed=False,
        slack=4,
    )


@ONE_AND_TWO_AXES
@examples(30)
@given(data=st.data())
def test_transposed_against_the_plain_definition(n, data):
    case = data.draw(transposed_cases(n))
    xs = case.x.values, case.weight.values, case.bias.values
    result = TRANSPOSE[n][0](*map(tensor, xs), **case.options)
    np.testing.assert_allclose(host(result), conv_transpose_plain(*xs, **case.options), rtol=1e-12, atol=1e-12)


@ONE_AND_TWO_AXES
def test_the_transposed_convolution_is_the_gradient_of_the_convolution(n):
    rng = np.random.default_rng(1)
    x, weight = tensor(rng.standard_normal((2, 4, *[7] * n)), True), tensor(rng.standard_normal((6, 2, *[3] * n)))
    options = {"stride": 2, "padding": 1, "groups": 2}
    y = CONV[n][0](x, weight, **options)
    grad_out = tensor(rng.standard_normal(y.shape))
    y.backward(grad_out)
    back = TRANSPOSE[n][0](grad_out, weight, **options)
    np.testing.assert_allclose(host(back), host(x.grad), rtol=1e-12, atol=1e-12)


def test_third_derivatives_through_a_transposed_convolution():
    rng = np.random.default_rng(1)
    a, b = rng.standard_normal((1, 2, 3)), rng.standard_normal((2, 1, 3))
    options = {"stride": 1, "padding": 1, "output_padding": 1, "dilation": 2}

    def third(x, w, convolve, grad):
        y = (convolve(x, w, **options) ** 3).sum()
        for _ in range(2):
            (slope,) = grad(y, [x], create_graph=True)
            y = (slope * slope).sum()
        return grad(y, [x, w])

    ours = third(tensor(a, True), tensor(b, True), F.conv_transpose1d, md.grad)
    theirs = [torch.tensor(values, requires_grad=True) for values in (a, b)]
    expected = third(*theirs, TF.conv_transpose1d, torch.autograd.grad)
    for grad, other in zip(ours, expected, strict=True):
        np.testing.assert_allclose(host(grad), other.numpy(), rtol=1e-9)


def test_no_images_and_no_filters_in_a_transposed_convolution():
    for shape, per_group in (((0, 2, 4), 3), ((1, 2, 4), 0)):
        x, weight = tensor(np.ones(shape), True), tensor(np.ones((2, per_group, 3)), True)
        bias = tensor(np.ones(per_group), True)
        y = F.conv_transpose1d(x, weight, bias, stride=2)
        assert y.shape == (shape[0], per_group, 9)
        y.backward(device(np.ones(y.shape)))
        assert x.grad.shape == shape
        np.testing.assert_array_equal(host(weight.grad), 0)
        np.testing.assert_array_equal(host(bias.grad), y.size // max(per_group, 1))


@pytest.mark.parametrize(
    ("x", "weight", "bias", "options", "words"),
    [
        ((2, 4, 4), (2, 3, 2, 2), None, {}, r"x \(N, C, H, W\) and weight \(C, F/groups, KH, KW\).*add a batch axis"),
        ((1, 3, 4, 4), (2, 3, 2, 2), None, {}, r"input of 2 channels for a weight of shape \(2, 3, 2, 2\)"),
        ((1, 3, 4, 4), (3, 3, 2, 2), None, {"groups": 2}, "channels in a multiple of 2"),
        ((1, 0, 4, 4), (0, 3, 2, 2), None, {}, "at least one channel"),
        ((1, 2, 4, 4), (2, 3, 2, 2), (2,), {}, r"bias of shape \(3,\); got \(2,\)"),
        (
            (1, 2, 4, 4),
            (2, 3, 2, 2),
            None,
            {"padding": "same"},
            "padding: expected a whole number of at least 0.*'same'",
        ),
        ((1, 2, 4, 4), (2, 3, 2, 2), None, {"padding": 3}, r"padding \(3, 3\) leaves nothing"),
        ((1, 2, 4, 0), (2, 3, 2, 2), None, {}, "leaves nothing"),
        (
            (1, 2, 4, 4),
            (2, 3, 2, 2),
            None,
            {"stride": 2, "output_padding": 2},
            "smaller than stride or dilation; got 2",
        ),
        (
            (1, 2, 4, 4),
            (2, 3, 2, 2),
            None,
            {"output_padding": -1},
            "output_padding: expected a whole number of at least 0",
        ),
        ((1, 2, 4, 4), (2, 3, 2, 2), None, {"groups": 1.0}, "groups: expected a whole number"),
    ],
)
def test_what_does_not_fit_a_transposed_convolution(x, weight, bias, options, words):
    filters = None if bias is None else tensor(np.ones(bias))
    with pytest.raises(md.ShapeError, match=words):
        F.conv_transpose2d(tensor(np.ones(x)), tensor(np.ones(weight)), filters, **options)


def test_operands_are_arrays_of_one_dtype():
    x, weight = tensor(np.ones((1, 1, 2, 2))), tensor(np.ones((1, 1, 2, 2), np.float32))
    with pytest.raises(md.DTypeError, match="float64, float32: for example"):
        F.conv_transpose2d(x, weight)
    with pytest.raises(md.DTypeError, match=r"conv_transpose2d: expected Tensors or arrays; got Tensor .*, None"):
        F.conv_transpose2d(x, None)
