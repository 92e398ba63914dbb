import copy
import pickle

import numpy as np
import pytest

from minidl import nn
from minidl.errors import ShapeError
from tests.arrays import host, tensor
from tests.pytorch import torch

X = np.random.default_rng(0).standard_normal((4, 5)).astype(np.float32) * 3
CASES = [
    (nn.ReLU(), torch.nn.ReLU()),
    (nn.LeakyReLU(), torch.nn.LeakyReLU()),
    (nn.LeakyReLU(0.2), torch.nn.LeakyReLU(0.2)),
    (nn.Sigmoid(), torch.nn.Sigmoid()),
    (nn.Tanh(), torch.nn.Tanh()),
    (nn.Softplus(), torch.nn.Softplus()),
    (nn.ELU(), torch.nn.ELU()),
    (nn.ELU(2), torch.nn.ELU(2)),
    (nn.SELU(), torch.nn.SELU()),
    (nn.SiLU(), torch.nn.SiLU()),
    (nn.GELU(), torch.nn.GELU()),
    (nn.GELU("tanh"), torch.nn.GELU("tanh")),
    (nn.GELU(approximate="none"), torch.nn.GELU(approximate="none")),
    (nn.Hardtanh(), torch.nn.Hardtanh()),
    (nn.Hardtanh(-2, 0.5), torch.nn.Hardtanh(-2, 0.5)),
    (nn.Hardtanh(min_val=0, max_val=6), torch.nn.Hardtanh(min_val=0, max_val=6)),
    (nn.Softsign(), torch.nn.Softsign()),
    (nn.Softmax(), torch.nn.Softmax(dim=-1)),
    (nn.Softmax(dim=0), torch.nn.Softmax(dim=0)),
    (nn.LogSoftmax(), torch.nn.LogSoftmax(dim=-1)),
    (nn.LogSoftmax(dim=0), torch.nn.LogSoftmax(dim=0)),
]


@pytest.mark.parametrize(("layer", "theirs"), CASES, ids=lambda module: repr(module))
def test_it_equals_pytorch_forward_and_backward(layer, theirs):
    ours, other = tensor(X, requires_grad=True), torch.tensor(X, requires_grad=True)
    y, z = layer(ours), theirs(other)
    np.testing.assert_allclose(host(y), z.detach().numpy(), rtol=1e-5, atol=1e-6)
    (y * y).sum().backward()
    (z * z).sum().backward()
    np.testing.assert_allclose(host(ours.grad), other.grad.numpy(), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("layer", [layer for layer, _ in CASES], ids=repr)
def test_it_has_no_parameters_and_says_what_it_is(layer):
    assert layer.parameters() == []
    assert repr(layer).startswith(type(layer).__name__ + "(")


def test_options_are_shown():
    assert repr(nn.LeakyReLU(0.2)) == "LeakyReLU(negative_slope=0.2)"
    assert repr(nn.Softmax(1)) == "Softmax(dim=1)"
    assert repr(nn.GELU()) == "GELU()"
    assert repr(nn.GELU("tanh")) == "GELU(approximate=tanh)"
    assert repr(nn.Hardtanh(max_val=6)) == "Hardtanh(max_val=6)"
    assert repr(nn.PReLU(3, init=0.1)) == "PReLU(num_parameters=3)"


@pytest.mark.parametrize("layer", [layer for layer, _ in CASES] + [nn.PReLU(5)], ids=repr)
def test_it_can_be_pickled_and_copied(layer):
    for twin in (pickle.loads(pickle.dumps(layer)), copy.deepcopy(layer)):
        assert type(twin) is type(layer)
        assert repr(twin) == repr(layer)
        np.testing.assert_array_equal(host(twin(tensor(X))), host(layer(tensor(X))))


@pytest.mark.parametrize(("number", "shape"), [(1, (4, 5)), (5, (4, 5)), (2, (3, 2, 4, 4)), (1, (3,))])
def test_prelu_equals_pytorch_with_its_weights(number, shape):
    layer, theirs = nn.PReLU(number, init=0.3), torch.nn.PReLU(number, init=0.3)
    np.testing.assert_array_equal(host(layer.weight), theirs.weight.detach().numpy())
    torch.nn.init.uniform_(theirs.weight)
    layer.load_state_dict(theirs.state_dict())
    x = np.random.default_rng(0).standard_normal(shape).astype(np.float32)
    ours, other = tensor(x, requires_grad=True), torch.tensor(x, requires_grad=True)
    y, z = layer(ours), theirs(other)
    np.testing.assert_allclose(host(y), z.detach().numpy(), rtol=1e-6)
    (y * y).sum().backward()
    (z * z).sum().backward()
    np.testing.assert_allclose(host(ours.grad), other.grad.numpy(), rtol=1e-5)
    np.testing.assert_allclose(host(layer.weight.grad), theirs.weight.grad.numpy(), rtol=1e-5)


def test_prelu_learns_one_slope_or_one_a_channel():
    assert host(nn.PReLU().weight).tolist() == [0.25]
    assert nn.PReLU(3).weight.shape == (3,)
    with pytest.raises(ValueError, match="PReLU: num_parameters: expected a whole number of at least 1; got 0"):
        nn.PReLU(0)
    with pytest.raises(ShapeError, match="one for each channel"):
        nn.PReLU(3)(tensor(X))


def test_options_out_of_range_are_named():
    with pytest.raises(ValueError, match="GELU: approximate: expected 'none' or 'tanh'; got 'erf'"):
        nn.GELU("erf")
    with pytest.raises(ValueError, match="Hardtanh: expected min_val <= max_val"):
        nn.Hardtanh(1, -1)
    for make, words in (
        (lambda: nn.ELU("a"), "ELU: alpha: expected a number; got 'a'"),
        (lambda: nn.LeakyReLU(None), "LeakyReLU: negative_slope: expected a number; got None"),
        (lambda: nn.Hardtanh("a"), "Hardtanh: min_val: expected a number; got 'a'"),
        (lambda: nn.PReLU(init="a"), "PReLU: init: expected a number; got 'a'"),
    ):
        with pytest.raises(ValueError, match=words):
            make()
