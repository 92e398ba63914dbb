"""minidl/nn/pooling.py."""

import numpy as np
import pytest

from minidl import nn
from minidl.errors import ShapeError
from tests.arrays import host, tensor
from tests.pytorch import torch

X = np.random.default_rng(0).standard_normal((2, 3, 7, 7)).astype(np.float32)
CASES = [
    ("MaxPool1d", {"kernel_size": 3, "stride": 2, "padding": 1, "ceil_mode": True}),
    ("AvgPool1d", {"kernel_size": 3, "stride": 2, "padding": 1, "count_include_pad": False}),
    ("MaxPool2d", {"kernel_size": 2}),
    ("MaxPool2d", {"kernel_size": 3, "stride": 2, "ceil_mode": True}),
    ("MaxPool2d", {"kernel_size": (3, 2), "stride": (2, 1), "padding": 1}),
    ("AvgPool2d", {"kernel_size": 2}),
    ("AvgPool2d", {"kernel_size": 3, "stride": 2, "padding": 1}),
    ("AvgPool2d", {"kernel_size": 3, "stride": 2, "padding": 1, "count_include_pad": False}),
    ("AvgPool2d", {"kernel_size": 3, "stride": 2, "ceil_mode": True}),
]


@pytest.mark.parametrize(("kind", "options"), CASES)
def test_it_equals_pytorch_forward_and_backward(kind, options):
    check_against_pytorch(kind, options)


def check_against_pytorch(kind, options):
    layer, theirs = getattr(nn, kind)(**options), getattr(torch.nn, kind)(**options)
    x = X[:, :, 0] if kind.endswith("1d") else X
    ours, other = tensor(x, requires_grad=True), torch.tensor(x, requires_grad=True)
    y, z = layer(ours), theirs(other)
    np.testing.assert_allclose(host(y), z.detach().numpy(), rtol=1e-5, atol=1e-6)
    (y * y).sum().backward()
    (z * z).sum().backward()
    np.testing.assert_allclose(host(ours.grad), other.grad.numpy(), rtol=1e-4, atol=1e-6)


def test_pooling_has_no_parameters():
    layers = nn.MaxPool1d(2), nn.MaxPool2d(2), nn.AvgPool1d(2), nn.AvgPool2d(2)
    assert [layer.parameters() for layer in layers] == [[]] * 4


def test_bad_sizes_are_named():
    with pytest.raises(ShapeError, match="MaxPool2d: kernel_size"):
        nn.MaxPool2d(0)
    with pytest.raises(ShapeError, match="AvgPool2d: stride"):
        nn.AvgPool2d(2, stride=0)
    with pytest.raises(
        ShapeError, match=r"MaxPool1d: kernel_size: expected a whole number of at least 1; got \(2, 2\)"
    ):
        nn.MaxPool1d((2, 2))


def test_options_that_fit_no_input_are_refused_when_the_layer_is_made():
    with pytest.raises(ValueError, match=r"MaxPool2d: ceil_mode: expected True or False .*no dilation here.*; got 1"):
        nn.MaxPool2d(3, 2, 1, 1)
    with pytest.raises(ShapeError, match=r"MaxPool2d: padding: expected at most half of kernel_size \(2, 2\); got"):
        nn.MaxPool2d(2, padding=2)


def test_one_image_needs_a_batch_axis():
    for layer in (nn.MaxPool2d(2), nn.AvgPool2d(2)):
        with pytest.raises(ShapeError, match="add a batch axis"):
            layer(tensor(X[0]))


def test_it_says_what_it_is():
    assert repr(nn.MaxPool2d(2)) == "MaxPool2d(2x2)"
    assert repr(nn.AvgPool2d(3, 2, 1, ceil_mode=True)) == "AvgPool2d(3x3, stride=2x2, padding=1x1, ceil_mode=True)"
    assert repr(nn.MaxPool1d(3, 2)) == "MaxPool1d(3, stride=2)"
