"""Runs by arm and seed, and the numbers that are compared."""

import math

import numpy as np
import pytest

from minidl.experiments.reproduce.evidence import (
    arms_of,
    cpu_seconds_to,
    decades_deeper,
    diverged,
    final_error,
    final_loss,
    have_learned,
    ids_of,
    iterations_to,
    looked_at,
    median,
    methods_of,
    near_input_and_output,
    seconds_to,
    shared_seeds,
)


def test_arms_come_in_order_with_their_seeds(collected_case):
    arms = arms_of(collected_case("clear gain"), "sgd")
    assert list(arms) == ["uniform", "ln", "log10", "constant", "per-step", "uniform-tuned", "ln-tuned",
                          "per-step-tuned"]  # fmt: skip
    assert [list(runs) for runs in arms.values()] == [[0, 1, 2, 3, 4]] * 8
    assert ids_of(arms, ["ln-tuned"])[0] == "sgd-ln-tuned-seed0"


def test_methods_come_in_the_order_of_the_report(collected_case):
    assert methods_of(collected_case("missing arms", methods=("adagrad", "sgd"), seeds=1)) == ["sgd", "adagrad"]


def test_what_is_compared_has_the_seeds_that_all_arms_have():
    arms = {"a": {0: {"x": 1.0}, 2: {"x": 3.0}}, "b": {2: {"x": 5.0}, 4: {"x": 7.0}}}
    assert shared_seeds(arms, ["a", "b"]) == [2]
    assert shared_seeds(arms, ["a", "none"]) == []


def run_with(accuracies, losses=None, **entries):
    steps = [10 * (k + 1) for k in range(len(accuracies))]
    return {"looks": {"iteration": steps, "accuracy": accuracies, "loss": losses or [0.5] * len(accuracies),
                      "seconds": [step / 10 for step in steps], "cpu_seconds": [step / 20 for step in steps]},
            **entries}  # fmt: skip


def test_how_soon_an_accuracy_was_seen():
    run = run_with([0.5, 0.8, 0.7, 0.9])
    assert (iterations_to(run, 0.8), seconds_to(run, 0.8), cpu_seconds_to(run, 0.8)) == (20, 2, 1)
    assert math.isinf(iterations_to(run, 0.95))
    assert math.isinf(seconds_to(run, 0.95))


def test_what_a_diverged_run_is_given_for_the_looks_that_it_missed_reaches_nothing():
    run = {"looks": {"iteration": [10, 20], "accuracy": [0.05, 0.1], "loss": [2.4, None], "seconds": [1.0, None]}}
    assert iterations_to(run, 0.1) == math.inf
    assert iterations_to(run, 0.05) == 10


def test_runs_have_learned_if_half_of_them_end_well_above_guessing():
    def ends(*accuracies):
        return [{"looks": {"accuracy": [a], "loss": [1.0]}} for a in accuracies]

    assert have_learned(ends(0.1, 0.4, 0.9), classes=10)
    assert not have_learned(ends(0.1, 0.2, 0.9), classes=10)
    assert have_learned(ends(0.1, 0.1, 0.35, 0.35), classes=10)  # two of four are half
    assert not have_learned([{"looks": {"accuracy": [0.9], "loss": [None]}}], classes=10)
    assert have_learned(ends(0.1), classes=0)
    assert have_learned([], classes=10)


def test_a_diverged_run_ranks_last():
    assert final_error(run_with([0.5, 0.9])) == pytest.approx(0.1)
    lost = run_with([0.5, 0.1], [0.5, None])
    assert diverged(lost)
    assert diverged(run_with([0.9], diverged_at=7))
    assert math.isinf(final_error(lost))
    assert math.isinf(final_loss(lost))
    assert median([0.1, math.inf, 0.3]) == pytest.approx(0.3)
    assert math.isinf(median([0.1, math.nan, math.inf]))


def test_halves_are_geometric_means_without_the_middle():
    shallow, deep = near_input_and_output(np.array([1e-4, 1e-2, 5.0, 1.0, 100.0]))
    assert (shallow, deep) == pytest.approx((1e-3, 10.0))
    assert near_input_and_output(np.array([0.0, 1.0])) == (0.0, 1.0)
    assert all(map(math.isnan, near_input_and_output(np.array([1.0]))))


def test_decades_between_the_halves():
    def run(values):
        return {"layers": {"norms": {"first": values, "middle": values}}}

    assert decades_deeper(run([0.01, 1.0]), "norms", "first") == pytest.approx(2)
    assert decades_deeper(run([0.0, 1.0]), "norms", "first") == math.inf
    assert decades_deeper(run([1.0, 0.0]), "norms", "middle") == -math.inf
    assert decades_deeper(run([0.0, 0.0]), "norms", "first") == 0
    assert math.isnan(decades_deeper(run([None, 1.0]), "norms", "first"))
    assert math.isnan(decades_deeper({}, "norms", "first"))


def test_on_how_many_test_images_the_looks_are(collected_case):
    assert looked_at(arms_of(collected_case("clear gain"), "sgd")) == (2000, 10000)
    assert looked_at({"a": {0: run_with([0.5])}}) is None
