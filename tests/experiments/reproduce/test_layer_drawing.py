"""The pictures of layers draw what the runs recorded."""

from copy import deepcopy

import numpy as np
import pytest

from minidl.experiments.reproduce.evidence import arms_of
from minidl.experiments.reproduce.layer_drawing import by_depth, over_time


def test_norms_and_updates_by_layer(collected_case):
    collected = collected_case("clear gain")
    picture = by_depth(collected, "sgd")
    numbers = picture.numbers
    assert numbers["layers"] == ["fc1", "fc2", "fc3", "fc4", "fc5"]
    assert np.log10(numbers["norms"]["first"]["median"]) == pytest.approx([-4, -3, -2, -1, 0], abs=0.1)
    ratio = numbers["ratios"]["ln"]["median"]
    assert (np.diff(ratio) < 0).all()  # the nearer to the input, the more
    constant = numbers["ratios"]["constant"]["median"]
    assert max(constant) < 1.1 * min(constant)
    ax = picture.alone(2).axes[0]
    assert {text.get_text() for text in ax.texts} == {"a rate per layer", "one larger rate", "one varying rate"}


def test_over_many_decades_the_ratios_have_few_ticks(collected_case):
    collected = deepcopy(collected_case("clear gain"))
    for run in collected["runs"]:
        if run["role"] == "report" and run["rate"] == "constant":
            run["layers"]["relative_updates"]["middle"] = [1e-12] * 5
    ax = by_depth(collected, "sgd").alone(2).axes[0]
    assert len(ax.yaxis.get_minorticklocs()) == 0
    assert len(ax.yaxis.get_majorticklocs()) < 15


def test_the_caption_has_the_halves(collected_case):
    """The same numbers as the claim has."""
    caption = by_depth(collected_case("clear gain"), "sgd").caption
    assert "the gradient's norm is 0.00031 in the half near the input, 0.32 in the half near the output" in caption
    assert "times as large near the input" in caption


def test_without_the_base_method_there_is_no_picture(collected_case):
    assert by_depth(collected_case("clear gain", arms=("ln",)), "sgd") is None
    assert by_depth(collected_case("clear gain"), "adagrad") is None
    assert over_time(collected_case("clear gain"), "adagrad") is None


def test_over_time_one_run_of_each_is_drawn_and_named(collected_case):
    collected = collected_case("clear gain")
    picture = over_time(collected, "sgd")
    flow = arms_of(collected, "sgd")["ln"][0]["flow"]
    assert picture.numbers["factors"].tolist() == flow["multipliers"]
    assert "sgd-uniform-recipe-seed0 and sgd-ln-recipe-seed0" in picture.caption
    first = flow["multipliers"][0]
    assert f"multiplies the base rate by {min(first):.3g} to {max(first):.3g}" in picture.caption
    ax = picture.alone(2).axes[0]
    assert [text.get_text() for text in ax.texts] == ["fc1", "fc2", "fc3", "fc4", "fc5"]
