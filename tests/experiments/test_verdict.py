"""The verdict can come out each way, and says why with its numbers."""

import tracemalloc

import numpy as np
import pytest

from minidl.experiments.verdict import (
    HELPS,
    HURTS,
    LARGER_RATE,
    NO_DIFFERENCE,
    UNDECIDED,
    judge,
    pair_arms,
    sign_flip_p,
)

SEEDS = np.array([0.00, 0.01, -0.01, 0.02, -0.02])  # how the seeds differ, alike in every arm
JITTER = np.array([0.004, -0.006, 0.005, -0.003, 0.001])  # how one arm differs from another by chance


def losses(**level: float) -> dict[str, np.ndarray]:
    """Synthetic final losses: an arm's level, the same seed effects in every arm, and a little chance."""
    names = {name: name.replace("_", "-") for name in level}
    return {names[n]: v + SEEDS + JITTER * (i % 2) for i, (n, v) in enumerate(level.items())}


def test_layer_specific_helps_when_it_beats_the_uniform_rate_and_every_control():
    verdict = judge(losses(layer_specific=0.20, uniform=0.60, constant=0.40, per_step=0.38, uniform_tuned=0.35))
    assert verdict.kind == HELPS
    assert "beats the uniform rate (median gain +0.401 on 0.604, p = 0.031)" in verdict.reason
    assert [p.other for p in verdict.pairings] == ["uniform", "constant", "per-step", "uniform-tuned"]


def test_the_larger_rate_explains_it_when_one_control_does_as_well():
    verdict = judge(losses(layer_specific=0.20, uniform=0.60, constant=0.40, per_step=0.20, uniform_tuned=0.35))
    assert verdict.kind == LARGER_RATE
    assert "a uniform rate times the mean multiplier of each step" in verdict.reason
    assert "constant mean multiplier" not in verdict.reason  # only the controls that were not beaten are the reason


def test_the_larger_rate_explains_it_when_a_control_is_even_better():
    verdict = judge(losses(layer_specific=0.20, uniform=0.60, constant=0.10))
    assert verdict.kind == LARGER_RATE
    assert "is beaten by" in verdict.reason


def test_no_difference_when_the_uniform_rate_does_as_well():
    assert judge(losses(layer_specific=0.40, uniform=0.40, constant=0.10)).kind == NO_DIFFERENCE


def test_a_difference_nobody_would_care_about_is_none():
    own = 0.400 + SEEDS
    verdict = judge({"layer-specific": own, "uniform": own + 0.004, "constant": own + 0.1})  # 1%, and all seeds agree
    assert verdict.pairings[0].p_better <= 0.05
    assert verdict.kind == NO_DIFFERENCE


def test_layer_specific_hurts_when_the_uniform_rate_beats_it():
    verdict = judge(losses(layer_specific=0.60, uniform=0.20, constant=0.90))
    assert verdict.kind == HURTS
    assert "is beaten by the uniform rate" in verdict.reason


def test_ahead_of_a_control_but_not_provably_is_undecided():
    own = np.array([0.20, 0.20, 0.20, 0.20, 0.41])  # four seeds better than the control, one not
    verdict = judge({"layer-specific": own, "uniform": [0.9] * 5, "constant": [0.4] * 5})
    assert verdict.kind == UNDECIDED
    assert "is ahead, but not provably, of a uniform rate times the constant mean multiplier" in verdict.reason


def test_ahead_of_the_uniform_rate_but_not_provably_is_undecided():
    assert judge({"layer-specific": [0.2, 0.2, 0.2, 0.2, 0.41], "uniform": [0.4] * 5}).kind == UNDECIDED


def test_no_difference_says_when_a_control_is_better():
    verdict = judge(losses(layer_specific=0.40, uniform=0.40, uniform_tuned=0.10))
    assert verdict.kind == NO_DIFFERENCE
    assert "it is beaten by the tuned uniform rate" in verdict.reason


def test_without_a_control_the_reason_stays_open():
    verdict = judge(losses(layer_specific=0.20, uniform=0.60))
    assert verdict.kind == UNDECIDED
    assert "no larger-rate control" in verdict.reason


@pytest.mark.parametrize("seeds", [1, 2, 4])
def test_too_few_seeds_decide_nothing_however_large_the_difference(seeds):
    verdict = judge({"layer-specific": [0.1] * seeds, "uniform": [2.0] * seeds, "constant": [2.0] * seeds})
    assert verdict.kind == UNDECIDED
    assert f"{0.5**seeds:.3f}" in verdict.reason


