"""Runs of one seed that begin with other weights are no pair, and are told apart."""

import copy

import pytest

from minidl.experiments.reproduce.pairing import apart, start_of, unpaired


def results(*starts, seed=0, commit="abc"):
    return {
        f"run{k}-seed{seed}": {
            "spec": {"seed": seed, "recipe": "mnist"},
            "checks": {} if start is None else {"first_weights": start},
            "versions": {"commit": commit, "minidl": "0.1"},
        }
        for k, start in enumerate(starts)
    }


def test_what_is_not_known_is_no_odd_one_out():
    assert unpaired(results("a", None, "a", None)) == {}
    assert unpaired(results(None, None)) == {}
    assert unpaired({}) == {}
    assert [start_of(found) for found in results("a", None).values()] == ["a", None]


def test_a_saddle_is_known_by_its_decimals_since_its_last_bits_depend_on_the_processor():
    checks = {"first_weights": "bits", "begins_with": "decimals"}
    assert start_of({"spec": {"recipe": "saddle"}, "checks": checks}) == "decimals"
    assert start_of({"spec": {"recipe": "mnist"}, "checks": checks}) == "bits"


def test_other_seeds_begin_with_other_weights():
    assert unpaired(results("a", "a", seed=0) | results("b", "b", seed=1)) == {}


@pytest.mark.parametrize("starts", [("b", "a", "a"), ("a", "b", "a"), ("a", "a", "b")])
def test_the_fewer_are_left_out_and_both_sides_are_named(starts):
    found = results(*starts)
    odd = f"run{starts.index('b')}-seed0"
    found[odd] = copy.deepcopy(found[odd]) | {"versions": {"commit": None, "minidl": "0.2"}}
    assert unpaired(found) == {
        odd: "begins with other weights (minidl 0.2) than 2 runs of its seed (minidl abc), and is no pair of theirs: "
        "delete the folders of the ones or of the others, and they are done again"
    }


def test_of_two_equal_sides_one_is_left_out():
    assert len(unpaired(results("a", "b"))) == 1
    assert "than 1 run of its seed" in next(iter(unpaired(results("a", "b")).values()))


def test_parts_are_apart_in_the_seeds_that_begin_otherwise():
    def runs(*starts):
        return [{"seed": seed, "begins_with": start} for seed, start in starts]

    assert apart(runs((0, "a"), (1, "b")), runs((0, "a"), (1, "c"), (2, "d"))) == [1]
    assert apart(runs((0, "a"), (0, None)), runs((0, None), (0, "b"), (0, None))) == [0]
    assert apart(runs((0, "a")), runs((0, None))) == []
    assert apart([{"seed": 0}], runs((0, "a"))) == []
