"""Settings are complete after construction, and what contradicts itself is refused in words."""

import pytest

from minidl.experiments.arms import ARMS, TUNED
from minidl.experiments.settings import EPOCHS, Settings


def test_the_default_runs_every_arm_of_plain_sgd_on_five_seeds():
    settings = Settings()
    assert settings.arms == ARMS
    assert settings.methods == ("sgd",)
    assert settings.seeds == 5
    assert settings.epochs == EPOCHS["mlp"]
    assert settings.judged


def test_a_fixed_rate_leaves_out_the_tuned_arms():
    assert not set(Settings(lr=0.5).arms) & set(TUNED)


def test_arms_have_one_order_however_they_are_asked_for():
    assert Settings(arms=("layer-specific", "uniform")).arms == ("uniform", "layer-specific")


def test_reported_seeds_are_never_those_of_the_tuning():
    settings = Settings(seeds=50)
    assert not set(range(settings.seeds)) & set(settings.tuning_seeds)


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"model": "resnet"}, "--model: unknown 'resnet'; choose from mlp, conv"),
        ({"methods": ("sgd", "lion")}, "--methods: unknown 'lion'; choose from sgd, momentum, nesterov, adagrad"),
        ({"methods": ("sgd", "sgd")}, "names one twice"),
        ({"methods": ()}, "--methods: expected at least one"),
        ({"arms": ("unifrom",)}, "--rates: unknown 'unifrom'"),
        ({"arms": ("uniform", "constant")}, "constant replay the layer-specific run's multipliers; add layer-specific"),
        ({"arms": ("uniform", "per-step-tuned")}, "add layer-specific"),
        ({"lr": 0.5, "arms": ("uniform", "uniform-tuned")}, "--lr 0.5 fixes the base rate .* uniform-tuned"),
        ({"lr": -1.0}, "--lr: expected a positive number; got -1.0"),
        ({"lr": float("nan")}, "--lr: expected a positive number"),
        ({"seeds": 0}, "--seeds: expected a whole number of at least 1; got 0"),
        ({"seeds": 10_001}, "--seeds: expected at most 10000; got 10001: the seeds from there on tune the rates"),
        ({"epochs": -3}, "--epochs: expected a whole number"),
    ],
)
def test_what_cannot_be_run_is_refused_in_words(wrong, words):
    with pytest.raises(ValueError, match=words):
        Settings(**wrong)


def test_as_many_seeds_as_come_before_those_of_the_tuning_will_do():
    settings = Settings(seeds=10_000)
    assert max(range(settings.seeds)) < min(settings.tuning_seeds)
