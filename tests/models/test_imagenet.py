"""AlexNet: sizes and counts as published, outputs as PyTorch's with the same weights."""

from __future__ import annotations

import numpy as np
import pytest

import minidl as md
from minidl import functional as F
from minidl import models
from tests.arrays import host, tensor
from tests.models.translation import count, shapes, translated
from tests.pytorch import torch


def test_alexnet_has_the_published_number_of_parameters_and_sizes():
    model = models.alexnet()
    assert count(model) == 60_965_224
    found = shapes(model.eval(), tensor(np.zeros((1, 3, 227, 227), np.float32)))
    assert found["conv1"] == (96, 55, 55)
    assert found["pool1"] == (96, 27, 27)
    assert found["conv2"] == (256, 27, 27)
    assert found["pool2"] == (256, 13, 13)
    assert found["conv5"] == (256, 13, 13)
    assert found["pool5"] == (256, 6, 6)
    assert found["fc8"] == (1000,)
    for layer in (model.conv2, model.conv4, model.conv5, model.fc6, model.fc7):
        assert (host(layer.bias) == np.float32(0.1)).all()
    for layer in (model.conv1, model.conv3, model.fc8):
        assert not host(layer.bias).any()
    assert host(model.fc7.weight).std() == pytest.approx(0.005, rel=0.01)


def test_alexnet_32_keeps_the_layers():
    small = models.alexnet_32()
    assert count(small) == 3_931_528
    assert [name for name, _ in small.named_children()] == [name for name, _ in models.alexnet(10).named_children()]
    found = shapes(small.eval(), tensor(np.zeros((1, 3, 32, 32), np.float32)))
    assert [found[name][1] for name in ("pool1", "pool2", "pool5")] == [16, 8, 4]
    assert found["fc8"] == (200,)


def test_alexnet_32_equals_the_same_network_in_pytorch():
    model = models.alexnet_32(classes=7).to(dtype="float64").eval()
    theirs = translated(model).eval()
    images = np.random.default_rng(0).standard_normal((2, 3, 32, 32))
    scores, expected = model(tensor(images)), theirs(torch.tensor(images))
    np.testing.assert_allclose(host(scores), expected.detach().numpy(), rtol=1e-9, atol=1e-12)
    assert host(scores).std() > 0.1  # the signal does not vanish
    scores.sum().backward()
    expected.sum().backward()
    for (name, p), q in zip(model.named_parameters(), theirs.parameters(), strict=True):
        np.testing.assert_allclose(host(p.grad), q.grad.numpy(), rtol=1e-8, atol=1e-10, err_msg=name)


@pytest.mark.parametrize("seed", range(3))
def test_alexnet_32_begins_near_the_loss_of_guessing_and_no_gradient_vanishes(seed):
    md.seed(seed)
    model = models.alexnet_32()
    images = np.random.default_rng(seed).standard_normal((64, 3, 32, 32), dtype=np.float32)
    loss = F.cross_entropy(model(tensor(images)), tensor(np.arange(64)))
    assert float(loss) == pytest.approx(np.log(200), rel=0.1)
    loss.backward()
    norms = [float(np.linalg.norm(host(layer.weight.grad))) for _, layer in model.layers()]
    assert max(norms) < 20 * min(norms)
