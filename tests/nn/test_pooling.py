import numpy as np
import pytest
import torch

from minidl import nn
from minidl.errors import ShapeError
from tests.arrays import host, tensor

X = np.random.default_rng(0).standard_normal((2, 3, 7, 7)).astype(np.float32)
CASES = [
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
    layer, theirs = getattr(nn, kind)(**options), getattr(torch.nn, kind)(**options)
    ours, other = tensor(X, requires_grad=True), torch.tensor(X, requires_grad=True)
    y, z = layer(ours), theirs(other)
    np.testing.assert_allclose(host(y), z.detach().numpy(), rtol=1e-5, atol=1e-6)
    (y * y).sum().backward()
    (z * z).sum().backward()
    np.testing.assert_allclose(host(ours.grad), other.grad.numpy(), rtol=1e-4, atol=1e-6)


def test_pooling_has_no_parameters():
    assert nn.MaxPool2d(2).parameters() == nn.AvgPool2d(2).parameters() == []


def test_bad_sizes_are_named():
    with pytest.raises(ShapeError, match="MaxPool2d: kernel_size"):
        nn.MaxPool2d(0)
    with pytest.raises(ShapeError, match="AvgPool2d: stride"):
        nn.AvgPool2d(2, stride=0)


def test_it_says_what_it_is():
    assert repr(nn.MaxPool2d(2)) == "MaxPool2d(2x2)"
    assert repr(nn.AvgPool2d(3, 2, 1, ceil_mode=True)) == "AvgPool2d(3x3, stride 2x2, padding 1x1, ceil)"
