"""minidl/models/perceptron.py."""

import numpy as np
import pytest

from minidl import models, nn
from tests.arrays import host, tensor
from tests.pytorch import torch

DIGITS = np.random.default_rng(0).random((5, 64)).astype(np.float32)


def test_mlp_has_named_layers_and_no_activation_at_the_end():
    model = models.mlp((64, 30, 20, 10))
    assert [name for name, _ in model.named_children()] == ["fc1", "act1", "fc2", "act2", "fc3"]
    assert isinstance(model.act1, nn.Sigmoid)
    assert [p.shape for _, p in model.named_parameters() if p.ndim == 2] == [(30, 64), (20, 30), (10, 20)]
    assert [name for name, _ in model.named_layers()] == ["fc1", "fc2", "fc3"]


def test_mlp_equals_pytorch_with_the_same_weights():
    model = models.mlp((64, 30, 10), activation="tanh")
    theirs = torch.nn.Sequential(torch.nn.Linear(64, 30), torch.nn.Tanh(), torch.nn.Linear(30, 10))
    for p, q in zip(model.parameters(), theirs.parameters(), strict=True):
        q.data = torch.from_numpy(host(p))
    np.testing.assert_allclose(
        host(model(tensor(DIGITS))), theirs(torch.from_numpy(DIGITS)).detach().numpy(), rtol=1e-4, atol=1e-6
    )


def test_init_is_used_for_every_weight():
    seen = []
    models.mlp((4, 3, 2), init=lambda w: seen.append(w.shape))
    assert seen == [(3, 4), (2, 3)]


def test_it_may_be_a_thousand_layers_deep():
    model = models.mlp((64, *[8] * 1000, 10), activation="relu", init=nn.init.orthogonal_)
    model(tensor(DIGITS)).sum().backward()
    assert len(model.named_layers()) == 1001
    assert model.fc1.weight.grad is not None


def test_errors_say_what_was_expected():
    with pytest.raises(ValueError, match=r"mlp: expected the sizes of input, hidden layers and output.*got \(64,\)"):
        models.mlp((64,))
