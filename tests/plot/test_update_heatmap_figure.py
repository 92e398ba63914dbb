import json

import numpy as np
import pytest

from minidl import plot
from tests.observe.loops import recorded
from tests.plot.recordings import falling, flow


def heat(figure, k=0):
    return figure.axes[k].collections[0]


def test_the_claim_is_the_median_part_of_the_weights_that_the_first_and_last_layer_move():
    slow = flow(update_norm=falling(1.0, top=1e-2))
    fast = flow(update_norm=falling(0.25, top=1e-2))
    figure = plot.update_heatmap({"SGD": slow, "layer-specific": fast})
    assert figure.caption == (
        "The median step moves fc1 by 0.001% (SGD) and 0.18% (layer-specific) of its weights; fc4 by 1% and 1%."
    )
    assert figure.numbers["panels"]["SGD"]["median_log10_ratio"] == pytest.approx([-5, -4, -3, -2])
    json.dumps(figure.numbers, allow_nan=False)


def test_the_colour_is_the_log_of_update_over_weights_with_the_input_at_the_bottom():
    figure = plot.update_heatmap(flow(update_norm=falling(1.0), weight_norm=10.0))
    expected = np.log10(falling(1.0) / 10.0)
    np.testing.assert_allclose(np.asarray(heat(figure).get_array()), np.tile(expected[:, None], (1, 5)))
    ax = figure.axes[0]
    assert [label.get_text() for label in ax.get_yticklabels()] == ["fc1", "fc2", "fc3", "fc4"]
    assert ax.get_ylim() == (-0.5, 3.5)


def test_panels_share_colours_and_axes_and_have_the_loss_below_on_the_same_steps():
    a, b = flow(update_norm=falling(1.0)), flow(update_norm=falling(2.0), loss=np.linspace(9, 3, 5))
    figure = plot.update_heatmap({"a": a, "b": b})
    heat_a, heat_b, loss_a, loss_b = figure.axes[:4]
    limits = {panel.collections[0].norm.vmin for panel in (heat_a, heat_b)}
    assert limits == {figure.numbers["colour_limits"][0]}
    assert heat_a.get_ylim() == heat_b.get_ylim()
    assert loss_a.get_ylim() == loss_b.get_ylim()
    assert loss_b.get_ylim()[1] > 9
    for above, below in ((heat_a, loss_a), (heat_b, loss_b)):
        assert above.get_xlim() == below.get_xlim() == (0, 5)
    np.testing.assert_allclose(loss_b.lines[0].get_ydata(), np.linspace(9, 3, 5))
    assert [ax.get_title(loc="left") for ax in (heat_a, heat_b)] == ["a", "b"]


def test_the_contour_runs_at_a_thousandth():
    figure = plot.update_heatmap(flow(update_norm=falling(1.0, top=1e-2)))  # 1e-5, 1e-4, 1e-3, 1e-2
    assert figure.numbers["panels"][""]["has_contour"]
    contours = [c for c in figure.axes[0].collections if hasattr(c, "levels")]
    assert [list(c.levels) for c in contours] == [[-3.0]]
    heights = contours[0].get_paths()[0].vertices[:, 1]
    np.testing.assert_allclose(heights, 2.0)  # the row of the layer that moves by exactly 1e-3
    legend = figure.axes[1].get_legend()
    assert [text.get_text() for text in legend.get_texts()] == ["$10^{-3}$"]


def test_there_is_no_contour_where_nothing_crosses_it():
    figure = plot.update_heatmap(flow(update_norm=falling(0.1, top=1e-1)))
    assert not figure.numbers["panels"][""]["has_contour"]
    assert not [c for c in figure.axes[0].collections if hasattr(c, "levels")]


def test_layers_that_did_not_move_have_a_colour_of_their_own():
    update = np.tile(falling(1.0), (5, 1))
    update[2:, 0] = 0
    figure = plot.update_heatmap(flow(update_norm=update))
    panel = figure.numbers["panels"][""]
    assert [row[0] for row in panel["zero"]] == [False, False, True, True, True]
    assert [row[0] is None for row in panel["log10_ratio"]] == [False, False, True, True, True]
    zero = figure.axes[0].collections[1].get_array()
    assert np.ma.getmaskarray(zero)[0].tolist() == [True, True, False, False, False]
    assert "exactly 0" in [text.get_text() for text in figure.axes[1].get_legend().get_texts()]
    assert "fc1 by nothing of its weights" in figure.caption


def test_the_rounding_of_the_dtype_is_marked_when_updates_come_near_it():
    figure = plot.update_heatmap(flow(update_norm=falling(3.0, top=1e-2)))  # down to 1e-11
    assert "float32\nrounding" in [text.get_text() for text in figure.axes[1].get_legend().get_texts()]
    far = plot.update_heatmap(flow(update_norm=falling(0.1))).axes[1]
    assert far.get_legend() is None


def test_many_steps_are_drawn_as_medians_of_neighbours():
    rng = np.random.default_rng(0)
    ratio = 10.0 ** rng.uniform(-6, -1, (1000, 3))
    recording = flow(steps=1000, layers=3, update_norm=ratio)
    figure = plot.update_heatmap(recording)
    panel = figure.numbers["panels"][""]
    per_column = figure.numbers["steps_per_column"][""]
    assert per_column == 8  # of 1000 steps in 120 columns, the first has 8, others 9
    assert len(panel["log10_ratio"]) == 120
    assert panel["log10_ratio"][0] == pytest.approx(np.log10(np.median(ratio[:8], axis=0)))
    assert panel["loss"][0] == pytest.approx(np.median(recording.loss[:8]))


