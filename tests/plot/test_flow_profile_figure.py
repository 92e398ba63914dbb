import json
from itertools import pairwise

import numpy as np
import pytest
from matplotlib.figure import Figure
from matplotlib.text import Text

from minidl import plot
from tests.observe.loops import recorded
from tests.plot.recordings import falling, flow

FIELDS = ("activation_rms", "output_gradient_rms", "weight_gradient_rms")


def profile(**fields):
    base = {"activation_rms": 0.5, "output_gradient_rms": falling(1.0), "weight_gradient_rms": falling(0.5)}
    return flow(**{**base, **fields})


def test_the_claim_is_the_fitted_slope_of_the_back_propagated_gradient():
    late = np.concatenate([[falling(1.0)] * 4, [falling(0.25)]])
    figure = plot.flow_profile(profile(output_gradient_rms=late))
    slopes = figure.numbers["output_gradient_rms"]["decades_per_layer"]
    assert slopes == pytest.approx([1.0, 1.0, 0.25])
    assert figure.caption == (
        "The back-propagated gradient falls 1.00 decades a layer from the output to the input at step 0, "
        "0.25 at step 4."
    )


def test_the_slopes_are_printed_in_the_colours_of_their_lines():
    figure = plot.flow_profile(profile())
    printed = [[text.get_text() for text in ax.texts if text.get_text()[0] in "+\N{MINUS SIGN}0"] for ax in figure.axes]
    assert printed == [["0.00"] * 3, ["+1.00"] * 3, ["+0.50"] * 3]
    ax = figure.axes[1]
    texts = [text for text in ax.texts if text.get_text() == "+1.00"]
    lines = [line for line in ax.lines if len(line.get_xdata()) == 4]
    assert [text.get_color() for text in texts] == [line.get_color() for line in lines]


def test_first_middle_and_last_step_are_drawn_light_to_dark_with_labels_at_their_ends():
    recording = profile(steps=9)
    figure = plot.flow_profile(recording)
    assert figure.numbers["steps"] == [0, 4, 8]
    labels = [text for text in figure.axes[2].texts if text.get_text().startswith("step")]
    assert [text.get_text() for text in labels] == ["step 0", "step 4", "step 8"]
    assert all(text.xy[0] == 3 for text in labels)
    light = [sum(text.get_color()[:3]) for text in labels]
    assert light == sorted(light, reverse=True)
    assert plot.flow_profile(recording, steps=[-1]).numbers["steps"] == [8]
    assert plot.flow_profile(profile(steps=1)).numbers["steps"] == [0]


def test_the_panels_share_their_limits_and_name_the_layers():
    figure = plot.flow_profile(profile())
    limits = {ax.get_ylim() for ax in figure.axes}
    assert len(limits) == 1
    assert all(ax.get_yscale() == "log" for ax in figure.axes)
    for ax in figure.axes:
        assert [label.get_text() for label in ax.get_xticklabels()] == ["fc1", "fc2", "fc3", "fc4"]


def test_seeds_give_a_median_line_and_a_band_from_the_smallest_to_the_largest():
    seeds = [profile(output_gradient_rms=falling(1.0) * factor) for factor in (1.0, 3.0, 9.0)]
    figure = plot.flow_profile(seeds, steps=[0])
    numbers = figure.numbers["output_gradient_rms"]
    assert numbers["median"][0] == pytest.approx(falling(1.0) * 3)
    assert numbers["min"][0] == pytest.approx(falling(1.0))
    assert numbers["max"][0] == pytest.approx(falling(1.0) * 9)
    (band,) = figure.axes[1].collections
    drawn = band.get_paths()[0].vertices
    assert drawn[:, 1].min() == pytest.approx(min(numbers["min"][0]))
    assert drawn[:, 1].max() == pytest.approx(max(numbers["max"][0]))
    assert figure.caption.endswith("(median of 3 recordings).")
    assert not plot.flow_profile(seeds[0]).axes[1].collections


def test_exact_zeros_stand_in_their_row_and_are_left_out_of_the_fit():
    gradient = falling(1.0, 5)
    gradient[0] = 0
    figure = plot.flow_profile(profile(layers=5, output_gradient_rms=gradient, weight_gradient_rms=0.1), steps=[0])
    ax = figure.axes[1]
    (mark,) = [line for line in ax.lines if line.get_markerfacecolor() == "white"]
    assert list(mark.get_xdata()) == [0]
    assert ax.yaxis.get_major_formatter()(mark.get_ydata()[0]) == "0"
    assert figure.numbers["output_gradient_rms"]["decades_per_layer"] == pytest.approx([1.0])
    assert figure.numbers["output_gradient_rms"]["median"][0][0] == 0


def test_a_real_recording_is_drawn_as_it_is():
    recording = recorded(steps=3)
    figure = plot.flow_profile(recording)
    for field in FIELDS:
        np.testing.assert_allclose(figure.numbers[field]["median"], getattr(recording, field), rtol=1e-12)
    json.dumps(figure.numbers, allow_nan=False)


def test_it_draws_into_given_axes_and_wants_three():
    axes = Figure().subplots(1, 3)
    assert plot.flow_profile(profile(), axes=axes) is axes[0].figure
    with pytest.raises(ValueError, match="expected 3 axes"):
        plot.flow_profile(profile(), axes=axes[:2])


