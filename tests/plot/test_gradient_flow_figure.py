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


def dots(ax, marker="o"):
    """The heights of the marks of one kind, from left to right, without those in the row of zeros."""
    lines = [line for line in ax.lines if line.get_marker() == marker and line.get_markerfacecolor() != "white"]
    if marker != "o":
        lines = [line for line in ax.lines if line.get_marker() == marker]
    pairs = sorted((x, y) for line in lines for x, y in zip(line.get_xdata(), line.get_ydata(), strict=True))
    return [float(y) for _, y in pairs if np.isfinite(y)]


def ranges(ax):
    """The ends of the thin lines, from left to right."""
    found = [path.vertices for group in ax.collections for path in group.get_paths()]
    return [(float(v[0, 1]), float(v[1, 1])) for v in sorted(found, key=lambda v: v[0, 0]) if np.isfinite(v).all()]


def sizes(rms, **fields):
    """A recording of one step with these sizes of the weight gradients."""
    rms = np.asarray(rms, dtype=np.float64)
    base = {"weight_gradient_rms": rms, "weight_gradient_mean": 0.5 * rms, "weight_gradient_max": 4 * rms}
    return flow(steps=1, layers=rms.shape[-1], **{**base, **fields})


def test_it_works_right_after_any_backward():
    model = small()
    x, y = batch()
    F.cross_entropy(model(x), y).backward()
    figure = plot.gradient_flow(model)
    for i, layer in enumerate([model.fc1, model.fc2, model.fc3]):
        gradient = abs(host(layer.weight.grad).astype(np.float64))
        assert figure.numbers["weight_rms"][i] == pytest.approx(np.sqrt((gradient**2).mean()))
        assert figure.numbers["weight_mean"][i] == pytest.approx(gradient.mean())
        assert figure.numbers["weight_max"][i] == pytest.approx(gradient.max())
        bias = abs(host(layer.bias.grad).astype(np.float64))
        assert figure.numbers["bias_mean"][i] == pytest.approx(bias.mean())
    assert figure.numbers["layers"] == ["fc1", "fc2", "fc3"]
    assert isinstance(figure, Figure)
    json.dumps(figure.numbers, allow_nan=False)


def test_the_claim_is_the_slope_and_the_ratio_of_first_to_last():
    figure = plot.gradient_flow(sizes(falling(0.5, 5)))
    assert figure.numbers["decades_per_layer"] == pytest.approx(0.5)
    assert figure.caption == (
        "The weight gradient (root mean square) falls 0.50 decades a layer from the output to the input: fc1 gets 0.01 "
        "times the gradient of fc5. Whether it is lost in the activations or on the way back: flow_profile."
    )
    assert figure.numbers["weight_rms"][0] / figure.numbers["weight_rms"][-1] == pytest.approx(0.01)


def test_a_level_gradient_sends_nobody_to_another_figure():
    assert plot.gradient_flow(sizes(falling(0.0))).caption.endswith("fc1 gets 1 times the gradient of fc4.")


def test_the_dots_are_rms_the_lines_run_from_mean_to_max_and_every_layer_is_named():
    rms = falling(1.0)
    figure = plot.gradient_flow(sizes(rms))
    (ax,) = figure.axes
    assert ax.get_yscale() == "log"
    assert dots(ax) == pytest.approx(rms)
    np.testing.assert_allclose(ranges(ax), np.stack([0.5 * rms, 4 * rms], axis=1))
    assert [label.get_text() for label in ax.get_xticklabels()] == ["fc1", "fc2", "fc3", "fc4"]
    assert [text.get_text() for text in ax.texts] == ["max", "RMS", "mean"]
    bottom, top = ax.get_ylim()
    assert bottom < 0.5 * rms.min()  # the foot leaves room
    assert top > 4 * rms.max()


def test_gains_are_not_joined_with_weights_nor_counted_in_the_slope():
    rms = [1e-4, 1.0, 1e-3, 1.0, 1e-2]
    figure = plot.gradient_flow(sizes(rms, kinds=("weight", "gain", "weight", "gain", "weight")))
    assert figure.numbers["decades_per_layer"] == pytest.approx(1.0)
    (ax,) = figure.axes
    assert dots(ax, "D") == [1.0, 1.0]
    assert dots(ax) == pytest.approx([1e-4, 1e-3, 1e-2])
    assert "diamonds: gains of a normalisation" in [text.get_text() for text in ax.texts]


def test_exact_zeros_stand_in_a_row_of_their_own():
    rms = falling(1.0)
    rms[:2] = 0
    figure = plot.gradient_flow(sizes(rms))
    (ax,) = figure.axes
    marks = [line for line in ax.lines if line.get_markerfacecolor() == "white"]
    assert [float(x) for x in marks[0].get_xdata()] == [0, 1]
    assert ax.yaxis.get_major_formatter()(marks[0].get_ydata()[0]) == "0"
    assert len(dots(ax)) == 2
    assert "exactly 0 in 2 of 4 layers" in figure.caption
    assert figure.numbers["weight_rms"][:2] == [0, 0]


def test_zeros_keep_their_row_beneath_1e_300():
    rms = 10.0 ** np.linspace(-320, -2, 400)
    rms[:30] = 0
    figure = plot.gradient_flow(sizes(rms, dtype="float64"))
    (ax,) = figure.axes
    figure.draw_without_rendering()
    (ring,) = [line for line in ax.lines if line.get_markerfacecolor() == "white"]
    row = float(ring.get_ydata()[0])
    assert len(ring.get_xdata()) == 30
    assert ax.get_ylim()[0] < row < min(dots(ax))
    tick = list(ax.yaxis.get_major_locator()())
    words = [ax.yaxis.get_major_formatter()(place) for place in tick]
    assert words[-1] == "0"
    assert tick[-1] == row
    assert "$10^{-" in words[0] or words[0] in ("0.01", "0.1", "1")
    assert np.diff(np.log10(dots(ax))).min() > 0  # each has its own place
    assert "exactly 0 in 30 of 400 layers" in figure.caption


