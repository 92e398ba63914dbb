import numpy as np
import pytest

from minidl import nn
from minidl.errors import ShapeError
from tests.arrays import host, tensor
from tests.pytorch import torch

X = np.arange(24, dtype=np.float32).reshape(2, 3, 2, 2)


def test_flatten_equals_pytorchs():
    np.testing.assert_array_equal(host(nn.Flatten()(tensor(X))), torch.nn.Flatten()(torch.tensor(X)).numpy())
    assert nn.Flatten(2)(tensor(X)).shape == (2, 3, 4)


def test_reshape_gives_each_sample_another_shape():
    y = nn.Reshape(2, 6)(tensor(X))
    assert y.shape == (2, 2, 6)
    np.testing.assert_array_equal(host(y), X.reshape(2, 2, 6))
    assert nn.Reshape(12)(tensor(X[:0])).shape == (0, 12)


def test_reshape_says_what_it_expected():
    with pytest.raises(
        ShapeError, match=r"expected samples of 64 elements, to be seen as \(1, 8, 8\); got Tensor of shape"
    ):
        nn.Reshape(1, 8, 8)(tensor(X))
    with pytest.raises(ValueError, match="Reshape: shape: expected a whole number of at least 1"):
        nn.Reshape(-1)


def test_it_says_what_it_is():
    assert repr(nn.Reshape(1, 8, 8)) == "Reshape(to 1x8x8)"
    assert repr(nn.Flatten()) == "Flatten()"


def test_identity_gives_back_what_it_got():
    x = tensor(np.ones((2, 3)))
    assert nn.Identity()(x) is x
    assert nn.Identity(54, unused=True)(x) is x
    assert nn.Identity().parameters() == []
    assert repr(nn.Identity()) == "Identity()"


@pytest.mark.parametrize(("start", "end"), [(1, 2), (0, 1), (2, -1)])
def test_flatten_joins_the_axes_from_start_dim_to_end_dim(start, end):
    expected = torch.nn.Flatten(start_dim=start, end_dim=end)(torch.tensor(X)).numpy()
    np.testing.assert_array_equal(host(nn.Flatten(start_dim=start, end_dim=end)(tensor(X))), expected)
