"""The claims about layers, on made-up runs whose gradients are known."""

import re
from copy import deepcopy

import pytest

from minidl.experiments.reproduce.claims import (
    AHEAD,
    CONFIRMED,
    LARGER_RATE,
    NOT_CONFIRMED,
    UNDECIDED,
    UNLEARNED,
    UNRUN,
)
from minidl.experiments.reproduce.layer_claims import judge_layers


def words(collected):
    return {one.claim: one.word for one in judge_layers(collected, "sgd")}


def finding(collected, claim):
    return next(one for one in judge_layers(collected, "sgd") if one.claim == claim)


def test_a_vanishing_gradient_that_the_rule_makes_up_for(collected_case):
    assert words(collected_case("clear gain")) == dict.fromkeys(["gradients", "slow", "speed"], CONFIRMED)


def test_its_numbers_are_those_of_the_runs(collected_case):
    """A decade a layer in five layers: the halves lie three decades apart."""
    gradients = finding(collected_case("clear gain"), "gradients")
    assert gradients.numbers["start"] == pytest.approx([3.0] * 5, abs=0.1)
    assert gradients.numbers["way"] == pytest.approx([3.0] * 5, abs=0.1)
    assert "5 seeds: at the start the gradient's norm is 0.00031 near the input and 0.32 near the output" in (
        gradients.sentence
    )
    assert gradients.runs == tuple(f"sgd-uniform-recipe-seed{k}" for k in range(5))
    speed = finding(collected_case("clear gain"), "speed")
    near, far = speed.numbers["multipliers"]
    assert near > 2 * far > 2
    assert len(speed.numbers["near_input"]["constant"]) == 5


def test_level_gradients_are_not_called_vanishing(collected_case):
    found = words(collected_case("clear gain", vanishing=0.0))
    assert (found["gradients"], found["slow"]) == (NOT_CONFIRMED, NOT_CONFIRMED)


def test_a_factor_of_three_is_slow_but_not_extreme(collected_case):
    found = words(collected_case("clear gain", vanishing=0.2))
    assert (found["gradients"], found["slow"]) == (NOT_CONFIRMED, CONFIRMED)


def test_a_speed_that_one_larger_rate_has_too_is_the_larger_rate(collected_case):
    speed = finding(collected_case("clear gain", per_layer=False), "speed")
    assert speed.word == LARGER_RATE
    assert speed.sentence.endswith("As fast or faster: one larger rate and one varying rate.")


def test_without_controls_the_speed_has_no_known_reason(collected_case):
    speed = finding(collected_case("missing arms"), "speed")
    assert speed.word == UNDECIDED
    assert "No larger rate without differences between layers was run" in speed.sentence


NO_MEASURE = "A network that learns nothing, or stands still, is no measure of speed: "


def test_a_control_that_learned_nothing_decides_nothing_about_speed(collected_case):
    """Its layers stand still: any run is faster than that, and it proves no merit of a rate per layer."""
    for per_layer in (True, False):
        speed = finding(collected_case("controls learn nothing", per_layer=per_layer), "speed")
        assert speed.word == UNDECIDED
        assert speed.sentence.endswith(f"{NO_MEASURE}one larger rate and one varying rate.")


@pytest.mark.parametrize(
    ("case", "named"), [("nothing learned", "one rate and a rate per layer"), ("one rate learns nothing", "one rate")]
)
def test_a_network_that_learned_nothing_has_no_speed(collected_case, case, named):
    for per_layer in (True, False):  # faster or slower than the controls
        speed = finding(collected_case(case, per_layer=per_layer), "speed")
        assert speed.word == UNDECIDED
        assert speed.sentence.endswith(f"{NO_MEASURE}{named}.")


def test_a_control_that_stands_still_decides_nothing_about_speed_though_it_has_learned(collected_case):
    case = deepcopy(collected_case("clear gain"))
    for run in case["runs"]:
        if run["role"] == "report" and run["rate"] == "constant":
            run["layers"]["relative_updates"]["middle"] = [0.0] * 5
    speed = finding(case, "speed")
    assert speed.word == UNDECIDED
    assert "times that of one varying rate (one larger rate: stands still in most seeds)." in speed.sentence
    assert speed.sentence.endswith(f"{NO_MEASURE}one larger rate.")


def test_a_rate_per_layer_that_stands_still_is_no_measure_of_speed(collected_case):
    """Not a proof that it is no faster: nothing moves there at all."""
    case = deepcopy(collected_case("clear gain"))
    for run in case["runs"]:
        if run["role"] == "report" and run["rate"] == "ln":
            run["layers"]["relative_updates"]["middle"][0] = 0.0
    speed = finding(case, "speed")
    assert speed.word == UNDECIDED
    assert speed.sentence.endswith(f"{NO_MEASURE}a rate per layer.")


def test_seeds_in_which_nothing_moves_are_said_to_be_missing(collected_case):
    case = deepcopy(collected_case("clear gain"))
    for run in case["runs"]:
        if run["role"] == "report" and run["seed"] == 0:
            run["layers"]["relative_updates"]["middle"] = [0.0] * 5
    speed = finding(case, "speed")
    assert speed.word == UNDECIDED
    assert speed.sentence.endswith("In some of these seeds neither arm moves there, or it was not recorded.")
    for run in case["runs"]:
        if run["role"] == "report":
            run["layers"]["relative_updates"]["middle"] = [0.0] * 5
    assert finding(case, "speed").word == UNDECIDED  # in no arm


