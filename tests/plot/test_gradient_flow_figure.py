import json

import numpy as np
import pytest
from matplotlib.figure import Figure

import minidl.functional as F
from minidl import plot
from minidl.optim import SGD
from tests.arrays import host
from tests.observe.loops import batch, recorded, small
from tests.plot.recordings import falling, flow


def heights(ax):
    return [bar.get_height() + bar.get_y() for bar in ax.patches]


def test_it_works_right_after_any_backward():
    model = small()
    x, y = batch()
    F.cross_entropy(model(x), y).backward()
    figure = plot.gradient_flow(model)
    for i, layer in enumerate([model.fc1, model.fc2, model.fc3]):
        gradient = abs(host(layer.weight.grad).astype(np.float64))
        assert figure.numbers["weight_mean"][i] == pytest.approx(gradient.mean())
        assert figure.numbers["weight_max"][i] == pytest.approx(gradient.max())
        bias = abs(host(layer.bias.grad).astype(np.float64))
        assert figure.numbers["bias_mean"][i] == pytest.approx(bias.mean())
    assert figure.numbers["layers"] == ["fc1", "fc2", "fc3"]
    assert isinstance(figure, Figure)
    json.dumps(figure.numbers, allow_nan=False)


def test_the_claim_is_the_slope_and_the_ratio_of_first_to_last():
    figure = plot.gradient_flow(flow(weight_gradient_mean=falling(0.5, 5), layers=5, weight_gradient_max=1.0))
    assert figure.numbers["decades_per_layer"] == pytest.approx(0.5)
    assert "falls 0.50 decades a layer from the output to the input" in figure.caption
    assert "fc1 gets 0.01 times the gradient of fc5" in figure.caption
    assert figure.numbers["weight_mean"][0] / figure.numbers["weight_mean"][-1] == pytest.approx(0.01)


def test_the_bars_are_mean_and_max_on_a_log_axis_with_every_layer_named():
    mean, largest = falling(1.0), falling(1.0, top=0.5)
    figure = plot.gradient_flow(flow(weight_gradient_mean=mean, weight_gradient_max=largest))
    (ax,) = figure.axes
    assert ax.get_yscale() == "log"
    assert heights(ax) == pytest.approx([*largest, *mean])
    assert [label.get_text() for label in ax.get_xticklabels()] == ["fc1", "fc2", "fc3", "fc4"]
    assert [text.get_text() for text in ax.texts] == ["max", "mean"]


def test_exact_zeros_stand_in_a_row_of_their_own():
    mean = falling(1.0)
    mean[:2] = 0
    figure = plot.gradient_flow(flow(weight_gradient_mean=mean, weight_gradient_max=mean))
    (ax,) = figure.axes
    marks = [line for line in ax.lines if line.get_marker() == "o"]
    assert list(marks[0].get_xdata()) == [0, 1]
    assert ax.yaxis.get_major_formatter()(marks[0].get_ydata()[0]) == "0"
    assert len(ax.patches) == 4
    assert "exactly 0 in 2 of 4 layers" in figure.caption
    assert figure.numbers["weight_mean"][:2] == [0, 0]


def test_biases_are_drawn_beside_the_weights_when_asked():
    recording = recorded(steps=1)
    without, beside = plot.gradient_flow(recording), plot.gradient_flow(recording, biases=True)
    assert len(beside.axes[0].patches) > 2 * len(without.axes[0].patches)
    drawn = heights(beside.axes[0])
    assert any(np.isclose(height, recording.bias_gradient_max[0, 0]) for height in drawn)


def test_a_recorded_step_can_be_chosen():
    recording = flow(steps=3, weight_gradient_mean=np.array([[1e-3], [1e-2], [1e-1]]) * np.ones(4))
    assert plot.gradient_flow(recording, step=0).numbers["weight_mean"] == pytest.approx([1e-3] * 4)
    assert plot.gradient_flow(recording).numbers["weight_mean"] == pytest.approx([1e-1] * 4)
    assert "step 1" in plot.gradient_flow(recording, step=1).axes[0].get_title(loc="left")
    with pytest.raises(ValueError, match="has 3 steps"):
        plot.gradient_flow(recording, step=3)


def test_it_draws_into_given_axes():
    ax = Figure().subplots()
    figure = plot.gradient_flow(flow(weight_gradient_mean=falling()), ax=ax)
    assert figure is ax.figure
    assert ax.patches
    assert figure.caption


def test_a_model_without_gradients_is_told_to_go_backward_first():
    model = small()
    with pytest.raises(ValueError, match=r"call loss\.backward\(\) first"):
        plot.gradient_flow(model)
    x, y = batch()
    F.cross_entropy(model(x), y).backward()
    SGD(model, lr=0.1).zero_grad()
    with pytest.raises(ValueError, match="draw before zero_grad"):
        plot.gradient_flow(model)


def test_a_frozen_layer_leaves_a_gap():
    model = small()
    model.fc1.requires_grad_(False)
    x, y = batch()
    F.cross_entropy(model(x), y).backward()
    figure = plot.gradient_flow(model)
    assert figure.numbers["weight_mean"][0] is None
    assert len(figure.axes[0].patches) == 4
