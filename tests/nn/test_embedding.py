import numpy as np
import pytest

from minidl import nn
from minidl.errors import DTypeError
from tests.arrays import device, host, tensor
from tests.pytorch import torch


@pytest.mark.parametrize("shape", [(), (4,), (2, 5), (0,)])
def test_it_equals_pytorch_forward_and_backward(shape):
    layer, theirs = nn.Embedding(6, 3), torch.nn.Embedding(6, 3)
    layer.load_state_dict(theirs.state_dict())
    words = np.random.default_rng(0).integers(0, 6, shape)
    y, z = layer(device(words)), theirs(torch.tensor(words))
    assert y.shape == (*shape, 3)
    np.testing.assert_array_equal(host(y), z.detach().numpy())
    (y * y).sum().backward()
    (z * z).sum().backward()
    np.testing.assert_allclose(host(layer.weight.grad), theirs.weight.grad.numpy(), rtol=1e-6)


def test_it_starts_with_normal_numbers_and_one_parameter():
    layer = nn.Embedding(300, 200)
    values = host(layer.weight)
    assert [name for name, _ in layer.named_parameters()] == ["weight"]
    assert abs(values.mean()) < 0.02
    assert values.std() == pytest.approx(1, rel=0.02)


@pytest.mark.parametrize("padding", [2, -1])
def test_the_vector_of_the_padding_is_0_and_stays_it(padding):
    layer, theirs = nn.Embedding(6, 3, padding), torch.nn.Embedding(6, 3, padding_idx=padding)
    assert layer.padding_idx == theirs.padding_idx
    assert not host(layer.weight)[padding].any()
    assert host(layer.weight)[0].all()
    layer(device(np.array([0, padding % 6, padding % 6]))).sum().backward()
    np.testing.assert_array_equal(host(layer.weight.grad), np.eye(6)[:, :1] * np.ones(3))


def test_a_batch_of_words_may_be_a_tensor():
    layer = nn.Embedding(6, 3)
    np.testing.assert_array_equal(host(layer(tensor(np.array([1, 5])))), host(layer.weight)[[1, 5]])


def test_it_says_what_it_is_and_what_it_wants():
    assert repr(nn.Embedding(6, 3)) == "Embedding(6, 3)"
    with pytest.raises(ValueError, match="Embedding: num_embeddings: expected a whole number of at least 1; got 0"):
        nn.Embedding(0, 3)
    assert repr(nn.Embedding(6, 3, 0)) == "Embedding(6, 3, padding_idx=0)"
    with pytest.raises(ValueError, match=r"Embedding: padding_idx: expected one of the 6 rows, .*; got 6"):
        nn.Embedding(6, 3, padding_idx=6)
    with pytest.raises(ValueError, match="Embedding: embedding_dim"):
        nn.Embedding(3, 1.5)
    with pytest.raises(IndexError, match="expected indices from 0 to 5; got 6"):
        nn.Embedding(6, 3)([0, 6])
    with pytest.raises(DTypeError, match="whole numbers"):
        nn.Embedding(6, 3)(tensor(np.ones(2)))