def test_a_diverged_run_counts_as_a_very_bad_one():
    verdict = judge(
        {"layer-specific": 0.2 + SEEDS, "uniform": [np.nan, np.inf, 0.9, 0.8, 0.9], "constant": 0.5 + SEEDS}
    )
    assert verdict.kind == HELPS


def test_the_sign_flip_test_counts_patterns_exactly():
    assert sign_flip_p([1, 1, 1, 1, 1]) == 1 / 32
    assert sign_flip_p([-1, -1, -1, -1, -1]) == 1
    assert sign_flip_p([0, 0, 0]) == 1
    # of the 8 patterns of (1, 2, 4) the sums 7 and 5 are at least 5
    assert sign_flip_p([-1, 2, 4]) == 2 / 8


def test_the_sign_flip_test_of_many_seeds_agrees_with_the_exact_one():
    differences = np.random.default_rng(1).normal(0.3, 1.0, 16)
    exact = sign_flip_p(differences)
    drawn = sign_flip_p([*differences, 0.0])  # a zero changes no mean
    assert drawn == pytest.approx(exact, abs=0.01)


def test_missing_arms_and_seeds_that_do_not_pair_are_errors():
    with pytest.raises(ValueError, match="missing: uniform"):
        judge({"layer-specific": [1.0] * 5})
    with pytest.raises(ValueError, match="one loss per seed"):
        pair_arms([1.0, 2.0], [1.0], "uniform")


# ---- runs that diverged

LOST = [np.nan, np.inf, -np.inf, np.nan, np.inf]


def test_a_diverged_run_loses_against_every_finite_one_however_large():
    verdict = judge({"layer-specific": LOST, "uniform": [5000.0] * 5})
    assert verdict.kind == HURTS
    assert verdict.reason == (
        "Layer-specific is beaten by the uniform rate (p = 0.031; diverged: layer-specific in 5 seeds)."
    )
    verdict = judge({"layer-specific": [1e300] * 5, "uniform": LOST, "constant": LOST})
    assert verdict.kind == HELPS
    assert "beats the uniform rate (p = 0.031; diverged: uniform in 5 seeds)" in verdict.reason


def test_two_diverged_runs_are_alike():
    pairing = pair_arms(LOST, LOST, "uniform")
    assert (pairing.median_gain, pairing.smallest_gain, pairing.largest_gain) == (0.0, 0.0, 0.0)
    assert not pairing.better
    assert not pairing.worse
    assert judge({"layer-specific": LOST, "uniform": LOST}).kind == NO_DIFFERENCE


def test_a_seed_that_diverged_counts_more_than_any_finite_difference():
    pairing = pair_arms([0.2, 0.2, 0.2, 0.2, 0.2], [0.15, 0.15, 0.15, 0.15, np.nan], "uniform")
    assert (pairing.median_gain, pairing.largest_gain) == (pytest.approx(-0.05), np.inf)
    assert pairing.other_loss == 0.15
    assert (pairing.diverged, pairing.other_diverged) == (0, 1)
    assert pairing.p_better == 0.5  # the half of all patterns in which that seed keeps its sign
    assert "; diverged: uniform in 1 seed)" in pairing.words()


def test_half_the_seeds_diverged_here_and_half_there_is_no_gain():
    pairing = pair_arms([np.nan, 1.0], [1.0, np.nan], "uniform")
    assert (pairing.median_gain, pairing.p_better) == (0.0, pair_arms([1.0, np.nan], [np.nan, 1.0], "uniform").p_better)


def test_the_sign_flip_test_does_not_depend_on_the_unit():
    differences = np.random.default_rng(1).normal(0.3, 1.0, 9)
    for unit in (1e-300, 1e-15, 1e300):
        assert sign_flip_p(differences * unit) == sign_flip_p(differences)


def test_the_sign_flip_test_of_thousands_of_seeds_fits_into_memory():
    tracemalloc.start()
    sign_flip_p(np.random.default_rng(1).normal(0.0, 1.0, 1_000))
    assert tracemalloc.get_traced_memory()[1] < 64e6
    tracemalloc.stop()


# ---- doing as well is shown, not concluded from the lack of a difference


