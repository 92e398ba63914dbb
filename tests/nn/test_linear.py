import numpy as np
import pytest

from minidl import backend, nn
from tests.arrays import host, tensor
from tests.pytorch import torch


@pytest.mark.parametrize("bias", [True, False])
def test_it_equals_pytorch_forward_and_backward(bias):
    layer, theirs = nn.Linear(5, 3, bias=bias), torch.nn.Linear(5, 3, bias=bias)
    layer.load_state_dict(theirs.state_dict())
    x = np.random.default_rng(0).standard_normal((7, 5)).astype(np.float32)
    ours, other = tensor(x, requires_grad=True), torch.tensor(x, requires_grad=True)
    y, z = layer(ours), theirs(other)
    np.testing.assert_allclose(host(y), z.detach().numpy(), rtol=1e-5, atol=1e-6)
    (y * y).sum().backward()
    (z * z).sum().backward()
    np.testing.assert_allclose(host(ours.grad), other.grad.numpy(), rtol=1e-4, atol=1e-5)
    for (name, p), (their_name, q) in zip(layer.named_parameters(), theirs.named_parameters(), strict=True):
        assert name == their_name
        np.testing.assert_allclose(host(p.grad), q.grad.numpy(), rtol=1e-4, atol=1e-5)


def test_weight_and_bias_have_pytorchs_shapes_on_the_current_backend():
    layer = nn.Linear(5, 3)
    assert (layer.weight.shape, layer.bias.shape) == ((3, 5), (3,))
    assert layer.weight.dtype == np.float32
    assert layer.weight.device == backend.current()
    assert nn.Linear(5, 3, bias=False).bias is None


def test_it_starts_uniform_within_one_over_the_root_of_fan_in():
    layer = nn.Linear(100, 400)
    for values in (host(layer.weight), host(layer.bias)):
        assert 0.09 < np.abs(values).max() <= 0.1
        assert abs(values.mean()) < 0.01
    assert host(layer.weight).var() == pytest.approx(0.1**2 / 3, rel=0.02)


def test_init_takes_the_weights_place_and_leaves_the_bias_zero():
    layer = nn.Linear(4, 3, init=nn.init.he_normal_)
    assert not host(layer.bias).any()
    backend.seed(0)
    first = nn.Linear(4, 3, init=nn.init.xavier_caffe_)
    backend.seed(0)
    second = nn.init.xavier_caffe_(nn.Parameter(np.zeros((3, 4), np.float32)))
    np.testing.assert_array_equal(host(first.weight), host(second))


def test_bad_sizes_and_inits_are_named():
    with pytest.raises(ValueError, match="Linear: in_features: expected a whole number of at least 1; got 0"):
        nn.Linear(0, 3)
    with pytest.raises(ValueError, match=r"Linear: out_features: expected a whole number of at least 1; got 2\.5"):
        nn.Linear(3, 2.5)
    with pytest.raises(TypeError, match="expected init as a function of the weight"):
        nn.Linear(3, 2, init="xavier")


def test_it_says_what_it_is():
    assert repr(nn.Linear(4, 3)) == "Linear(4->3)"
    assert repr(nn.Linear(4, 3, bias=False)) == "Linear(4->3, bias=False)"
