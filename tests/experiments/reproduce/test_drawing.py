"""The pictures of a training draw the runs' numbers, and their captions claim what these say."""

import re
from copy import deepcopy

import numpy as np
import pytest

from minidl.experiments.reproduce.drawing import band, colour_of, curves, ends
from minidl.experiments.reproduce.evidence import arms_of


def test_a_band_is_median_and_range_of_the_seeds_that_are_finite():
    found = band([[1.0, 1.0], [2.0, np.nan], [6.0, np.nan]])
    assert found["median"].tolist()[0] == 2
    assert np.isnan(found["median"][1])  # most have diverged: the line ends
    assert (found["min"].tolist(), found["max"].tolist()) == ([1, 1], [6, 1])


def test_one_colour_a_rule():
    assert colour_of("ln") == colour_of("ln-tuned") != colour_of("uniform")


def test_curves_show_the_looks_at_the_test_set(collected_case):
    collected = collected_case("clear gain")
    picture = curves(collected, "sgd")
    runs = arms_of(collected, "sgd")["ln"].values()
    wrong = [100 - 100 * run["looks"]["accuracy"][-1] for run in runs]
    assert picture.numbers["wrong"]["ln"]["median"][-1] == pytest.approx(np.median(wrong))
    assert picture.numbers["wrong"]["ln"]["max"][-1] == pytest.approx(max(wrong))
    assert f"a rate per layer {np.median(wrong) / 100:.2%}" in picture.caption
    assert "medians over 5 seeds" in picture.caption
    assert "Before the end the test is on 2,000 of the 10,000 test images." in picture.caption
    assert len(picture.panels) == 3
    axes = picture.together().axes
    texts = [text.get_text() for ax in axes for text in ax.texts]
    assert texts.count("a rate per layer") == 3
    assert axes[1].get_ylim() == axes[2].get_ylim()  # panels that are compared


def test_a_line_ends_where_its_runs_diverge(collected_case):
    picture = curves(collected_case("diverges"), "sgd")
    line = picture.numbers["wrong"]["ln"]["median"]
    assert np.isfinite(line[:6]).all()
    assert np.isnan(line[7:]).all()
    assert "a rate per layer diverged" in picture.caption
    texts = [text.get_text() for text in picture.alone(1).axes[0].texts]
    assert "a rate per layer: diverged" in texts


def test_without_tuned_runs_there_is_no_panel_for_them(collected_case):
    assert len(curves(collected_case("missing arms"), "sgd").panels) == 2
    assert curves(collected_case("missing arms"), "adagrad") is None


def test_a_dot_for_each_run_at_its_end(collected_case):
    collected = collected_case("diverges")
    picture = ends(collected, ["sgd"])
    shown = picture.numbers["methods"]["sgd"]
    assert shown["uniform"][2] == pytest.approx(100 * arms_of(collected, "sgd")["uniform"][2]["looks"]["accuracy"][-1])
    assert set(shown["ln"].values()) == {None}
    ax = picture.alone(0).axes[0]
    assert [text.get_text() for text in ax.texts].count("5 diverged") == 4
    assert next(label.get_text() for label in ax.get_yticklabels()) == "one rate"


def test_its_caption_counts_the_seeds_that_are_ahead(collected_case):
    assert "a rate per layer is ahead of one rate in 5 of 5 seeds, by 5." in (
        ends(collected_case("clear gain"), ["sgd"]).caption
    )
    alone = ends(collected_case("clear gain", seeds=1), ["sgd"]).caption
    assert re.search(r"a rate per layer is ahead of one rate by 5\.\d\d points, in one seed\.", alone)
    case = deepcopy(collected_case("clear gain"))
    for run in case["runs"]:
        if run["role"] == "report":
            run["looks"]["accuracy"][-1] = 1.5 - run["looks"]["accuracy"][-1]
    assert "a rate per layer is behind one rate in 5 of 5 seeds, by 5." in ends(case, ["sgd"]).caption
    caption = ends(collected_case("nothing learned"), ["sgd"]).caption
    assert "SGD with momentum: no arm does better than guessing." in caption
    assert "is ahead" not in caption


def test_beside_cifars_numbers_stands_what_the_data_are(collected_case):
    collected = collected_case("missing arms", recipe="cifar10-quick", seeds=1)
    assert "JPEG" in curves(collected, "sgd").caption
    assert "JPEG" in ends(collected, ["sgd"]).caption
