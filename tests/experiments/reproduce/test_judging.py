"""All findings, in the order of the claims, and the rules in words."""

from copy import deepcopy

import pytest

from minidl.experiments.reproduce.claims import CLAIMS, CONFIRMED, NOT_CONFIRMED, UNDECIDED
from minidl.experiments.reproduce.judging import how_judged, judge_all


def test_findings_come_in_the_order_of_the_claims(collected_case):
    found = [one.claim for one in judge_all(collected_case("clear gain", methods=("sgd", "adagrad")))]
    assert found == [claim for claim in CLAIMS if claim != "saddle" for _ in range(2)]


def with_best_at_the_edge(case, rate):
    case = deepcopy(case)
    for run in case["runs"]:
        if run["role"] == "tuning" and run["rate"] == rate and run["base_rate"] == 0.03:
            run["validation"]["loss"] = 0.001
    return [one for one in judge_all(case) if one.claim in ("accuracy", "time")]


BEYOND = "the best rate for {} is at the edge of its grid: a better one may lie beyond"


def test_where_the_best_rate_ends_its_grid_the_finding_says_so(collected_case):
    assert not any("edge" in one.sentence for one in judge_all(collected_case("clear gain")))
    found = with_best_at_the_edge(collected_case("clear gain"), "ln")
    beside = f"(T{BEYOND.format('a rate per layer')[1:]}.)"
    assert [(one.word, one.sentence.endswith(beside)) for one in found] == [(CONFIRMED, True)] * 2


@pytest.mark.parametrize(("rate", "named"), [("uniform", "one rate"), ("per-step", "one varying rate")])
def test_nothing_is_confirmed_where_a_rivals_best_rate_ends_its_grid(collected_case, rate, named):
    found = with_best_at_the_edge(collected_case("clear gain"), rate)
    why = f"It helps at the recipe's rate; each at its best rate it helps, but {BEYOND.format(named)}."
    assert [(one.word, one.sentence.endswith(why)) for one in found] == [(UNDECIDED, True)] * 2


def test_nothing_is_refuted_where_the_best_rate_per_layer_ends_its_grid(collected_case):
    assert [one.word for one in judge_all(collected_case("no difference")) if one.claim == "accuracy"] == [
        NOT_CONFIRMED
    ]
    found = with_best_at_the_edge(collected_case("no difference"), "ln")[0]
    assert (found.word, BEYOND.format("a rate per layer") in found.sentence) == (UNDECIDED, True)


def test_the_edge_of_one_rate_counts_for_time_which_is_measured_by_what_one_rate_reaches(collected_case):
    accuracy, time = with_best_at_the_edge(collected_case("no difference"), "uniform")
    assert (accuracy.word, time.word) == (NOT_CONFIRMED, UNDECIDED)
    assert time.sentence.endswith(f"{BEYOND.format('one rate')}.")


def test_the_rules_have_the_numbers_that_they_use():
    text = " ".join(block.text for block in how_judged()[0].blocks)
    for number in ("0.05", "fewer than 5 seeds", "10 times", "2 times", "1.1 times", "2%", "50%", "10%"):
        assert number in text