def test_a_control_does_as_well_if_it_provably_keeps_half_of_the_gain():
    own = 0.20 + SEEDS
    control = own + np.array([0.10, -0.05, 0.15, 0.0, -0.01])  # noisy, no worse in the median
    verdict = judge({"layer-specific": own, "uniform": own + 0.40, "constant": control})
    pairing = verdict.pairings[1]
    assert (pairing.margin, pairing.p_as_well, pairing.as_well) == (pytest.approx(0.20), 1 / 32, True)
    assert verdict.kind == LARGER_RATE
    assert "does no better than a uniform rate times the constant mean multiplier" in verdict.reason
    assert "a uniform rate times the constant mean multiplier behind by less than 0.2: p = 0.031" in verdict.reason


def test_a_control_that_is_only_not_proved_worse_leaves_the_verdict_open():
    own = 0.20 + SEEDS
    control = own + np.array([0.30, -0.05, 0.15, 0.0, -0.01])  # one seed loses more than half of the gain
    verdict = judge({"layer-specific": own, "uniform": own + 0.40, "constant": control})
    assert (verdict.pairings[1].p_as_well > 0.05, verdict.kind) == (True, UNDECIDED)
    assert "is not shown to differ from" in verdict.reason


def test_no_difference_is_a_claim_that_has_to_be_shown_too():
    own = 0.40 + SEEDS
    noisy = own + np.array([0.1, -0.1, 0.0, 0.1, -0.1])
    assert judge({"layer-specific": own, "uniform": noisy}).kind == UNDECIDED
    assert judge({"layer-specific": own, "uniform": own + 0.03 * JITTER}).kind == NO_DIFFERENCE


def test_every_finite_control_keeps_the_gain_over_a_uniform_rate_that_diverged():
    own = 0.20 + SEEDS
    verdict = judge({"layer-specific": own, "uniform": LOST, "constant": own + 0.001})
    assert (verdict.pairings[1].as_well, verdict.kind) == (True, LARGER_RATE)
    assert not judge({"layer-specific": own, "uniform": LOST, "constant": LOST}).pairings[1].as_well


def test_behind_by_enough_but_not_provably_is_said_though_the_other_does_as_well():
    own = 0.40 + SEEDS
    ahead = own - np.array([0.10, 0.12, 0.11, 0.13, 0.0])  # in four seeds of five
    verdict = judge({"layer-specific": own, "uniform": ahead})
    assert (verdict.kind, verdict.pairings[0].as_well) == (UNDECIDED, True)
    assert "lags, but not provably, behind the uniform rate (median gain -0.11 on " in verdict.reason
    assert "p = 0.062; the uniform rate behind by less than" in verdict.reason


def test_an_arm_that_mostly_never_arrives_is_behind_by_what_the_others_show():
    """Its median is infinite, and what it is behind by, seed by seed, is not."""
    never = np.inf
    own, other = [never] * 3 + [5000.0] * 3, [4000.0, 4000.0, never, 4000.0, 4000.0, 4000.0]
    assert pair_arms(own, other, "uniform").worse
    assert judge({"layer-specific": own, "uniform": other}).kind == HURTS
    assert pair_arms(other, own, "uniform").better  # whichever it is
    few = [never, never, never, 500.0, 500.0], [400.0, 400.0, never, 400.0, 400.0]
    assert pair_arms(*few, "uniform").trailing
    assert pair_arms(*few[::-1], "uniform").promising
    assert judge(dict(zip(("layer-specific", "uniform"), few, strict=True))).kind == UNDECIDED


def test_what_is_behind_by_less_than_two_percent_of_its_own_loss_is_not_worse():
    """Behind by 5 in the median, which is 0.5% of its own median of 1,005, in every seed."""
    own, other = [1100.0, 205.0, 205.0, 1005.0, 1005.0], [200.0, 200.0, 200.0, 1000.0, 1000.0]
    assert pair_arms(own, other, "uniform").p_worse <= 0.05
    assert judge({"layer-specific": own, "uniform": other}).kind == NO_DIFFERENCE


def test_large_numbers_are_written_out():
    steps = {"layer-specific": [1000.4] * 5, "uniform": [3000.0] * 5}
    assert "median gain +2,000 on 3,000" in judge(steps).reason
    assert "median gain +1,000 on 2,000" in judge(steps | {"uniform": [2000.0] * 5}).reason
