"""Two comparisons make a word: at the recipe's rate, and each at its best."""

import math
from dataclasses import replace

import pytest

from minidl.experiments import verdict
from minidl.experiments.reproduce.claims import AHEAD, CONFIRMED, LARGER_RATE, NOT_CONFIRMED, UNDECIDED, UNRUN, WORSE
from minidl.experiments.reproduce.comparisons import (
    RECIPE,
    Measure,
    combined,
    compare,
    compared,
    numbers_of,
    paired_arms,
    steps_summary,
)
from minidl.experiments.reproduce.grids import Grid
from minidl.experiments.verdict import Verdict

X = Measure(lambda run, base: run["x"], "lost", "the numbers", lambda values: f"{sum(values):g}")
WHERE = {"recipe": "mnist", "scale": "quick", "method": "sgd"}


def some_arms(**numbers):
    """{arm: a number a seed} as runs."""
    return {arm.replace("_", "-"): {s: {"id": f"{arm}{s}", "x": x} for s, x in enumerate(row)}
            for arm, row in numbers.items()}  # fmt: skip


DONE = {rule: Grid({0.01: [2.0], 0.1: [1.0], 1.0: [2.0]}, 1) for rule in ("uniform", "ln", "per-step")}
AT_EDGE = Grid({0.01: [3.0], 0.1: [2.0], 1.0: [1.0]}, 1)
NOT_DONE = Grid({0.01: [3.0], 0.1: [], 1.0: [1.0]}, 1)


def a_verdict(kind):
    return None if kind is None else Verdict(kind, "", ())


@pytest.mark.parametrize(
    ("recipe", "tuned", "word"),
    [
        (verdict.HELPS, verdict.HELPS, CONFIRMED),
        (verdict.HELPS, None, UNDECIDED),
        (verdict.HELPS, verdict.UNDECIDED, UNDECIDED),
        (verdict.HELPS, verdict.NO_DIFFERENCE, LARGER_RATE),
        (verdict.HELPS, verdict.LARGER_RATE, LARGER_RATE),
        (verdict.HELPS, verdict.HURTS, LARGER_RATE),
        (verdict.LARGER_RATE, None, UNDECIDED),
        (verdict.LARGER_RATE, verdict.HELPS, UNDECIDED),
        (verdict.NO_DIFFERENCE, verdict.NO_DIFFERENCE, NOT_CONFIRMED),
        (verdict.NO_DIFFERENCE, verdict.HELPS, UNDECIDED),
        (verdict.HURTS, None, UNDECIDED),
        (verdict.NO_DIFFERENCE, None, UNDECIDED),
        (verdict.LARGER_RATE, verdict.UNDECIDED, UNDECIDED),
        (verdict.LARGER_RATE, verdict.HURTS, LARGER_RATE),
        (verdict.LARGER_RATE, verdict.NO_DIFFERENCE, LARGER_RATE),
        (verdict.HURTS, verdict.NO_DIFFERENCE, NOT_CONFIRMED),
        (verdict.NO_DIFFERENCE, verdict.HURTS, NOT_CONFIRMED),
        (verdict.HURTS, verdict.HELPS, UNDECIDED),
        (verdict.HURTS, verdict.LARGER_RATE, UNDECIDED),
        (verdict.NO_DIFFERENCE, verdict.LARGER_RATE, UNDECIDED),
        (verdict.LARGER_RATE, verdict.LARGER_RATE, LARGER_RATE),
        (verdict.HURTS, verdict.UNDECIDED, UNDECIDED),
        (verdict.NO_DIFFERENCE, verdict.UNDECIDED, UNDECIDED),
        (verdict.UNDECIDED, verdict.HELPS, UNDECIDED),
        (None, verdict.HELPS, UNDECIDED),
    ],
)
def test_both_comparisons_make_the_word(recipe, tuned, word):
    assert combined(a_verdict(recipe), a_verdict(tuned), controls=True)[0] == word


