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


def crosses(ax):
    return [float(x) for line in ax.lines if line.get_marker() == "x" for x in line.get_xdata()]


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("part", ["weight", "bias"])
def test_a_gradient_that_is_not_finite_is_crossed_and_named(value, part):
    model = small()
    x, y = batch()
    F.cross_entropy(model(x), y).backward()
    getattr(model.fc2, part).grad.data[0] = value
    figure = plot.gradient_flow(model, biases=True)
    assert figure.caption.startswith(
        f"Not finite (NaN or infinite) is the {part} gradient of layer fc2. The mean weight"
    )
    assert figure.numbers[f"{part}_max"][1] == "inf"
    (ax,) = figure.axes
    assert crosses(ax) == pytest.approx([0.8 if part == "weight" else 1.2])
    assert "x: not finite" in [text.get_text() for text in ax.texts]
    json.dumps(figure.numbers, allow_nan=False)


def test_a_recorded_gradient_that_is_not_finite_is_crossed_and_named():
    largest = [np.inf, 1.0, np.inf, 0.0]
    figure = plot.gradient_flow(flow(weight_gradient_mean=[np.inf, 0.5, np.inf, 0.0], weight_gradient_max=largest))
    assert "is the weight gradient of layers fc1 and fc3." in figure.caption
    assert "times the gradient" not in figure.caption
    assert "exactly 0 in 1 of 4 layers" in figure.caption
    assert crosses(figure.axes[0]) == [0, 2]
    assert "not finite" not in plot.gradient_flow(flow()).caption


def test_gradients_that_are_0_in_every_layer_are_drawn_as_that():
    figure = plot.gradient_flow(flow(weight_gradient_mean=0.0, weight_gradient_max=0.0))
    assert "fewer than two layers have a finite gradient other than 0" in figure.caption
    assert "exactly 0 in 4 of 4 layers" in figure.caption
    assert not figure.axes[0].patches
