import numpy as np
import pytest
import torch

import minidl.functional as F
from minidl import backend, models, nn
from minidl.errors import ShapeError
from tests.arrays import device, host, tensor

DIGITS = np.random.default_rng(0).random((5, 64)).astype(np.float32)


def test_mlp_has_named_layers_and_no_activation_at_the_end():
    model = models.mlp((64, 30, 20, 10))
    assert [name for name, _ in model.named_children()] == ["fc1", "act1", "fc2", "act2", "fc3"]
    assert isinstance(model.act1, nn.Sigmoid)
    assert [p.shape for _, p in model.named_parameters() if p.ndim == 2] == [(30, 64), (20, 30), (10, 20)]
    assert [name for name, _ in model.layers()] == ["fc1", "fc2", "fc3"]


def test_mlp_equals_pytorch_with_the_same_weights():
    model = models.mlp((64, 30, 10), activation="tanh")
    theirs = torch.nn.Sequential(torch.nn.Linear(64, 30), torch.nn.Tanh(), torch.nn.Linear(30, 10))
    for p, q in zip(model.parameters(), theirs.parameters(), strict=True):
        q.data = torch.from_numpy(host(p))
    np.testing.assert_allclose(
        host(model(tensor(DIGITS))), theirs(torch.from_numpy(DIGITS)).detach().numpy(), rtol=1e-4, atol=1e-6
    )


@pytest.mark.parametrize("activation", sorted(models.ACTIVATIONS))
def test_both_networks_take_every_activation(activation):
    assert models.mlp((64, 5, 10), activation)(tensor(DIGITS)).shape == (5, 10)
    assert models.digits_conv(activation)(tensor(DIGITS)).shape == (5, 10)


def test_init_is_used_for_every_weight():
    seen = []
    models.mlp((4, 3, 2), init=lambda w: seen.append(w.shape))
    assert seen == [(3, 4), (2, 3)]
    model = models.digits_conv(init=nn.init.zeros_)
    assert all(not host(p).any() for p in model.parameters())


def test_digits_conv_has_two_convolutions_and_two_dense_layers():
    model = models.digits_conv()
    assert [name for name, _ in model.layers()] == ["conv1", "conv2", "fc1", "fc2"]
    assert sum(p.size for p in model.parameters()) == 9802


def test_digits_conv_takes_rows_and_images():
    model = models.digits_conv()
    np.testing.assert_array_equal(host(model(tensor(DIGITS))), host(model(tensor(DIGITS.reshape(5, 1, 8, 8)))))


def test_digits_conv_gives_every_parameter_a_gradient():
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
    with pytest.raises(ValueError, match=r"mlp: expected the sizes of input, hidden layers and output.*got \(64,\)"):
        models.mlp((64,))
    with pytest.raises(ValueError, match="out of leaky_relu, relu, sigmoid, softplus, tanh; got 'swish'"):
        models.digits_conv("swish")
    with pytest.raises(ShapeError, match="expected samples of 64 elements") as caught:
        models.digits_conv()(tensor(DIGITS[:, :63]))
    assert caught.value.__notes__[0].startswith("in layer 'image'")
