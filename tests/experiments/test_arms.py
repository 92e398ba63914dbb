"""minidl/experiments/arms.py: the arms are paired, and the controls replay what they control."""

import numpy as np

from minidl.experiments.arms import ARMS, RULES, TITLES, rule_of


def test_every_arm_follows_a_rule_and_has_a_title():
    assert {rule_of(arm) for arm in ARMS} == set(RULES)
    assert set(TITLES) == set(ARMS)


def test_every_arm_starts_from_the_same_weights_and_sees_the_same_batch_first(one_epoch):
    runs = one_epoch.arm_runs("sgd")
    for seed in (0, 1):
        first = {arm: runs[arm][seed].loss[0] for arm in runs}
        assert len(set(first.values())) == 1
    assert runs["uniform"][0].loss[0] != runs["uniform"][1].loss[0]


def test_the_controls_replay_the_layer_specific_run_of_their_seed(one_epoch):
    runs = one_epoch.arm_runs("sgd")
    for seed in (0, 1):
        multipliers = runs["layer-specific"][seed].mean_multiplier
        assert np.all(multipliers > 1)
        np.testing.assert_array_equal(runs["per-step"][seed].mean_multiplier, multipliers)
        np.testing.assert_allclose(runs["constant"][seed].mean_multiplier, multipliers.mean(), rtol=1e-12)
        np.testing.assert_array_equal(runs["uniform"][seed].mean_multiplier, 1)


def test_the_arms_do_differ_after_the_first_step(one_epoch):
    runs = one_epoch.arm_runs("sgd")
    assert len({runs[arm][0].loss[-1] for arm in runs}) == 4