@pytest.mark.parametrize("recipe", [verdict.HELPS, verdict.LARGER_RATE, verdict.NO_DIFFERENCE, verdict.HURTS])
@pytest.mark.parametrize("tuned", [verdict.HELPS, verdict.LARGER_RATE, verdict.NO_DIFFERENCE, verdict.HURTS])
def test_what_lacks_runs_decides_nothing(recipe, tuned):
    word, why = combined(
        a_verdict(recipe),
        a_verdict(tuned),
        controls=True,
        lack="the other has 2 seeds",
    )
    assert word == UNDECIDED
    assert why.endswith("; the other has 2 seeds.")


@pytest.mark.parametrize(
    ("recipe", "tuned", "first", "second"),
    [
        (verdict.HELPS, verdict.LARGER_RATE, "It helps at the recipe's rate", "one varying rate does as well"),
        (verdict.HELPS, verdict.NO_DIFFERENCE, "It helps at the recipe's rate", "one rate does as well"),
        (verdict.HURTS, verdict.UNDECIDED, "It hurts at the recipe's rate", "the seeds do not settle it"),
        (verdict.NO_DIFFERENCE, verdict.HELPS, "At the recipe's rate there is no difference that counts", "it helps"),
    ],
)
def test_why_says_what_came_out_at_both_rates(recipe, tuned, first, second):
    why = combined(a_verdict(recipe), a_verdict(tuned), controls=True)[1]
    assert why == f"{first}; each at its best rate, {second}."


BEATEN = {"ln": [1.0] * 5, "uniform": [2.0] * 5, "constant": [1.0] * 5, "per_step": [1.0] * 5}


@pytest.mark.parametrize(
    ("tuned", "word", "why"),
    [
        ({"ln_tuned": [1.0], "uniform_tuned": [2.0] * 5}, UNDECIDED, "was run on 1 seed (5 that agree are needed)"),
        ({"ln_tuned": [1.0] * 5, "uniform_tuned": [2.0] * 5}, UNDECIDED, "lacks one varying rate"),
        ({"ln_tuned": [2.0] * 5, "uniform_tuned": [1.0] * 5}, LARGER_RATE, "each at its best rate, it hurts."),
        ({"ln_tuned": [1.0] * 5, "uniform_tuned": [1.0] * 5}, LARGER_RATE, "one rate does as well."),
        ({"ln_tuned": [1.0] * 5, "uniform_tuned": [2.0] * 5, "per_step_tuned": [2.0] * 5}, UNDECIDED, "it helps."),
        (
            {"ln_tuned": [1.0] * 5, "uniform_tuned": [2.0] * 5, "per_step_tuned": [1.0] * 5},
            LARGER_RATE,
            "does as well.",
        ),
    ],
)
def test_the_best_rates_decide_with_enough_seeds_and_where_a_gain_has_its_control(tuned, word, why):
    found = compare("saddle", some_arms(**BEATEN, **tuned), WHERE, X, DONE)
    assert (found.word, why in found.sentence) == (word, True), found.sentence
    seeds = len(tuned["ln_tuned"])
    assert f"Each at its own best rate, {seeds} seed" in found.sentence


ONE_RATE_BETTER = {"ln_tuned": [2.0] * 5, "uniform_tuned": [1.0] * 5, "per_step_tuned": [1.0] * 5}
PER_LAYER_BETTER = {"ln_tuned": [1.0] * 5, "uniform_tuned": [2.0] * 5, "per_step_tuned": [2.0] * 5}
HELPED = {"ln": [1.0] * 5, "uniform": [2.0] * 5, "constant": [2.0] * 5, "per_step": [2.0] * 5}
BEYOND = "is at the edge of its grid: a better one may lie beyond"


LARGER_BETTER = {"ln_tuned": [1.0] * 5, "uniform_tuned": [2.0] * 5, "per_step_tuned": [1.0] * 5}


