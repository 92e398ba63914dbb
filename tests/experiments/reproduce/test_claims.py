"""The words of a judgement, and when the seeds establish something."""

import math

import pytest

from minidl.experiments.reproduce.claims import (
    CLAIMS,
    CONFIRMED,
    ESTABLISHED,
    FEW,
    NOT_CONFIRMED,
    OPEN,
    REFUTED,
    UNDECIDED,
    Finding,
    exceeds,
    fewest,
    overall,
    seeds_words,
    word_counts,
)


@pytest.mark.parametrize(
    ("values", "shown"),
    [
        ([2, 2.1, 1.9, 2, 2], ESTABLISHED),
        ([0, 0.1, -0.1, 0, 0], REFUTED),
        ([2, 0, 2, 0, 1.1], OPEN),
        ([2, 2, 2, 2], FEW),
        ([], FEW),
        ([2, 2, 2, 2, math.nan], FEW),
        ([math.inf] * 5, ESTABLISHED),
        ([-math.inf] * 5, REFUTED),
    ],
)
def test_five_seeds_that_agree_establish_something(values, shown):
    assert exceeds(values, 1.0) == shown


def test_the_fewest_seeds_are_five_and_fewer_are_said_to_be_too_few():
    assert fewest() == 5
    assert seeds_words(5) == "5 seeds"
    assert seeds_words(1) == "1 seed (5 that agree are needed)"


def found(word):
    return Finding("time", "mnist", "quick", "sgd", word, "")


def test_all_findings_in_a_few_words():
    assert overall([]) == "not run"
    assert overall([found(CONFIRMED)] * 3) == "confirmed"
    mixed = [found(UNDECIDED), found(CONFIRMED), found(CONFIRMED), found(NOT_CONFIRMED)]
    assert overall(mixed) == "confirmed in 2, not confirmed in 1, undecided in 1 of 4"
    assert word_counts(mixed) == {CONFIRMED: 2, NOT_CONFIRMED: 1, UNDECIDED: 1}


def test_a_finding_is_plain_data_too():
    assert found(CONFIRMED).as_dict()["runs"] == []
    assert len(CLAIMS) == 6
