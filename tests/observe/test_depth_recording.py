import numpy as np
import pytest

import minidl as md
import minidl.functional as F
from minidl import models, nn
from minidl.observe import GradientFlow
from minidl.observe.depth_recording import DepthRecording, depth_sweep
from minidl.observe.verdict import decades_per_layer
from tests.observe.loops import batch, small

MAKES = {
    "sigmoid": lambda depth: models.mlp((5, *[16] * depth, 3), "sigmoid", nn.init.glorot_uniform_),
    "relu": lambda depth: models.mlp((5, *[16] * depth, 3), "relu", nn.init.he_normal_),
}


def test_a_sigmoid_network_loses_more_than_the_quarter_of_its_slope_and_relu_after_he_almost_nothing():
    x, y = batch(size=32)
    found = depth_sweep(MAKES, [4, 12], x.data, y, seeds=3)
    slope = np.median(found.slope, axis=2)
    assert slope.shape == (2, 2)
    assert (slope[0] > 0.5).all()
    assert (abs(slope[1]) < 0.15).all()
    assert not found.zero.any()


def test_the_slope_is_fitted_over_the_hidden_layers_alone():
    x, y = batch()
    found = depth_sweep({"a": lambda depth: small(depth)}, [3], x.data, y, seeds=1)
    md.seed(0)
    with GradientFlow(model := small(3)) as flow:
        F.cross_entropy(model(x), y).backward()
    assert found.slope[0, 0, 0] == pytest.approx(decades_per_layer(flow.recording.output_gradient_rms[0, :3]))


def test_dead_networks_and_exploding_ones_are_told_apart():
    def dead(depth):
        model = models.mlp((5, *[4] * depth, 3), "relu")
        model.fc2.bias.data[...] = -1e3
        return model

    def exploding(depth):
        model = models.mlp((5, *[4] * depth, 3), "relu")
        model.fc3.weight.data[...] = np.inf
        return model

    x, y = batch()
    found = depth_sweep({"dead": dead, "exploding": exploding}, [3], x.data, y, seeds=1)
    assert found.zero[0, 0, 0] > 0
    assert np.isinf(found.slope[1, 0, 0])


def test_progress_names_what_comes_and_the_recording_is_saved(tmp_path):
    said = []
    x, y = batch()
    depth_sweep(MAKES, [2, 3], x.data, y, seeds=1, progress=said.append).save(tmp_path / "d.npz")
    assert said == ["sigmoid, 2 layers", "sigmoid, 3 layers", "relu, 2 layers", "relu, 3 layers"]
    assert DepthRecording.load(tmp_path / "d.npz").depths.tolist() == [2, 3]


def test_what_has_no_slope_is_refused():
    x, y = batch()
    with pytest.raises(ValueError, match="a depth: expected a whole number of at least 2"):
        depth_sweep(MAKES, [1], x.data, y)
    with pytest.raises(ValueError, match="at least one kind of network and one depth"):
        depth_sweep({}, [2], x.data, y)
