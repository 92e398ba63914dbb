"""The answer in two sentences: right for each verdict, and what is fast told apart from what is good."""

from typing import Any

import pytest

from minidl.experiments.answer import answer, in_detail, later_half, what_it_does
from minidl.experiments.results import NEVER, STEPS
from minidl.experiments.verdict import DIVERGED, judge

SEEDS = [0.00, 0.01, -0.01, 0.02, -0.02]
LATE = [9, 9, 9, 9, 9]


def found(steps: dict[str, Any] | None = None, same: dict[str, str] | None = None, **loss: float) -> dict[str, Any]:
    """A method's results in which an arm's final losses, and its wrong answers, are so many on average."""
    losses = {arm.replace("_", "-"): [level + d for d in SEEDS] for arm, level in loss.items()}
    steps = {arm: (steps or {}).get(arm, LATE) for arm in losses}
    own = {arm for arm in losses if arm not in (same or {})}
    arms = {
        arm: {
            "same_runs_as": (same or {}).get(arm),
            "base_rate": 1.0 if arm == "uniform-tuned" else 0.5,
            "mean_multiplier": [3.0] * 5,
            "test_accuracy": [1 - x for x in losses[arm]],
            "test_loss": losses[arm],
            "steps_to_target": steps[arm],
        }
        for arm in losses
    }
    later = {arm: [float("inf") if s is None else s for s in steps[arm]] for arm in own}
    verdicts = {
        "test loss": judge({arm: losses[arm] for arm in own}, DIVERGED).as_dict(),
        "error rate": judge({arm: losses[arm] for arm in own}).as_dict(),
        STEPS: judge(later, NEVER).as_dict(),
    }
    return {"arms": arms, "verdicts": verdicts}


def test_a_larger_rate_that_does_as_well_is_the_answer_no():
    first, _ = answer(found(layer_specific=0.05, uniform=0.30, constant=0.05, uniform_tuned=0.05), 5)
    assert first == (
        "On this network: no. A rate per layer reaches 95.0% where one rate of 0.5 reaches 70.0%; but one rate of 1 "
        "reaches 95.0%, with as small a loss."
    )


def test_beating_every_control_is_the_answer_yes():
    first, second = answer(
        found({"layer-specific": [5] * 5}, layer_specific=0.05, uniform=0.30, constant=0.2, uniform_tuned=0.15), 5
    )
    assert first == (
        "On this network: yes. A rate per layer reaches 95.0% where one rate of 0.5 reaches 70.0%, and the best larger "
        "rate, one rate of 1, 85.0%."
    )
    assert second.startswith("It is faster on the way, and it is ahead at the end too: it needs 5 steps to 90%, all ")


def test_a_uniform_rate_that_is_better_or_alike_is_the_answer_no():
    assert answer(found(layer_specific=0.30, uniform=0.05, constant=0.4), 5)[0].startswith(
        "On this network: no, it hurts."
    )
    first, _ = answer(found(layer_specific=0.30, uniform=0.30, constant=0.3), 5)
    assert first.endswith("where one rate of 0.5 reaches 70.0%: too small a difference to matter.")


def test_what_the_seeds_do_not_settle_is_not_decided():
    results = found(layer_specific=0.20, uniform=0.40, constant=0.30)
    results["verdicts"]["test loss"] = judge(
        {"layer-specific": [0.2, 0.2, 0.2, 0.2, 0.5], "uniform": [0.4] * 5, "constant": [0.3] * 5}
    ).as_dict()
    first, _ = answer(results, 5)
    assert first == (
        "On this network: not decided. A rate per layer reaches 80.0% where one rate of 0.5 reaches 60.0%, and one "
        "rate of 1.5 70.0%; 5 seeds do not settle it."
    )


def test_being_fast_and_ending_no_better_are_told_apart():
    fast = {"layer-specific": [5, 5, 5, 5, 5]}
    _, second = answer(found(fast, layer_specific=0.05, uniform=0.30, constant=0.05), 5)
    assert (
        second
        == "It is faster on the way, but it does not end better: it needs 5 steps to 90%, all others need 9 or more."
    )


@pytest.mark.parametrize(
    ("own", "constant", "words"),
    [
        ([9] * 5, [7] * 5, "It is no faster on the way: it needs 9 steps to 90%, constant 7 or more."),
        ([7] * 5, [7] * 5, "It is no faster on the way: like constant it needs 7 steps to 90%."),
        ([None] * 5, [7] * 5, "It does not reach 90% in most seeds; constant does."),
    ],
)
def test_being_no_faster_is_said(own, constant, words):
    steps = {"layer-specific": own, "constant": constant, "uniform": [None] * 5}
    assert answer(found(steps, layer_specific=0.05, uniform=0.30, constant=0.05), 5)[1].startswith(words)


def test_never_is_never_a_number():
    never = dict.fromkeys(("uniform", "constant"), [None] * 5)
    results = found(never, layer_specific=0.05, uniform=0.30, constant=0.05)
    assert answer(results, 5)[1].endswith("it needs 9 steps to 90%, no other arm does in most seeds.")
    for pairing in results["verdicts"][STEPS]["pairings"]:
        assert (pairing["other_loss"], pairing["median_gain"]) == (float("inf"), float("inf"))
    assert "never got there: uniform in 5 seeds" in results["verdicts"][STEPS]["reason"]
    assert later_half([None, 3, 4]) == 4
    assert later_half([None, None, 4]) == float("inf")


def test_the_details_say_how_sure_the_speed_is():
    fast = {"layer-specific": [5, 5, 5, 5, 5], "constant": [5, 9, 5, 9, 4]}
    speed, end = in_detail(found(fast, layer_specific=0.05, uniform=0.30, constant=0.05))
    assert speed == (
        "On the way to 90% a rate per layer is provably sooner than uniform; "
        "against constant these seeds prove nothing."
    )
    assert "Medians: layer-specific 0.050; uniform 0.300; constant 0.050." in end


def test_loss_and_accuracy_that_disagree_are_both_named():
    results = found(layer_specific=0.05, uniform=0.30, constant=0.05)
    results["verdicts"]["error rate"]["pairings"][1]["outcome"] = "beats"
    assert in_detail(results)[-1].startswith(
        "Counted by wrong answers alone the outcome against constant is another one"
    )


def test_without_a_verdict_or_without_learning_there_is_no_answer():
    assert answer({"arms": {}, "verdicts": None}, 5) == ["No answer: it needs the arms layer-specific and uniform."]
    results = found(layer_specific=0.9, uniform=0.9)
    results["verdicts"]["test loss"]["reason"] = "No arm learned the task."
    assert answer(results, 5) == ["No answer. No arm learned the task."]
    assert in_detail(results) == []


def test_each_arm_says_what_it_does():
    results = found(
        same={"constant-tuned": "constant"}, layer_specific=0.1, uniform=0.2, constant=0.1, uniform_tuned=0.1,
        constant_tuned=0.1,
    )  # fmt: skip
    assert {arm: what_it_does(arm, results) for arm in results["arms"]} == {
        "layer-specific": "each layer at 0.5 \u00d7 (1 + ln(1 + 1/|g|)) of its own gradient g: 3.00 on average",
        "uniform": "every layer at 0.5",
        "constant": "every layer at 0.5 \u00d7 3.00, the mean of layer-specific's factors",
        "uniform-tuned": "every layer at 1, the best of the rates that were tried",
        "constant-tuned": "the same runs as constant: its own best rate is 0.5 too",
    }