@pytest.mark.parametrize(
    ("own", "tuned", "edge", "word", "turns"),
    [
        (BEATEN, ONE_RATE_BETTER, "ln", UNDECIDED, True),
        (BEATEN, ONE_RATE_BETTER, "uniform", LARGER_RATE, False),
        (BEATEN, ONE_RATE_BETTER, "per-step", LARGER_RATE, False),
        (BEATEN, LARGER_BETTER, "ln", UNDECIDED, True),
        (BEATEN, LARGER_BETTER, "uniform", UNDECIDED, True),  # it leaves less to be explained
        (BEATEN, LARGER_BETTER, "per-step", LARGER_RATE, False),
        (HELPED, PER_LAYER_BETTER, "ln", CONFIRMED, False),
        (HELPED, PER_LAYER_BETTER, "uniform", UNDECIDED, True),
        (HELPED, PER_LAYER_BETTER, "per-step", UNDECIDED, True),
    ],
)
def test_an_edge_counts_where_a_better_rate_beyond_it_could_turn_what_came_out(own, tuned, edge, word, turns):
    found = compare("accuracy", some_arms(**own, **tuned), WHERE, X, {**DONE, edge: AT_EDGE})
    assert found.word == word
    assert found.sentence.endswith(f" {BEYOND}." if turns else f" {BEYOND}.)")
    assert found.sentence.count(BEYOND) == 1
    assert BEYOND not in compare("accuracy", some_arms(**own, **tuned), WHERE, X, DONE).sentence


def test_where_numbers_are_relative_to_one_rate_its_edge_always_counts():
    arms = some_arms(**BEATEN, **ONE_RATE_BETTER)
    grids = {**DONE, "uniform": AT_EDGE}
    assert compare("time", arms, WHERE, X, grids).word == LARGER_RATE
    assert compare("time", arms, WHERE, replace(X, relative=True), grids).word == UNDECIDED


def test_the_edge_of_a_rule_that_was_not_compared_at_its_best_does_not_matter():
    found = compare("accuracy", some_arms(**BEATEN), WHERE, X, {**DONE, "ln": AT_EDGE})
    assert BEYOND not in found.sentence


@pytest.mark.parametrize(
    ("grids", "lack"),
    [
        ({**DONE, "ln": NOT_DONE}, "has 2 of its 3 runs"),
        ({rule: DONE[rule] for rule in ("uniform", "per-step")}, "has none of its runs"),
    ],
)
def test_a_grid_that_is_not_done_leaves_it_undecided(grids, lack):
    found = compare("accuracy", some_arms(**HELPED, **PER_LAYER_BETTER), WHERE, X, grids)
    assert found.word == UNDECIDED
    assert found.sentence.endswith(f"each at its best rate is not known: the grid of a rate per layer {lack}.")


# One varying rate is behind in three of five seeds, by a fifth of what one rate is behind: nothing is proved of it.
OPEN = [1.2, 1.2, 1.2, 0.8, 0.9]


def test_undecided_says_what_it_is_due_to():
    recipe = {"uniform": [2.0] * 5, "ln": [1.0] * 5, "constant": OPEN, "per_step": OPEN}
    both = {**recipe, "uniform_tuned": [2.0] * 5, "ln_tuned": [1.0] * 5, "per_step_tuned": OPEN}
    found = compare("accuracy", some_arms(**both), WHERE, X, DONE)
    assert (found.word, found.because) == (UNDECIDED, AHEAD)
    assert found.sentence.endswith(
        "At the recipe's rate it is ahead of one rate, but the seeds do not settle whether a control does as well; "
        "each at its best rate, it is ahead of one rate, but the seeds do not settle whether a control does as well."
    )
    assert compare("accuracy", some_arms(**both), WHERE, X, {}).because == AHEAD  # a grid would not settle it
    assert compare("accuracy", some_arms(**HELPED, **PER_LAYER_BETTER), WHERE, X, {}).because == UNRUN
    level = both | {"ln": OPEN, "uniform": [1.0] * 5}
    assert compare("accuracy", some_arms(**level), WHERE, X, DONE).because == ""
    few = {arm: row[:3] for arm, row in both.items()}
    assert compare("accuracy", some_arms(**few), WHERE, X, DONE).because == UNRUN


