"""minidl/models/convnet.py."""

import numpy as np
import pytest

import minidl.functional as F
from minidl import backend, models, nn
from minidl.errors import ShapeError
from tests.arrays import device, host, tensor

DIGITS = np.random.default_rng(0).random((5, 64)).astype(np.float32)


def test_it_has_two_convolutions_and_two_dense_layers():
    model = models.digits_conv()
    assert [name for name, _ in model.named_layers()] == ["conv1", "conv2", "fc1", "fc2"]
    assert sum(p.size for p in model.parameters()) == 9802


def test_it_takes_rows_and_images():
    model = models.digits_conv()
    np.testing.assert_array_equal(host(model(tensor(DIGITS))), host(model(tensor(DIGITS.reshape(5, 1, 8, 8)))))


@pytest.mark.parametrize("activation", sorted(models.ACTIVATIONS))
def test_it_takes_every_activation(activation):
    assert models.digits_conv(activation)(tensor(DIGITS)).shape == (5, 10)


def test_init_is_used_for_every_weight():
    model = models.digits_conv(init=nn.init.zeros_)
    assert all(not host(p).any() for p in model.parameters())


def test_it_gives_every_parameter_a_gradient():
    model = models.digits_conv(activation="sigmoid")
    F.cross_entropy(model(tensor(DIGITS)), device(np.arange(5))).backward()
    assert all(np.isfinite(host(p.grad)).all() and host(p.grad).any() for p in model.parameters())


def test_one_seed_gives_one_network():
    def weights():
        backend.seed(5)
        return models.digits_conv().state_dict()

    first, second = weights(), weights()
    assert all((first[name] == second[name]).all() for name in first)


def test_errors_say_what_was_expected():
    with pytest.raises(ShapeError, match="expected samples of 64 elements") as caught:
        models.digits_conv()(tensor(DIGITS[:, :63]))
    assert caught.value.__notes__[0].startswith("in layer 'image'")
