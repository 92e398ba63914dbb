"""All findings, in the order of the claims, and the rules in words."""

from copy import deepcopy

from minidl.experiments.reproduce.claims import CLAIMS
from minidl.experiments.reproduce.judging import how_judged, judge_all


def test_findings_come_in_the_order_of_the_claims(collected_case):
    found = [one.claim for one in judge_all(collected_case("clear gain", methods=("sgd", "adagrad")))]
    assert found == [claim for claim in CLAIMS if claim != "saddle" for _ in range(2)]


def test_where_the_best_rate_ends_its_grid_the_finding_says_so(collected_case):
    case = deepcopy(collected_case("clear gain"))
    beside = "(The best rate for one rate is at the edge of its grid: a better one may lie beyond.)"
    assert not any(beside in one.sentence for one in judge_all(case))
    for run in case["runs"]:
        if run["role"] == "tuning" and run["rate"] == "uniform" and run["base_rate"] == 0.03:
            run["validation"]["loss"] = 0.001
    assert [one.claim for one in judge_all(case) if one.sentence.endswith(beside)] == ["accuracy", "time"]


def test_the_rules_have_the_numbers_that_they_use():
    text = " ".join(block.text for block in how_judged()[0].blocks)
    for number in ("0.05", "fewer than 5 seeds", "10 times", "2 times", "1.1 times", "2%", "50%", "10%"):
        assert number in text