def test_a_larger_rate_that_was_not_run_leaves_it_open_for_want_of_runs():
    alone = {"uniform": [2.0] * 5, "ln": [1.0] * 5, "uniform_tuned": [2.0] * 5, "ln_tuned": [1.0] * 5}
    assert compare("accuracy", some_arms(**alone), WHERE, X, DONE).because == UNRUN


def test_what_more_runs_could_not_turn_is_not_put_down_to_their_lack():
    """At the recipe's rate the seeds disagree: nothing at the best rates would settle it."""
    open_ = some_arms(uniform=[1.0] * 5, ln=OPEN, constant=[1.0] * 5, per_step=[1.0] * 5)
    assert compare("accuracy", open_, WHERE, X, DONE).because == ""
    led = {**DONE, "ln": Grid({0.01: [math.inf], 0.1: [math.inf]}, 1)}  # so that its tuned runs could not be made
    rivals = {arm: row for arm, row in PER_LAYER_BETTER.items() if arm != "ln_tuned"}
    nowhere = compare("accuracy", some_arms(**HELPED, **rivals), WHERE, X, led)
    assert (nowhere.word, nowhere.because) == (UNDECIDED, "")
    assert nowhere.sentence.endswith(
        "each at its best rate is not known: the grid of a rate per layer led nowhere at any rate."
    )


def test_ahead_is_said_only_where_the_controls_are_what_is_open():
    recipe = {"uniform": [2.0] * 5, "ln": [1.0] * 5, "constant": OPEN, "per_step": OPEN}
    for tuned in ({}, {arm: row[:2] for arm, row in PER_LAYER_BETTER.items()}):  # too few to take it back
        assert compare("accuracy", some_arms(**recipe, **tuned), WHERE, X, DONE).because == AHEAD
    level = {"uniform_tuned": [1.0] * 5, "ln_tuned": [1.0] * 5, "per_step_tuned": [1.0] * 5}
    assert compare("accuracy", some_arms(**recipe, **level), WHERE, X, DONE).because == ""
    open_at_best = {**PER_LAYER_BETTER, "per_step_tuned": OPEN}
    assert compare("accuracy", some_arms(**HELPED, **open_at_best), WHERE, X, DONE).because == AHEAD
    explained = {**HELPED, "constant": [1.0] * 5}
    found = compare("accuracy", some_arms(**explained, **PER_LAYER_BETTER), WHERE, X, DONE)
    assert (found.word, found.because) == (UNDECIDED, "")  # the two comparisons disagree
    without = {arm: row for arm, row in explained.items() if arm != "per_step"}  # which could turn nothing
    assert compare("accuracy", some_arms(**without, **open_at_best), WHERE, X, DONE).because == ""
    assert (
        compare("accuracy", some_arms(**HELPED, **PER_LAYER_BETTER), WHERE, X, {**DONE, "uniform": AT_EDGE}).because
        == ""
    )


def test_a_control_that_is_not_needed_keeps_nothing_open():
    """Its grid led nowhere, and a rate per layer is behind one rate twice."""
    hurts = {"uniform": [1.0] * 5, "ln": [2.0] * 5, "uniform_tuned": [1.0] * 5, "ln_tuned": [2.0] * 5}
    led = {**DONE, "per-step": Grid({0.01: [math.inf], 0.1: [math.inf]}, 1)}
    found = compare("accuracy", some_arms(**hurts), WHERE, X, led)
    assert (found.word, found.because) == (NOT_CONFIRMED, WORSE)
    ahead = hurts | {"ln": [0.5] * 5, "ln_tuned": [0.5] * 5, "constant": [1.0] * 5, "per_step": [1.0] * 5}
    found = compare("accuracy", some_arms(**ahead), WHERE, X, led)
    assert "the grid of one varying rate led nowhere" in found.sentence
    assert (found.word, found.because) == (UNDECIDED, AHEAD)  # a control that cannot be had stays open


