import json
from dataclasses import replace

import numpy as np
import pytest

from minidl import plot
from minidl.observe import GradientFlow
from minidl.observe.bins import BINS, QUANTITIES, counted
from minidl.optim import SGD
from tests.observe.loops import small, train
from tests.plot.recordings import flow


def distributed(layers=3, decades=1.0, **shares):
    """A recording of which dL/dh falls by `decades` a layer, and everything else is about 1."""
    rng = np.random.default_rng(0)
    shape = (1, len(QUANTITIES), layers)
    bins, tops, zeros = np.zeros((*shape, BINS)), np.zeros(shape), np.zeros(shape)
    for k, quantity in enumerate(QUANTITIES):
        for layer in range(layers):
            size = 10.0 ** (-decades * (layers - 1 - layer)) if quantity == "output_gradient" else 1.0
            bins[0, k, layer], tops[0, k, layer], zeros[0, k, layer] = counted(size * rng.normal(size=4000))
    base = {"saturated": np.zeros((1, layers)), "dead": np.zeros((1, layers))}
    recording = flow(layers=layers)
    return replace(recording, snapshots=np.array([3]), bins=bins, tops=tops, zeros=zeros, **{**base, **shares})


def ridge(ax, layer):
    """The outline of what is drawn above a layer's line."""
    found = [path.vertices for group in ax.collections for path in group.get_paths()]
    return np.concatenate([v for v in found if v[:, 1].min() == pytest.approx(layer)])


def test_the_claim_is_the_size_of_the_gradient_at_both_ends_and_who_is_worst():
    figure = plot.distribution_grid(distributed(saturated=np.array([[0.5, 0.1, 0.0]])))
    middle = figure.numbers["networks"][""]["log10_median"]["output_gradient"]
    assert np.diff(middle) == pytest.approx([1.0, 1.0], abs=0.15)
    assert figure.caption == (
        f"At step 3 the middle size of dL/dh is 10^{middle[-1]:.1f} in fc3 and 10^{middle[0]:.1f} in fc1; "
        f"most saturated: fc1, 50%."
    )
    json.dumps(figure.numbers, allow_nan=False)


def test_each_decade_is_as_wide_as_the_next_and_signs_have_sides():
    figure = plot.distribution_grid(distributed(decades=2.0))
    ax = figure.axes[2]  # dL/dh
    peaks = []
    for layer in range(3):
        outline = ridge(ax, layer)
        assert outline[:, 0].min() < 0 < outline[:, 0].max()
        peaks.append(float(outline[np.argmax(outline[:, 1]), 0]))
    assert np.abs(np.diff(np.abs(peaks))) == pytest.approx([2.0, 2.0], abs=0.4)
    assert [label.get_text() for label in figure.axes[0].get_yticklabels()] == ["fc1", "fc2", "fc3"]


def test_percentages_stand_at_the_right():
    recording = distributed(saturated=np.array([[0.5, np.nan, 0.001]]), dead=np.array([[0.25, np.nan, 0.0]]))
    words = [text.get_text() for text in plot.distribution_grid(recording).axes[4].texts]
    assert words[:4] == ["saturated", "50%", "\N{MIDDLE DOT}", "<1%"]
    assert words[4:8] == ["dead", "25%", "\N{MIDDLE DOT}", "0"]


def test_networks_are_rows_that_share_their_axes():
    figure = plot.distribution_grid({"a": distributed(), "b": distributed(layers=5, decades=2.0)})
    assert len(figure.axes) == 10
    for k in range(4):
        assert figure.axes[k].get_xlim() == figure.axes[5 + k].get_xlim()
    assert figure.axes[0].get_ylabel() == "a"
    assert list(figure.numbers["networks"]) == ["a", "b"]


def test_a_layer_far_below_the_others_is_said_to_be_smaller():
    figure = plot.distribution_grid(distributed(decades=30.0))
    assert [text.get_text() for text in figure.axes[2].texts].count("smaller") == 2


@pytest.mark.parametrize("activation", ["sigmoid", "tanh", "relu"])
@pytest.mark.parametrize("style", ["paper", "slides"])
def test_a_real_recording_is_drawn(activation, style):
    model = small(2, activation=activation)
    optimizer = SGD(model, lr=0.1)
    with GradientFlow(model, optimizer, distributions=True) as recorder:
        train(model, optimizer, 3)
    figure = plot.distribution_grid({"run": recorder.recording}, style=style)
    one = figure.numbers["networks"]["run"]
    assert one["step"] == 2
    assert np.isfinite(one["log10_median"]["output_gradient"]).all()
    assert np.isnan(np.array(one["log10_median"]["activation"], dtype=float))[-1]
    figure.draw_without_rendering()


def test_zeros_and_nans_have_no_ridge():
    recording = distributed()
    recording.bins[:] = 0
    recording.tops[:] = np.nan
    figure = plot.distribution_grid(recording)
    assert "fewer than two layers" in figure.caption
    assert not figure.axes[2].collections


def test_without_distributions_it_says_how_to_record_them():
    with pytest.raises(ValueError, match=r"GradientFlow\(model, optimizer, distributions=True\)"):
        plot.distribution_grid(flow())
    with pytest.raises(ValueError, match="has 1 snapshots; got snapshot=4"):
        plot.distribution_grid(distributed(), snapshot=4)


def test_a_layer_of_which_nothing_is_finite_is_crossed_and_named():
    recording = distributed()
    tops, rms = recording.tops.copy(), recording.output_gradient_rms.copy()
    gradient = QUANTITIES.index("output_gradient")
    tops[0, gradient, 1], rms[3, 1] = np.nan, np.inf
    figure = plot.distribution_grid(replace(recording, tops=tops, output_gradient_rms=rms))
    crosses = [[y for line in ax.lines if line.get_marker() == "x" for y in line.get_ydata()] for ax in figure.axes[:4]]
    assert crosses == [[1.3] if k == gradient else [] for k in range(4)]
    assert figure.numbers["networks"][""]["not_finite"] == [False, True, False]
    assert figure.caption == "At step 3 something is not finite (NaN or infinite) in layer fc2."
