"""The deep networks: as many layers as they say, and gradients that vanish towards the input."""

import numpy as np
import pytest

from minidl import backend
from minidl import functional as F
from minidl.experiments.reproduce.networks import deep_conv, deep_mlp, tiny
from minidl.tensors.tensor import Tensor


def here(array):
    """The array where this test computes."""
    return backend.to_device(array, backend.current())


def gradient_norms(model, shape):
    rng = np.random.default_rng(0)
    x = here(rng.standard_normal(shape).astype(np.float32))
    F.cross_entropy(model(Tensor(x)), here(rng.integers(0, 10, shape[0]))).backward()
    return {name: np.linalg.norm(layer.weight.grad.numpy()) for name, layer in model.layers()}


@pytest.mark.parametrize("hidden", [1, 5, 20])
def test_a_deep_mlp_has_so_many_hidden_layers_of_sigmoid_units(hidden):
    model = deep_mlp(hidden)
    assert [name for name, _ in model.layers()] == [f"fc{i}" for i in range(1, hidden + 2)]
    assert model(Tensor(here(np.zeros((2, 1, 28, 28), np.float32)))).shape == (2, 10)


def test_its_gradients_fall_by_half_a_decade_a_layer_towards_the_input():
    norms = list(gradient_norms(deep_mlp(20), (32, 1, 28, 28)).values())[1:-1]  # those of one shape
    assert np.log10(norms[-1] / norms[0]) / (len(norms) - 1) > 0.5


def test_a_deep_convolutional_network_has_so_many_convolutions_and_its_signal_fades():
    model = deep_conv(20, channels=8)
    names = [name for name, _ in model.layers()]
    assert names == [*(f"conv{i}" for i in range(1, 21)), "fc"]
    x = here(np.random.default_rng(0).standard_normal((4, 3, 32, 32)).astype(np.float32))
    assert model(Tensor(x)).numpy().std(axis=0).max() < 0.05  # the scores of different images are almost the same


def test_the_tiny_network_takes_digits():
    assert tiny()(Tensor(here(np.zeros((2, 64), np.float32)))).shape == (2, 10)
