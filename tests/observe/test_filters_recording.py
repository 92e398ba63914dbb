import numpy as np
import pytest

import minidl as md
from minidl import models, nn
from minidl.observe.filters_recording import FiltersRecording, MapsRecording, feature_maps, filters
from tests.arrays import host, tensor


def image():
    return tensor(np.random.default_rng(0).normal(size=64).astype(np.float32))


def test_the_filters_of_a_convolution_are_its_weights():
    model = models.digits_conv()
    found = filters(model)
    assert found.layer == "conv1"
    np.testing.assert_array_equal(found.weight, host(model.conv1.weight))
    assert filters(model, "conv2").weight.shape == (16, 8, 3, 3)


def test_the_rows_of_a_dense_layer_are_images_of_its_inputs():
    model = models.mlp((64, 5, 3))
    np.testing.assert_array_equal(filters(model).weight, host(model.fc1.weight).reshape(5, 1, 8, 8))
    assert filters(model, shape=(4, 16)).weight.shape == (5, 1, 4, 16)
    with pytest.raises(md.ShapeError, match=r"the shape \(H, W\) or \(C, H, W\) of 5 numbers; got \(2, 2\)"):
        filters(model, "fc2")
    with pytest.raises(ValueError, match="expected a layer with a weight out of fc1, fc2; got 'fc3'"):
        filters(model, "fc3")


def test_feature_maps_are_the_output_of_the_module_for_this_image():
    model = models.digits_conv()
    found = feature_maps(model, image(), "act1")
    np.testing.assert_allclose(found.maps, host(model[:3](image().reshape(1, 64)))[0], rtol=1e-6)
    assert found.image.shape == (1, 8, 8)
    assert feature_maps(model, image(), "fc1").maps.shape == (32, 1, 1)


def test_it_looks_in_evaluation_mode_and_takes_its_hook_away():
    model = nn.Sequential(nn.Dropout(0.9), nn.Linear(64, 3))
    found = feature_maps(model, image(), "1")
    np.testing.assert_allclose(found.maps.ravel(), host(model[1](image().reshape(1, 64)))[0], rtol=1e-6)
    assert model.training
    assert not model[1]._hooks.forward


def test_they_are_saved_and_what_is_no_map_is_refused(tmp_path):
    model = models.digits_conv()
    filters(model).save(tmp_path / "f.npz")
    feature_maps(model, image(), "pool").save(tmp_path / "m.npz")
    assert FiltersRecording.load(tmp_path / "f.npz").layer == "conv1"
    assert MapsRecording.load(tmp_path / "m.npz").maps.shape == (16, 4, 4)
    with pytest.raises(ValueError, match=r"expected a module out of image, conv1.*got 'x'"):
        feature_maps(model, image(), "x")
