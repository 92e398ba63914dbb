import numpy as np
import pytest
import torch

from minidl import nn
from tests.arrays import host, tensor

X = np.random.default_rng(0).standard_normal((4, 5)).astype(np.float32) * 3
CASES = [
    (nn.ReLU(), torch.nn.ReLU()),
    (nn.LeakyReLU(), torch.nn.LeakyReLU()),
    (nn.LeakyReLU(0.2), torch.nn.LeakyReLU(0.2)),
    (nn.Sigmoid(), torch.nn.Sigmoid()),
    (nn.Tanh(), torch.nn.Tanh()),
    (nn.Softplus(), torch.nn.Softplus()),
    (nn.Softmax(), torch.nn.Softmax(dim=-1)),
    (nn.Softmax(axis=0), torch.nn.Softmax(dim=0)),
    (nn.LogSoftmax(), torch.nn.LogSoftmax(dim=-1)),
    (nn.LogSoftmax(axis=0), torch.nn.LogSoftmax(dim=0)),
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
    assert repr(nn.LeakyReLU(0.2)) == "LeakyReLU(0.2)"
    assert repr(nn.Softmax(1)) == "Softmax(axis 1)"
