"""Caffe's networks: sizes and counts as published, outputs and gradients as PyTorch's with the same weights."""

from __future__ import annotations

import numpy as np
import pytest

import minidl.functional as F
from minidl import models
from tests.arrays import device, host, tensor
from tests.models.translation import count, shapes, translated
from tests.pytorch import torch

NETWORKS = [
    (models.lenet, (1, 28, 28), 431_080),
    (models.cifar10_quick, (3, 32, 32), 145_578),
    (models.cifar10_full, (3, 32, 32), 89_578),
]


@pytest.mark.parametrize(("make", "image", "parameters"), NETWORKS)
def test_parameters_are_counted_as_published(make, image, parameters):
    assert count(make()) == parameters


@pytest.mark.parametrize(("make", "image", "parameters"), NETWORKS)
def test_it_equals_the_same_network_in_pytorch(make, image, parameters):
    model = make().to(dtype="float64")
    for p in model.parameters():  # the published weights start so small that little would be compared
        p.data = p.data * 3 if p.ndim > 1 else p.data + 0.1
    theirs = translated(model)
    images = np.random.default_rng(0).random((3, *image))
    labels = np.array([0, 3, 9])
    scores, expected = model(tensor(images)), theirs(torch.tensor(images))
    np.testing.assert_allclose(host(scores), expected.detach().numpy(), rtol=1e-9, atol=1e-12)
    F.cross_entropy(scores, device(labels)).backward()
    torch.nn.functional.cross_entropy(expected, torch.tensor(labels)).backward()
    for (name, p), q in zip(model.named_parameters(), theirs.parameters(), strict=True):
        np.testing.assert_allclose(host(p.grad), q.grad.numpy(), rtol=1e-8, atol=1e-12, err_msg=name)


def test_lenets_layers():
    found = shapes(models.lenet(), tensor(np.zeros((1, 1, 28, 28), np.float32)))
    assert found["conv1"] == (20, 24, 24)
    assert found["pool1"] == (20, 12, 12)
    assert found["conv2"] == (50, 8, 8)
    assert found["pool2"] == (50, 4, 4)
    assert found["fc1"] == (500,)
    assert found["fc2"] == (10,)


@pytest.mark.parametrize("make", [models.cifar10_quick, models.cifar10_full])
def test_caffes_pools_round_up(make):
    found = shapes(make(), tensor(np.zeros((1, 3, 32, 32), np.float32)))
    assert [found[name][1:] for name in ("pool1", "pool2", "pool3")] == [(16, 16), (8, 8), (4, 4)]


def test_weights_start_as_published():
    quick, full = models.cifar10_quick(), models.cifar10_full()
    for layer, std in (
        (quick.conv1, 1e-4),
        (quick.conv2, 0.01),
        (quick.conv3, 0.01),
        (quick.fc1, 0.1),
        (quick.fc2, 0.1),
        (full.conv1, 1e-4),
        (full.fc1, 0.01),
    ):
        assert host(layer.weight).std() == pytest.approx(std, rel=0.1)
        assert not host(layer.bias).any()
    fan_in = 800
    weight = host(models.lenet().fc1.weight)
    assert np.abs(weight).max() == pytest.approx((3 / fan_in) ** 0.5, rel=1e-3)


def test_local_response_normalisation_is_where_caffe_has_it():
    names = [name for name, _ in models.cifar10_full().named_children()]
    assert names[:8] == ["conv1", "pool1", "relu1", "norm1", "conv2", "relu2", "pool2", "norm2"]
    assert models.cifar10_full().norm1.within_channel


# ---- weights that Caffe trained


def test_caffes_names_become_minidls():
    quick = models.cifar10_quick()
    theirs = {"conv1": "conv1", "conv2": "conv2", "conv3": "conv3", "fc1": "ip1", "fc2": "ip2"}
    state = quick.state_dict()
    named = {f"{theirs[name.split('.')[0]]}.{name.split('.')[1]}": array for name, array in state.items()}
    assert list(models.from_caffe(named)) == list(state)
    models.cifar10_quick().load_state_dict(models.from_caffe(named))


def test_a_network_trained_on_bgr_gives_the_same_scores_for_rgb():
    trained, ours = models.cifar10_quick(), models.cifar10_quick()
    weights = trained.state_dict()
    ours.load_state_dict(models.from_caffe(weights, bgr=True))
    rgb = np.random.default_rng(0).uniform(-128, 128, (2, 3, 32, 32)).astype(np.float32)
    bgr = np.ascontiguousarray(rgb[:, ::-1])
    np.testing.assert_allclose(host(ours(tensor(rgb))), host(trained(tensor(bgr))), rtol=1e-4, atol=1e-4)
    np.testing.assert_array_equal(weights["conv1.weight"], host(trained.conv1.weight))  # what was given is as it was


@pytest.mark.parametrize(
    ("weights", "message"),
    [
        ({"conv1.weight": np.ones((20, 1, 5, 5))}, r"'conv1.weight' has shape \(20, 1, 5, 5\)"),
        ({"ip1.weight": np.ones((2, 2))}, "there is no convolution"),
    ],
)
def test_bgr_needs_three_channels(weights, message):
    with pytest.raises(ValueError, match=f"bgr=True expects a first convolution with 3 input channels; {message}"):
        models.from_caffe(weights, bgr=True)


def test_two_layers_of_one_name_are_refused():
    with pytest.raises(ValueError, match=r"'ip1.bias' is 'fc1.bias' here, and there is another of that name"):
        models.from_caffe({"fc1.bias": np.ones(1), "ip1.bias": np.ones(1)})
