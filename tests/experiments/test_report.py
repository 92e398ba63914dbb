"""The cells of the report's tables, and the page: complete, self-contained, safe."""

import re
from html.parser import HTMLParser

import pytest

from minidl.experiments.report import Picture, headline, render, spread, steps_text, table_rows
from minidl.experiments.verdict import judge


def make_results(**overrides):
    losses = {
        "uniform": [0.6, 0.61, 0.59, 0.6, 0.62],
        "layer-specific": [0.2, 0.21, 0.2, 0.19, 0.22],
        "constant": [0.4, 0.41, 0.4, 0.4, 0.43],
    }
    verdict = judge(losses).as_dict()
    arms = {
        arm: {
            "title": arm,
            "same_runs_as": None,
            "base_rate": 0.5,
            "mean_multiplier": [1.0] * 5,
            "test_accuracy": [0.9, 0.91, 0.92, 0.93, 0.94],
            "test_loss": values,
            "train_loss": values,
            "steps_to_target": [34, 68, None, 34, 34],
            "seconds": [0.5] * 5,
            "diverged_at": [None] * 5,
        }
        for arm, values in losses.items()
    }
    method = {
        "arms": arms,
        "tuning": {
            "grid": [0.1, 1.0],
            "seeds": [10_000, 10_001],
            "validation_loss": {"uniform": [[0.5, 0.6], [0.2, float("nan")]]},
            "at_edge": ["uniform"],
        },
        "verdicts": {"test loss": verdict, "error rate": verdict | {"kind": "no difference"}},
        "criterion": {"slope_decades_per_layer": 0.7, "best_tuned_validation_accuracy": 0.5, "met": False},
        "flow": {"uniform": "the gradient falls <fast>"},
    }
    return {
        "settings": {"methods": ["sgd"], "model": "mlp", "seeds": 5, "epochs": 40},
        "environment": {"minidl": "0.1.0"},
        "data": {"train": 1077, "validation": 360, "test": 360},
        "methods": {"sgd": method},
    } | overrides


def page():
    return render(make_results(), [Picture("race", "<svg>drawing</svg>", "a < b")], "minidl compare --lr 1", "a net")


def test_a_spread_is_the_median_with_its_range_or_one_number():
    assert spread([3, 1, 2], "{:.1f}") == "2.0 (1.0\u20133.0)"
    assert spread([0.5, 0.5], "{:.1f}") == "0.5"


def test_seeds_that_never_arrive_count_as_the_latest():
    assert steps_text([34, 68, 34]) == "34 (34\u201368)"
    assert steps_text([None, None, 34]) == "never, 2 of 3 never"
    assert steps_text([34, 68, None]) == "68 (34\u201368), 1 of 3 never"
    assert steps_text([None, None]) == "never"


def test_the_headline_is_question_answer_and_verdict():
    question, found, verdict = headline(make_results())
    assert question == "Does a rate for each layer help this network?"
    assert found.startswith("sgd: On this network: yes.")
    assert verdict == "sgd: verdict: layer-specific helps."


def test_every_arm_has_its_row():
    rows = table_rows(make_results()["methods"]["sgd"])
    assert [row[0] for row in rows] == ["uniform", "layer-specific", "constant"]
    assert rows[1][1] == "92.0 (90.0\u201394.0)"


def test_an_arm_that_is_another_says_so():
    results = make_results()
    results["methods"]["sgd"]["arms"]["constant"]["same_runs_as"] = "uniform"
    assert table_rows(results["methods"]["sgd"])[2] == ("constant", "as uniform", "", "")
    text = render(results, [], "minidl compare", "a net")
    assert "<small>the same runs as uniform: its own best rate is 0.5 too</small>" in text
    assert "as uniform</td>" not in text


def test_the_answer_comes_first_and_the_statistics_are_folded():
    text = page()
    order = ["<h1>Does a rate", "On this network: yes.", "<table>", "<figure>", "<details>", "sign-flip"]
    places = [text.index(part) for part in order]
    assert places == sorted(places)
    assert "second" not in text[: text.index("<details>")]  # time is a machine's, and no merit of an arm


def test_each_arm_says_what_it_does():
    assert "<b>constant</b><small>every layer at 0.5 \u00d7 1.00, the mean of layer-specific&#x27;s factors" in page()


def test_the_page_needs_nothing_beside_it():
    assert not re.search(r"(src|href)\s*=|@import|url\(", page())


def test_the_page_is_well_formed():
    open_tags = []

    class Checker(HTMLParser):
        def handle_starttag(self, tag, attrs):
            if tag != "meta":
                open_tags.append(tag)

        def handle_endtag(self, tag):
            assert open_tags.pop() == tag

    Checker().feed(page())
    assert open_tags == []


@pytest.mark.parametrize(
    "text",
    [
        "layer-specific helps",
        "a &lt; b",  # captions are text, not markup
        "falls &lt;fast&gt;",
        "minidl compare --lr 1",
        "<svg>drawing</svg>",
        "at the edge of the grid",
        "does not meet the criterion",
        "NOT met",
        "arXiv:1510.04609",
    ],
)
def test_the_page_says_what_a_referee_would_ask(text):
    assert text in page()


def test_what_diverged_counts_as_the_largest():
    nan, inf = float("nan"), float("inf")
    assert spread([1.0, nan, 3.0], "{:.1f}") == "3.0 (1.0\u20133.0), 1 of 3 diverged"
    assert spread([1.0, nan, inf], "{:.1f}") == "diverged (1.0\u20131.0), 2 of 3 diverged"
    assert spread([nan, inf], "{:.1f}") == "diverged"


def test_the_page_says_what_diverged():
    results = make_results()
    method = results["methods"]["sgd"]
    method["arms"]["uniform"] |= {"diverged_at": [None, 7, 5, None, None]}
    method["arms"]["constant"] |= {"mean_multiplier": [float("nan")] * 5}
    method["verdicts"]["test loss"] = judge(
        {"layer-specific": [0.2] * 5, "uniform": [float("nan")] * 5, "constant": [0.4] * 5}
    ).as_dict()
    method["tuning"]["validation_loss"]["uniform"][1] = [float("inf"), 1.0]
    method["criterion"]["slope_decades_per_layer"] = float("nan")
    text = render(results, [], "minidl compare", "a net")
    assert "uniform diverged in 2 of 5 seeds: from step 5 on, at the earliest, its loss is not finite." in text
    assert ">+\N{INFINITY} (+\N{INFINITY} to +\N{INFINITY})</td>" in text
    assert ">diverged</td></tr></tbody>" in text  # of the tuning
    assert "0.5 \u00d7 none that is finite" in text
    assert "no slope to be fitted" in text
    assert "nan" not in text.lower().replace("singh", "")


def test_a_command_with_characters_that_no_page_may_hold_is_written_out():
    command = "minidl compare --out 'r\udcff\x1b\x00'"
    text = render(make_results(), [], command, "a net")
    assert r"--out &#x27;r\udcff\x1b\x00&#x27;" in text
    text.encode("utf-8")