def test_a_real_recording_is_drawn_with_what_it_measured():
    recording = recorded(steps=5)
    figure = plot.update_heatmap({"SGD": recording})
    np.testing.assert_allclose(figure.numbers["panels"]["SGD"]["log10_ratio"], np.log10(recording.update_ratio))


def test_one_step_is_enough():
    figure = plot.update_heatmap(flow(steps=1, update_norm=falling(1.0, top=1e-2)))
    assert figure.axes[0].get_xlim() == (0, 1)


def test_networks_with_other_layers_are_compared_each_with_its_own_names():
    three, four = flow(update_norm=falling(1.0, layers=3), layers=3), flow(update_norm=falling(0.5, top=1e-2))
    figure = plot.update_heatmap({"three": three, "four": four})
    heat_a, heat_b = figure.axes[:2]
    assert [label.get_text() for label in heat_a.get_yticklabels()] == ["fc1", "fc2", "fc3"]
    assert [label.get_text() for label in heat_b.get_yticklabels()] == ["fc1", "fc2", "fc3", "fc4"]
    assert figure.axes[2].get_ylim() == figure.axes[3].get_ylim()
    assert figure.caption == (
        "The median step moves, in three: fc1 by 0.1% of its weights, fc3 by 10%; four: fc1 by 0.032% of its weights, "
        "fc4 by 1%."
    )
    assert figure.numbers["panels"]["three"]["layers"] == ["fc1", "fc2", "fc3"]


def test_a_contour_that_would_be_a_tangle_is_not_drawn():
    zigzag = np.tile([1e-2, 1e-4], 4)  # weights and gains by turns
    assert not plot.update_heatmap(flow(layers=8, update_norm=zigzag)).numbers["panels"][""]["has_contour"]


def test_what_cannot_be_compared_is_refused():
    with pytest.raises(TypeError, match=r"expected FlowRecording, or {label: one of them}; got 3 as 'a'"):
        plot.update_heatmap({"a": 3})
    with pytest.raises(ValueError, match="'a' holds no updates"):
        plot.update_heatmap({"a": flow(update_norm=np.nan)})
    with pytest.raises(ValueError, match="holds no step"):
        plot.update_heatmap({"a": flow(steps=0)})
    with pytest.raises(ValueError, match="at least one network"):
        plot.update_heatmap({})


def test_what_is_not_finite_has_a_colour_of_its_own_and_the_claim_says_when_it_diverged():
    update = np.tile(falling(1.0), (5, 1))
    update[3:] = np.inf
    lost = flow(update_norm=update, output_gradient_rms=np.where(np.isinf(update), np.inf, 1.0))
    figure = plot.update_heatmap({"good": flow(update_norm=falling(1.0)), "lost": lost})
    panel = figure.numbers["panels"]["lost"]
    assert panel["diverged_at"] == 3
    assert panel["not_finite"] == [[False] * 4] * 3 + [[True] * 4] * 2
    assert panel["log10_ratio"][3] == [None] * 4
    assert panel["median_log10_ratio"] == figure.numbers["panels"]["good"]["median_log10_ratio"]
    red = figure.axes[1].collections[1].get_array()
    assert np.ma.getmaskarray(red)[0].tolist() == [False] * 0 + [True, True, True, False, False]
    assert "not finite" in [text.get_text() for text in figure.axes[3].get_legend().get_texts()]
    assert figure.caption.endswith("fc4 by 10% and 10%. lost: from step 3 on gradients are not finite: it diverged.")
    json.dumps(figure.numbers, allow_nan=False)


def test_a_recording_in_which_nothing_was_ever_finite_is_drawn_and_said_to_be_so():
    lost = dict.fromkeys(("update_norm", "weight_norm", "weight_gradient_rms", "output_gradient_rms"), np.inf)
    figure = plot.update_heatmap(flow(**lost, loss=np.full(5, np.nan)))
    assert figure.caption == "From step 0 on loss and gradients are not finite: it diverged."
    assert "nan" not in figure.caption
    figure.draw_without_rendering()


def test_a_layer_without_weights_is_not_said_to_move_by_a_power_of_nan():
    update = np.tile(falling(1.0), (5, 1))
    update[:, 0] = np.nan
    assert (
        "moves fc1 by an unknown part of its weights; fc4 by 10%."
        in plot.update_heatmap(flow(update_norm=update)).caption
    )


def test_a_single_layer_is_named_once_and_steps_are_whole():
    one = flow(layers=1, update_norm=0.01)
    assert plot.update_heatmap(one).caption == "The median step moves fc1 by 1% of its weights."
    figure = plot.update_heatmap({"one": one, "two": flow(layers=2, update_norm=0.01, steps=5)})
    assert figure.caption == (
        "The median step moves, in one: fc1 by 1% of its weights; two: fc1 by 1% of its weights, fc2 by 1%."
    )
    (strip, *_) = (ax for ax in figure.axes if ax.get_xlabel() == "step")
    assert all(tick == int(tick) for tick in strip.get_xticks())
