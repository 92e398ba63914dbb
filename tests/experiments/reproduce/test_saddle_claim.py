"""The claim about saddle points, on made-up runs that leave when they are told to."""

import copy

import pytest

from minidl.experiments.reproduce.claims import CONFIRMED, LARGER_RATE, NOT_CONFIRMED, UNDECIDED
from minidl.experiments.reproduce.evidence import arms_of
from minidl.experiments.reproduce.judging import judge_all
from minidl.experiments.reproduce.saddle_claim import about_the_saddle, escape_table, escapes, judge_escape
from tests.experiments.reproduce.factory import LEAVING


@pytest.mark.parametrize(
    ("outcome", "word"),
    [("layers", CONFIRMED), ("larger rate", LARGER_RATE), ("never", NOT_CONFIRMED)],
)
def test_each_outcome_gets_its_word(collected_case, outcome, word):
    found = judge_all(collected_case("clear gain", recipe="saddle", saddle=outcome))
    assert [(one.claim, one.word) for one in found] == [("saddle", word)]  # it is asked nothing else


def test_the_sentence_has_the_steps(collected_case):
    found = judge_escape(collected_case("clear gain", recipe="saddle", saddle="larger rate"), "sgd")[0]
    steps = LEAVING["larger rate"]
    assert (
        f"5 seeds: steps until it has left: a rate per layer {steps['ln'] + 2}, one rate {steps['uniform'] + 2:,}"
        in (found.sentence)
    )


def test_runs_that_are_thrown_up_the_walls_are_named(collected_case):
    collected = copy.deepcopy(collected_case("clear gain", recipe="saddle", saddle="larger rate"))
    assert "Thrown" not in judge_escape(collected, "sgd")[0].sentence
    for run in collected["runs"]:
        if run["role"] == "report" and run["base"] == "recipe":
            if run["rate"] == "constant":
                run["saddle"] |= {"highest": 1.6, "up_until": 20}
            if run["rate"] == "per-step":
                run["saddle"] |= {"highest": 3.0, "up_until": 150}
    found = judge_escape(collected, "sgd")[0]
    assert found.sentence.endswith(
        'so that the loss rises by more than 1%: "one larger rate" and "one varying rate". '
        'Still up there half-way: "one varying rate".'
    )
    rows = {row[0]: row[4:6] for row in escape_table(escapes(arms_of(collected, "sgd"))).rows}
    assert rows["one larger rate"] == ("6.7%", "20")
    assert rows["one varying rate"] == ("100.0%", "150")
    assert rows["one rate"] == ("0.0%", "0")


def test_one_seed_decides_nothing(collected_case):
    found = judge_escape(collected_case("clear gain", recipe="saddle", saddle="layers", seeds=1), "sgd")
    assert found[0].word == UNDECIDED


def test_other_runs_have_left_no_saddle(collected_case):
    assert judge_escape(collected_case("clear gain"), "sgd") == []
    assert escapes(arms_of(collected_case("clear gain"), "sgd")) == {}


def test_the_saddle_in_words_and_the_table(collected_case):
    arms = escapes(arms_of(collected_case("clear gain", recipe="saddle", saddle="never"), "sgd"))
    text = about_the_saddle(arms)
    assert "At the saddle the loss is 1.5. 21 directions lead down; along the steepest the curvature is -0.03" in text
    assert "900 times flatter than the steepest wall" in text
    rows = {row[0]: row[3] for row in escape_table(arms).rows}
    assert rows["a rate per layer"] == "never"
    assert rows["one rate"] == "802 (800\u2013804)"


def test_runs_that_are_up_the_walls_only_at_first_are_told(collected_case):
    collected = collected_case("clear gain", recipe="saddle", saddle="layers", arms=("uniform", "ln"))
    for run in collected["runs"]:
        if run["rate"] == "ln":
            run["saddle"] |= {"up_until": 20, "left_at": 200}
        else:
            run["saddle"] |= {"up_until": 0, "left_at": 800}
    found = judge_escape(collected, "sgd")[0]
    assert found.sentence.endswith('so that the loss rises by more than 1%: "a rate per layer".')
    for run in collected["runs"]:
        if run["rate"] == "ln":
            run["saddle"] |= {"left_at": None}  # but soon came down
    found = judge_escape(collected, "sgd")[0]
    assert found.sentence.endswith('so that the loss rises by more than 1%: "a rate per layer".')
    for run in collected["runs"]:
        run |= {"diverged_at": 21 if run["rate"] == "ln" else None}
    assert judge_escape(collected, "sgd")[0].sentence.endswith('Still up there half-way: "a rate per layer".')


def test_the_mean_factor_of_two_seeds_lies_between_theirs(collected_case):
    arms = escapes(arms_of(collected_case("clear gain", recipe="saddle", saddle="layers", seeds=2), "sgd"))
    for run, factor in zip(arms["ln"].values(), (2.0, 5.0), strict=True):
        run["mean_multiplier"] = factor
    rows = {row[0]: row[2] for row in escape_table(arms).rows}
    assert rows["a rate per layer"] == "3.5"
