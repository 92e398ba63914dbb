import numpy as np
import pytest
import torch

from minidl import nn
from minidl.errors import ShapeError
from tests.arrays import host, tensor

CASES = [
    {},
    {"padding": 1},
    {"stride": 2, "padding": (1, 0)},
    {"dilation": 2},
    {"groups": 2, "bias": False},
    {"stride": (2, 1), "groups": 4},
]


@pytest.mark.parametrize("options", CASES)
def test_it_equals_pytorch_forward_and_backward(options):
    layer, theirs = nn.Conv2d(4, 8, (3, 2), **options), torch.nn.Conv2d(4, 8, (3, 2), **options)
    layer.load_state_dict(theirs.state_dict())
    x = np.random.default_rng(0).standard_normal((2, 4, 7, 6)).astype(np.float32)
    ours, other = tensor(x, requires_grad=True), torch.tensor(x, requires_grad=True)
    y, z = layer(ours), theirs(other)
    np.testing.assert_allclose(host(y), z.detach().numpy(), rtol=1e-4, atol=1e-5)
    (y * y).sum().backward()
    (z * z).sum().backward()
    np.testing.assert_allclose(host(ours.grad), other.grad.numpy(), rtol=1e-4, atol=1e-4)
    for (name, p), (their_name, q) in zip(layer.named_parameters(), theirs.named_parameters(), strict=True):
        assert name == their_name
        assert p.shape == tuple(q.shape)
        np.testing.assert_allclose(host(p.grad), q.grad.numpy(), rtol=1e-4, atol=1e-4)


def test_it_starts_uniform_within_one_over_the_root_of_its_own_fan_in():
    layer = nn.Conv2d(16, 64, 5, groups=4)  # each output sums 4 channels x 25 places
    for values in (host(layer.weight), host(layer.bias)):
        assert 0.09 < np.abs(values).max() <= 0.1
    assert host(layer.weight).var() == pytest.approx(0.1**2 / 3, rel=0.03)


def test_init_leaves_the_bias_zero():
    layer = nn.Conv2d(1, 2, 3, init=nn.init.he_uniform_)
    assert host(layer.weight).any()
    assert not host(layer.bias).any()


def test_bad_sizes_are_named():
    with pytest.raises(ValueError, match="Conv2d: groups=2 must divide the channels; got 3->4"):
        nn.Conv2d(3, 4, 3, groups=2)
    with pytest.raises(ValueError, match="Conv2d: in_channels"):
        nn.Conv2d(0, 4, 3)
    with pytest.raises(ShapeError, match="Conv2d: kernel_size as a whole number of at least 1"):
        nn.Conv2d(1, 4, 0)
    with pytest.raises(ShapeError, match="Conv2d: padding"):
        nn.Conv2d(1, 4, 3, padding=-1)


def test_it_says_what_it_is():
    assert repr(nn.Conv2d(3, 8, 3)) == "Conv2d(3->8, 3x3)"
    text = repr(nn.Conv2d(4, 8, (3, 5), stride=2, padding=1, dilation=2, groups=2, bias=False))
    assert text == "Conv2d(4->8, 3x5, stride 2x2, padding 1x1, dilation 2x2, 2 groups, no bias)"