def test_biases_are_drawn_beside_the_weights_when_asked():
    recording = recorded(steps=1)
    without, beside = plot.gradient_flow(recording), plot.gradient_flow(recording, biases=True)
    assert not dots(without.axes[0], "s")
    assert dots(beside.axes[0], "s") == pytest.approx(recording.bias_gradient_mean[0])
    assert len(ranges(beside.axes[0])) == 2 * len(ranges(without.axes[0]))


def test_networks_are_compared_one_colour_each_with_their_names_where_they_end():
    networks = {"sigmoid": sizes(falling(1.0)), "relu": sizes(falling(0.3)), "batch norm": sizes(falling(0.0))}
    figure = plot.gradient_flow(networks)
    (ax,) = figure.axes
    slopes = [figure.numbers["networks"][label]["decades_per_layer"] for label in networks]
    assert slopes == pytest.approx([1.0, 0.3, 0.0], abs=1e-12)
    assert figure.caption.startswith(
        "The weight gradient (root mean square): sigmoid: falls 1.00 decades a layer from the output to the input; "
        "relu: falls 0.30"
    )
    words = {text.get_text(): text.get_color() for text in ax.texts}
    assert list(words) == list(networks)
    lines = [line for line in ax.lines if line.get_marker() == "o"]
    assert [line.get_color() for line in lines] == list(words.values())
    assert len(set(words.values())) == 3
    assert [label.get_text() for label in ax.get_xticklabels()] == ["fc1", "fc2", "fc3", "fc4"]


def test_of_networks_with_other_layers_the_last_ones_stand_above_each_other():
    kinds = ("weight", "gain", "weight", "gain", "weight")
    figure = plot.gradient_flow({"plain": sizes(falling(1.0, 6)), "normalised": sizes([0.1] * 5, kinds=kinds)})
    (ax,) = figure.axes
    plain, normalised = (line.get_xdata() for line in ax.lines if line.get_marker() == "o")
    assert (len(plain), len(normalised)) == (6, 3)
    assert abs(plain[-1] - normalised[-1]) < 0.5
    assert ax.get_xlabel() == "layer, counted from the output"
    assert [label.get_text() for label in ax.get_xticklabels()][:2] == ["last", "\N{MINUS SIGN}1"]


def test_models_and_recordings_are_compared_alike():
    model = small()
    x, y = batch()
    F.cross_entropy(model(x), y).backward()
    figure = plot.gradient_flow({"model": model, "recording": recorded(small(), steps=1)})
    one, other = (figure.numbers["networks"][label]["weight_rms"] for label in ("model", "recording"))
    assert one == pytest.approx(other, rel=1e-5)
    with pytest.raises(TypeError, match=r"expected Module or FlowRecording, or {label: one of them}; got 3"):
        plot.gradient_flow({"a": 3})
    with pytest.raises(ValueError, match="at least one network"):
        plot.gradient_flow({})


def test_slides_have_larger_letters_for_the_same_room():
    paper, slides = (plot.gradient_flow(sizes(falling(1.0)), style=style) for style in ("paper", "slides"))
    assert slides.get_figwidth() < paper.get_figwidth()
    assert slides.get_figwidth() * slides.dpi == pytest.approx(paper.get_figwidth() * paper.dpi)
    with pytest.raises(ValueError, match="style"):
        plot.gradient_flow(sizes(falling(1.0)), style="poster")


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
    assert dots(ax)
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
    assert len(dots(figure.axes[0])) == 2


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
        f"Not finite (NaN or infinite) is the {part} gradient of layer fc2. The weight gradient (root"
    )
    assert figure.numbers[f"{part}_max"][1] == "inf"
    (ax,) = figure.axes
    assert crosses(ax) == pytest.approx([1.0 if part == "weight" else 1.22])
    assert "x: not finite" in [text.get_text() for text in ax.texts]
    json.dumps(figure.numbers, allow_nan=False)


def test_a_recorded_gradient_that_is_not_finite_is_crossed_and_named():
    largest = [np.inf, 1.0, np.inf, 0.0]
    figure = plot.gradient_flow(sizes([np.inf, 0.5, np.inf, 0.0], weight_gradient_max=largest))
    assert "is the weight gradient of layers fc1 and fc3." in figure.caption
    assert "times the gradient" not in figure.caption
    assert "exactly 0 in 1 of 4 layers" in figure.caption
    assert crosses(figure.axes[0]) == [0, 2]
    assert "not finite" not in plot.gradient_flow(flow()).caption


def test_gradients_that_are_0_in_every_layer_are_drawn_as_that():
    figure = plot.gradient_flow(sizes(np.zeros(4)))
    assert "fewer than two layers have a finite gradient other than 0" in figure.caption
    assert "exactly 0 in 4 of 4 layers" in figure.caption
    assert not dots(figure.axes[0])


def test_of_several_networks_the_crosses_have_the_colour_and_the_name_of_theirs():
    networks = {"level": flow(), "broken": flow(weight_gradient_rms=np.inf, weight_gradient_max=np.inf)}
    ax = plot.gradient_flow(networks).axes[0]
    (crosses,) = (line for line in ax.lines if line.get_marker() == "x")
    (name,) = (text for text in ax.texts if text.get_text() == "broken")
    assert crosses.get_color() == name.get_color()
    assert name.xy[1] == ax.get_ylim()[1]  # where the crosses are
