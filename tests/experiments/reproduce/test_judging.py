"""All findings, in the order of the claims, and the rules in words."""

from minidl.experiments.reproduce.claims import CLAIMS
from minidl.experiments.reproduce.judging import how_judged, judge_all


def test_findings_come_in_the_order_of_the_claims(collected_case):
    found = [one.claim for one in judge_all(collected_case("clear gain", methods=("sgd", "adagrad")))]
    assert found == [claim for claim in CLAIMS if claim != "saddle" for _ in range(2)]


def test_the_rules_have_the_numbers_that_they_use():
    text = " ".join(block.text for block in how_judged()[0].blocks)
    for number in ("0.05", "fewer than 5 seeds", "10 times", "2 times", "1.1 times", "2%", "50%", "10%"):
        assert number in text
