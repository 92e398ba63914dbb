"""The claims about accuracy and time: every made-up outcome gets the word that it was made for."""

import math

import pytest

from minidl.experiments.reproduce.claims import CONFIRMED, LARGER_RATE, NOT_CONFIRMED, UNDECIDED
from minidl.experiments.reproduce.comparisons import numbers_of
from minidl.experiments.reproduce.evidence import arms_of
from minidl.experiments.reproduce.outcome_claims import ITERATIONS, judge_outcomes


def findings(collected):
    return {one.claim: one for one in judge_outcomes(collected, "sgd")}


@pytest.mark.parametrize(
    ("case", "word"),
    [
        ("clear gain", CONFIRMED),
        ("larger rate", LARGER_RATE),
        ("only when untuned", LARGER_RATE),
        ("no difference", NOT_CONFIRMED),
        ("diverges", NOT_CONFIRMED),
        ("missing arms", UNDECIDED),
        ("nothing learned", UNDECIDED),
    ],
)
def test_each_outcome_gets_its_word(collected_case, case, word):
    found = findings(collected_case(case))
    assert (found["accuracy"].word, found["time"].word) == (word, word)


def test_one_seed_decides_nothing(collected_case):
    for one in findings(collected_case("clear gain", seeds=1)).values():
        assert one.word == UNDECIDED
        assert one.sentence.startswith("1 seed (5 that agree are needed): ")


def test_the_sentence_has_the_numbers(collected_case):
    found = findings(collected_case("clear gain"))
    assert "5 seeds: right answers at the end: a rate per layer 9" in found["accuracy"].sentence
    assert "Each at its own best rate, which is the recipe's, 5 seeds: right answers" in found["accuracy"].sentence
    assert "one larger rate" in found["time"].sentence
    assert found["accuracy"].numbers["medians"]["ln"] == pytest.approx(0.05, rel=0.03)
    assert (
        "At the recipe's rate: a rate per layer helps. A rate per layer beats one rate (median gain"
        in (found["accuracy"].statistics[0])
    )
    assert "layer-specific" not in " ".join(found["accuracy"].statistics)
    assert "times those of one rate" in " ".join(found["time"].statistics)


def test_medians_are_of_the_seeds_that_are_compared(collected_case):
    """A control of which one run is missing takes its seed from all, if enough are left to decide."""
    found = findings(collected_case("clear gain", seeds=6, missing=("sgd-constant-recipe-seed4",)))
    assert found["accuracy"].sentence.startswith("5 seeds: right answers at the end: a rate per layer")
    assert "one larger rate" in found["accuracy"].sentence


def test_a_control_of_too_few_seeds_counts_as_not_run(collected_case):
    found = findings(collected_case("clear gain", missing=("sgd-constant-recipe-seed4",)))
    assert found["accuracy"].sentence.startswith("5 seeds: ")
    assert found["accuracy"].sentence.endswith("One of the two controls was not run, or on too few seeds.")
    assert found["accuracy"].word == UNDECIDED


def test_what_diverged_never_gets_there(collected_case):
    found = findings(collected_case("diverges"))
    assert "a rate per layer diverged" in found["accuracy"].sentence
    assert "a rate per layer never" in found["time"].sentence
    assert found["accuracy"].sentence.endswith(
        "It hurts at the recipe's rate; each at its best rate, one rate does as well."
    )
    arms = arms_of(collected_case("diverges"), "sgd")
    assert all(map(math.isinf, numbers_of(arms, "ln", ITERATIONS)))
    assert all(map(math.isfinite, numbers_of(arms, "uniform", ITERATIONS)))


def test_nobody_is_compared_where_nothing_was_learned(collected_case):
    assert "No arm learned the task" in findings(collected_case("nothing learned"))["time"].sentence


def test_where_one_rate_learns_nothing_nobody_is_sooner_there(collected_case):
    """To be as good as guessing takes no time, so all would be called equally fast."""
    found = findings(collected_case("one rate learns nothing"))
    assert found["time"].word == UNDECIDED
    assert "One rate learned nothing" in found["time"].sentence
    assert "right answers at the end: a rate per layer 9" in found["accuracy"].sentence


def test_a_photograph_a_class_says_nothing_about_accuracy(collected_case):
    assert judge_outcomes(collected_case("clear gain", recipe="imagenet"), "sgd") == []
