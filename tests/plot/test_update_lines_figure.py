import json

import numpy as np
import pytest

from minidl import plot
from tests.observe.loops import recorded
from tests.plot.recordings import falling, flow


def test_the_claim_is_the_median_part_of_the_weights_that_the_ends_move():
    figure = plot.update_lines(flow(update_norm=falling(1.0, top=1e-2)))
    assert figure.caption == "The median step moves fc1 by 0.001% of its weights and fc4 by 1% of its weights."
    assert figure.numbers["networks"][""]["median_ratio"] == pytest.approx([1e-5, 1e-4, 1e-3, 1e-2])
    json.dumps(figure.numbers, allow_nan=False)


def test_networks_are_compared_also_with_other_layers():
    figure = plot.update_lines({"a": flow(update_norm=0.1), "b": flow(layers=1, update_norm=0.01)})
    assert figure.caption == (
        "a: the median step moves fc1 by 10% of its weights and fc4 by 10% of its weights. "
        "b: the median step moves fc1 by 1% of its weights."
    )
    assert figure.axes[0].get_ylim() == figure.axes[1].get_ylim()
    assert [ax.get_title(loc="left") for ax in figure.axes] == ["a", "b"]


def test_it_draws_what_was_measured_with_the_target_at_a_thousandth():
    recording = recorded(steps=5)
    figure = plot.update_lines(recording)
    np.testing.assert_allclose(figure.numbers["networks"][""]["ratio"], recording.update_ratio)
    assert figure.numbers["target"] == 1e-3
    assert "1/1000 of the weights" in [text.get_text() for text in figure.axes[0].texts]


def test_what_diverged_is_said_and_left_out_of_the_median():
    update = np.tile(falling(1.0, top=1e-2), (5, 1))
    update[3:] = np.inf
    figure = plot.update_lines(flow(update_norm=update, output_gradient_rms=np.where(np.isinf(update), np.inf, 1.0)))
    assert figure.numbers["networks"][""]["median_ratio"] == pytest.approx([1e-5, 1e-4, 1e-3, 1e-2])
    assert figure.caption.endswith("of its weights. From step 3 on gradients are not finite: it diverged.")
    assert figure.numbers["networks"][""]["ratio"][3] == ["inf"] * 4


def test_without_updates_it_says_how_to_record_them():
    with pytest.raises(ValueError, match="'a' holds no updates: record with the optimizer"):
        plot.update_lines({"a": flow(update_norm=np.nan)})
