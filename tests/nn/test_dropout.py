import numpy as np
import pytest

from minidl import backend, nn
from tests.arrays import host, tensor

X = np.ones((100, 100), np.float32)


def test_in_training_it_drops_and_scales():
    layer = nn.Dropout(0.25)
    x = tensor(X, requires_grad=True)
    y = layer(x)
    values = host(y)
    assert set(np.unique(values)) == {np.float32(0), np.float32(1 / 0.75)}
    assert (values == 0).mean() == pytest.approx(0.25, abs=0.02)
    assert values.mean() == pytest.approx(1, abs=0.02)
    y.sum().backward()
    np.testing.assert_array_equal(host(x.grad), values)


def test_in_evaluation_it_does_nothing():
    x = tensor(X)
    assert nn.Dropout(0.5).eval()(x) is x


def test_it_follows_the_mode_of_its_model():
    model = nn.Sequential(nn.Dropout(0.5))
    assert (host(model(tensor(X))) == 0).any()
    assert (host(model.eval()(tensor(X))) == 1).all()


def test_one_seed_gives_one_mask():
    backend.seed(3)
    first = host(nn.Dropout()(tensor(X)))
    backend.seed(3)
    np.testing.assert_array_equal(first, host(nn.Dropout()(tensor(X))))


@pytest.mark.parametrize("p", [-0.1, 1.5])
def test_p_is_a_probability(p):
    with pytest.raises(ValueError, match="Dropout: p: expected a number from 0 to 1"):
        nn.Dropout(p)


@pytest.mark.parametrize(("layer", "shape"), [(nn.Dropout1d(0.5), (20, 30, 4)), (nn.Dropout2d(0.5), (20, 30, 2, 3))])
def test_whole_channels(layer, shape):
    x = tensor(np.ones(shape, np.float32))
    channels = host(layer.train()(x)).reshape(600, -1)
    assert set(channels.sum(axis=1)) == {0, 2 * channels.shape[1]}
    assert layer.eval()(x) is x


def test_dropout_of_channels_says_what_it_is():
    assert repr(nn.Dropout1d()) == "Dropout1d(p=0.5)"
    assert repr(nn.Dropout2d(0.25)) == "Dropout2d(p=0.25)"
    with pytest.raises(ValueError, match="Dropout2d: p: expected a number from 0 to 1"):
        nn.Dropout2d(2)