def test_no_control_turns_two_comparisons_that_disagree():
    contrary = {"uniform": [1.0] * 5, "ln": [2.0] * 5, "uniform_tuned": [2.0] * 5, "ln_tuned": [1.0] * 5}
    found = compare("accuracy", some_arms(**contrary), WHERE, X, DONE)
    assert (found.word, found.because) == (UNDECIDED, "")
    recipe = {"uniform": [2.0] * 5, "ln": [1.0] * 5, "constant": OPEN}
    level = {"uniform_tuned": [1.0] * 5, "ln_tuned": OPEN, "per_step_tuned": [1.0] * 5}
    assert compare("accuracy", some_arms(**recipe, **level), WHERE, X, DONE).because == ""


def test_a_grid_that_is_not_done_can_turn_what_it_is_compared_with():
    """A better rate for one rate may be found yet."""
    at_best = {"uniform_tuned": [2.0] * 5, "ln_tuned": [1.0] * 5, "per_step_tuned": [2.0] * 5}
    hurts = some_arms(uniform=[1.0] * 5, ln=[2.0] * 5, constant=[1.0] * 5, per_step=[1.0] * 5, **at_best)
    found = compare("accuracy", hurts, WHERE, X, {**DONE, "uniform": NOT_DONE})
    assert (found.word, found.because) == (UNDECIDED, UNRUN)
    assert "Each at the best rate that is known so far, 5 seeds: " in found.sentence


def test_without_a_control_nothing_is_said_of_what_it_does():
    alone = compare("accuracy", some_arms(uniform=[2.0] * 5, ln=[1.0] * 5), WHERE, X, DONE)
    assert (
        "At the recipe's rate it is ahead of one rate, but no control was run on as many seeds; the" in alone.sentence
    )


def test_what_was_run_of_the_best_rates_is_said():
    found = compare("accuracy", some_arms(**HELPED, uniform_tuned=[1.0] * 5), WHERE, X, DONE)
    assert found.sentence.endswith("the comparison of each at its best rate has runs of one rate alone.")
    assert compare("accuracy", some_arms(**HELPED), WHERE, X, DONE).sentence.endswith("at its best rate was not run.")


def test_not_confirmed_says_where_it_is_worse():
    hurts = {"uniform": [1.0] * 5, "ln": [2.0] * 5, "uniform_tuned": [1.0] * 5, "ln_tuned": [2.0] * 5}
    found = compare("accuracy", some_arms(**hurts), WHERE, X, DONE)
    assert (found.word, found.because) == (NOT_CONFIRMED, WORSE)
    found = compare("accuracy", some_arms(**hurts | {"ln_tuned": [1.0] * 5}), WHERE, X, DONE)
    assert (found.word, found.because) == (NOT_CONFIRMED, "")


def test_a_control_on_too_few_seeds_is_named():
    arms = some_arms(uniform=[2.0] * 5, ln=[1.0] * 5, constant=[1.5] * 2)
    assert (
        "(On too few of these seeds to count: one larger rate.)" in compare("accuracy", arms, WHERE, X, DONE).sentence
    )