def test_a_control_on_few_seeds_is_not_said_to_stand_still(collected_case):
    gone = tuple(f"sgd-constant-recipe-seed{k}" for k in range(3))
    speed = finding(collected_case("clear gain", missing=gone), "speed")
    assert (speed.word, speed.because) == (UNDECIDED, UNRUN)
    assert speed.sentence.endswith("Against one larger rate the seeds prove nothing.")


def test_seeds_that_stand_still_are_not_runs_that_are_missing(collected_case):
    case = deepcopy(collected_case("clear gain"))
    for run in case["runs"]:
        if run["role"] == "report" and run["seed"] < 2:
            run["layers"]["relative_updates"]["middle"] = [0.0] * 5
    assert [one.because for one in judge_layers(case, "sgd")] == ["", "", ""]


def test_what_was_not_recorded_is_said(collected_case):
    case = deepcopy(collected_case("clear gain"))
    for run in case["runs"]:
        if run["role"] == "report":
            for name in ("norms", "relative_updates"):
                run["layers"][name] = dict.fromkeys(("first", "middle"), [None] * 5)
    gradients, slow, speed = judge_layers(case, "sgd")
    assert gradients.sentence == "5 seeds: no norm was recorded in most of them."
    assert slow.sentence == "5 seeds: what a step changes was not recorded in most of them."
    assert {one.word for one in (gradients, slow, speed)} == {UNDECIDED}
    assert {one.because for one in (gradients, slow, speed)} == {""}


def test_what_speed_is_undecided_by(collected_case):
    assert finding(collected_case("missing arms"), "speed").because == UNRUN
    assert finding(collected_case("nothing learned"), "speed").because == UNLEARNED
    assert finding(collected_case("clear gain", seeds=2), "speed").because == UNRUN
    case = deepcopy(collected_case("clear gain"))
    for run in case["runs"]:
        if run["id"] == "sgd-per-step-recipe-seed0":
            run["layers"]["relative_updates"]["middle"] = [10.0] * 5
    assert finding(case, "speed").because == AHEAD
    for run in case["runs"]:
        if run["id"] == "sgd-uniform-recipe-seed0":
            run["layers"]["relative_updates"]["middle"] = [10.0] * 5
    assert (finding(case, "speed").word, finding(case, "speed").because) == (UNDECIDED, "")


def test_a_gradient_that_vanished_is_said(collected_case):
    case = deepcopy(collected_case("clear gain"))
    said = "too small for its dtype: in seed 1 at 50% of the layers and steps that were recorded.)"
    for rate, claims in (("ln", ["speed"]), ("uniform", ["gradients", "speed"])):
        run = next(run for run in case["runs"] if run["id"] == f"sgd-{rate}-recipe-seed1")
        run["layers"]["floored"] = run["layers"]["steps"] * 5 // 2
        assert [one.claim for one in judge_layers(case, "sgd") if said in one.sentence] == claims


def test_a_network_that_one_rate_does_not_train_is_called_so(collected_case):
    said = "(Under one rate this network learns nothing.)"
    found = judge_layers(collected_case("nothing learned"), "sgd")
    assert [one.claim for one in found if one.sentence.endswith(said)] == ["gradients", "slow"]


def test_a_step_that_single_precision_does_not_see_is_said(collected_case):
    case = deepcopy(collected_case("clear gain"))
    words = (
        "(Under one rate a step changes the layers near the input by 1e-11 of their weights, which is lost in single"
    )
    assert not any(words in one.sentence for one in judge_layers(case, "sgd"))
    for run in case["runs"]:
        if run["role"] == "report" and run["rate"] == "uniform":
            run["layers"]["relative_updates"]["middle"] = [1e-11, 1e-11, 1e-3, 1e-3, 1e-3]
    assert [one.claim for one in judge_layers(case, "sgd") if words in one.sentence] == ["slow", "speed"]


def test_large_factors_are_written_out(collected_case):
    case = deepcopy(collected_case("clear gain"))
    for run in case["runs"]:
        if run["role"] == "report" and run["rate"] == "constant":
            run["layers"]["relative_updates"]["middle"] = [1e-12] * 5
    assert re.search(r"[0-9],[0-9]{3},[0-9]{3} times that of one larger rate", finding(case, "speed").sentence)


def test_one_seed_decides_nothing(collected_case):
    found = judge_layers(collected_case("clear gain", seeds=1), "sgd")
    assert {one.word for one in found} == {UNDECIDED}
    assert all("1 seed (5 that agree are needed)" in one.sentence for one in found)


def test_without_the_base_method_nothing_is_judged(collected_case):
    found = judge_layers(collected_case("clear gain", arms=("ln",)), "sgd")
    assert {one.word for one in found} == {UNDECIDED}
    assert all(one.sentence == "Not run, or not for the same seeds: one rate." for one in found)


def test_a_method_that_was_not_run_has_no_findings(collected_case):
    assert judge_layers(collected_case("clear gain"), "adagrad") == []