def test_impossible_requests_are_refused():
    with pytest.raises(ValueError, match="steps is empty"):
        plot.flow_profile(profile(), steps=[])
    with pytest.raises(ValueError, match="has 5 steps"):
        plot.flow_profile(profile(), steps=[7])
    with pytest.raises(ValueError, match="same layers and steps"):
        plot.flow_profile([profile(), profile(steps=4)])


def crosses(ax):
    return [float(x) for line in ax.lines if line.get_marker() == "x" for x in line.get_xdata()]


def test_what_is_not_finite_is_crossed_and_the_claim_says_when_it_diverged():
    gradient = np.tile(falling(1.0), (5, 1))
    gradient[3:] = np.inf
    gradient[2, 1] = np.inf
    loss = [1.0, 1.0, 1.0, np.nan, np.nan]
    figure = plot.flow_profile(profile(output_gradient_rms=gradient, loss=np.array(loss)))
    assert figure.caption == (
        "The back-propagated gradient falls 1.00 decades a layer from the output to the input at step 0, 1.00 at step "
        "2. From step 2 on loss and gradients are not finite: it diverged."
    )
    assert crosses(figure.axes[1]) == [1, 0, 1, 2, 3]  # of step 2, and of step 4
    assert not crosses(figure.axes[0])
    assert figure.numbers["output_gradient_rms"]["median"][2] == ["inf"] * 4
    json.dumps(figure.numbers, allow_nan=False)


def test_a_profile_in_which_nothing_is_finite_can_be_drawn():
    lost = dict.fromkeys(FIELDS, np.inf)
    figure = plot.flow_profile(flow(**lost, loss=np.full(5, np.nan)))
    assert figure.caption == "From step 0 on loss and gradients are not finite: it diverged."


def test_of_several_recordings_it_says_how_many_diverged_and_when_the_first_did():
    gradient = np.tile(falling(1.0), (5, 1))
    gradient[3:] = np.inf
    seeds = [profile(), profile(output_gradient_rms=gradient), profile()]
    figure = plot.flow_profile(seeds)
    assert figure.caption.endswith(
        "(median of 3 recordings). Loss or gradients were not finite in 1 of 3 recordings; 1 diverged, the first at "
        "step 3."
    )
    assert figure.numbers["output_gradient_rms"]["median"][2] == pytest.approx(falling(1.0))
    assert crosses(figure.axes[1]) == [0, 1, 2, 3]


def test_networks_are_compared_in_rows_that_share_their_limits():
    networks = {
        "sigmoid": profile(),
        "relu": profile(output_gradient_rms=falling(0.3, 6), weight_gradient_rms=0.1, layers=6),
    }
    figure = plot.flow_profile(networks)
    assert len(figure.axes) == 6
    assert len({ax.get_ylim() for ax in figure.axes}) == 1
    assert [len(ax.get_xticklabels()) for ax in figure.axes] == [4, 4, 4, 6, 6, 6]
    assert figure.axes[0].get_ylabel().startswith("sigmoid")
    assert figure.axes[3].get_ylabel().startswith("relu")
    slopes = [figure.numbers["networks"][label]["output_gradient_rms"]["decades_per_layer"][0] for label in networks]
    assert slopes == pytest.approx([1.0, 0.3])
    assert figure.caption.startswith("sigmoid: the back-propagated gradient falls 1.00 decades a layer")
    assert " relu: the back-propagated gradient falls 0.30 decades a layer" in figure.caption
    with pytest.raises(ValueError, match="expected 6 axes"):
        plot.flow_profile(networks, axes=Figure().subplots(1, 3))


def test_a_network_to_compare_may_be_several_seeds():
    figure = plot.flow_profile({"a": [profile(), profile()], "b": profile()})
    assert [figure.numbers["networks"][label]["seeds"] for label in "ab"] == [2, 1]


def test_slopes_and_lines_compare_only_what_is_alike():
    outputs = ("act1", "act2", "act3", "fc4")  # the scores of fc4 have no activation
    gradient = [*falling(1.0)[1:], 77.0]
    recording = profile(outputs=outputs, output_gradient_rms=gradient)
    figure = plot.flow_profile(recording, steps=[0])
    assert figure.numbers["output_gradient_rms"]["decades_per_layer"] == pytest.approx([1.0])
    assert figure.numbers["weight_gradient_rms"]["decades_per_layer"] == pytest.approx([0.5])
    assert recording.slope("output_gradient_rms", 0) == pytest.approx(1.0)
    assert "falls 1.00 decades a layer" in recording.verdict()  # one number for one thing
    (diamond,) = [line for line in figure.axes[1].lines if line.get_marker() == "D"]
    assert list(diamond.get_ydata()) == [77.0]
    assert "diamonds" in figure.axes[1].get_xlabel()


@pytest.mark.parametrize("style", ["paper", "slides"])
def test_the_slopes_of_one_panel_end_before_the_next_begin(style):
    falls = {field: falling(0.8) for field in ("activation_rms", "output_gradient_rms", "weight_gradient_rms")}
    figure = plot.flow_profile({"a": flow(**falls), "b": flow(**falls)}, style=style)
    figure.draw_without_rendering()
    for row in (figure.axes[:3], figure.axes[3:]):
        slopes = [[text for text in ax.texts if text.get_text() in ("decades a layer", "+0.80")] for ax in row]
        boxes = [[Text.get_window_extent(text) for text in texts] for texts in slopes]
        for left, right in pairwise(boxes):
            assert len(left) > 2
            assert max(box.x1 for box in left) < right[0].x0