def test_a_control_on_few_seeds_takes_no_word_back():
    word = compare("accuracy", some_arms(**HELPED, **ONE_RATE_BETTER), WHERE, X, DONE).word
    assert word == LARGER_RATE
    without = {key: values for key, values in ONE_RATE_BETTER.items() if key != "per_step_tuned"}
    for few in ([], [1.0], [1.0] * 4):
        arms = some_arms(**HELPED, **without, **({"per_step_tuned": few} if few else {}))
        assert compare("accuracy", arms, WHERE, X, DONE).word == word
    apart = some_arms(ln=[1.0] * 10, uniform=[2.0] * 10, constant=[2.0] * 10, per_step=[2.0] * 10)
    apart["constant"] = {seed: run for seed, run in apart["constant"].items() if seed < 5}
    apart["per-step"] = {seed: run for seed, run in apart["per-step"].items() if seed >= 5}
    assert {arm: len(runs) for arm, runs in paired_arms(apart, RECIPE).items()} == {
        "ln": 5, "uniform": 5, "constant": 5
    }  # fmt: skip


def test_it_says_where_the_best_rates_are_the_recipes():
    arms = some_arms(**HELPED, **PER_LAYER_BETTER)
    for runs in arms.values():
        for run in runs.values():
            run["base_rate"] = 0.01
    assert (
        "Each at its own best rate, which is the recipe's, 5 seeds: " in compare("time", arms, WHERE, X, DONE).sentence
    )
    for run in arms["ln-tuned"].values():
        run["base_rate"] = 0.03
    assert "Each at its own best rate, 5 seeds: " in compare("time", arms, WHERE, X, DONE).sentence
    for run in arms["ln-tuned"].values():
        run["base_rate"] = 0.01
    del arms["per-step"]  # only tuned runs of it
    assert "Each at its own best rate, 5 seeds: " in compare("time", arms, WHERE, X, DONE).sentence


def test_without_both_controls_nothing_is_confirmed():
    helps = a_verdict(verdict.HELPS)
    assert combined(helps, helps, controls=False) == (
        UNDECIDED,
        "One of the two controls was not run, or on too few seeds.",
    )


def test_it_is_judged_by_the_seeds_that_all_arms_have():
    arms = some_arms(ln=[1.0] * 6, uniform=[2.0] * 5, constant=[2.0] * 6, log10=[9.0])
    assert {arm: list(runs) for arm, runs in paired_arms(arms, RECIPE).items()} == {
        arm: [0, 1, 2, 3, 4] for arm in ("ln", "uniform", "constant")
    }
    assert compared(arms, RECIPE, X).kind == verdict.HELPS
    assert compared(some_arms(ln=[1.0]), RECIPE, X) is None
    assert numbers_of(arms, "ln", X) == [1.0] * 5


def test_a_finding_has_sentence_reason_and_runs():
    arms = some_arms(ln=[1.0] * 5, uniform=[2.0] * 5, constant=[1.0] * 5, per_step=[1.0] * 5)
    found = compare("time", arms, WHERE, X, {})
    assert found.word == UNDECIDED
    assert (
        found.sentence
        == "5 seeds: the numbers: a rate per layer 5, one rate 10, one larger rate 5, one varying rate 5. "
        "At the recipe's rate a larger rate does as well; the comparison of each at its best rate was not run."
    )
    assert found.statistics[0].startswith(
        "At the recipe's rate: explained by the larger rate. A rate per layer beats one"
    )
    assert found.numbers["medians"] == {"ln": 1, "uniform": 2, "constant": 1, "per-step": 1}
    assert len(found.runs) == 20
    assert compare("time", some_arms(ln=[1.0]), WHERE, X, {}).sentence == "Not run: one rate."


def test_what_never_arrives_is_counted():
    assert steps_summary([100, 300, math.inf]) == "300 (1 never)"
    assert steps_summary([1000, math.inf, math.inf]) == "never in 2 of 3"
    assert steps_summary([math.inf]) == "never"
    assert steps_summary([1200, 1300, 1400]) == "1,300"
    assert steps_summary([9000, 10000]) == "9,500"  # of an even number the mean of the two in the middle
    assert steps_summary([10000, math.inf]) == "never in 1 of 2"
