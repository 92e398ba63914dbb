"""The numbers of the report, from runs made up so that the right answer is known."""

from dataclasses import replace

import numpy as np
import pytest

from minidl.experiments.results import as_json, diverged_at, mean_multiplier, same_runs, slope_per_layer, steps_to
from minidl.experiments.runs import Run


def made_up(accuracy, loss=1.0):
    steps = np.arange(1, len(accuracy) + 1) * 34
    return Run(
        loss=np.full(34 * len(accuracy), loss),
        seconds=np.arange(34 * len(accuracy)) * 0.001,
        eval_steps=steps,
        test_accuracy=np.array(accuracy),
        test_loss=1 - np.array(accuracy),
        validation_loss=loss,
        validation_accuracy=accuracy[-1],
        mean_multiplier=np.ones(34 * len(accuracy)),
    )


def test_the_steps_to_an_accuracy_end_at_the_first_epoch_that_has_it():
    assert steps_to(made_up([0.1, 0.9, 0.8, 0.95]), 0.9) == 68
    assert steps_to(made_up([0.1, 0.2]), 0.9) is None


def test_the_slope_is_in_decades_a_layer_from_input_to_output():
    assert slope_per_layer([1e-4, 1e-3, 1e-2, 1e-1]) == pytest.approx(1.0)
    assert slope_per_layer([2.0, 2.0, 2.0]) == pytest.approx(0.0, abs=1e-12)


def test_a_tuned_arm_that_is_another_arm_is_found():
    a, b, c = made_up([0.5]), made_up([0.6]), made_up([0.7])
    runs = {"uniform": [a, b], "layer-specific": [b, c], "uniform-tuned": [a, b], "constant-tuned": [a, c]}
    assert same_runs(runs) == {"uniform-tuned": "uniform"}


def test_a_run_survives_its_file_format():
    run = made_up([0.1, 0.9])
    again = Run.from_arrays(run.arrays())
    assert isinstance(again.validation_loss, float)
    assert vars(again).keys() == vars(run).keys()
    np.testing.assert_array_equal(again.test_accuracy, run.test_accuracy)


def test_a_run_diverged_from_the_step_on_from_which_its_loss_is_not_finite():
    run = made_up([0.1, 0.1])
    assert diverged_at(run) is None
    run.loss[40:] = np.nan
    assert diverged_at(run) == 41
    run.loss[-1] = 1.0
    assert diverged_at(run) is None
    assert diverged_at(replace(made_up([0.1]), validation_loss=float("nan"))) == 34
    assert diverged_at(replace(made_up([0.1]), test_loss=np.array([np.inf]))) == 34


def test_the_mean_multiplier_is_that_of_the_steps_that_have_one():
    assert mean_multiplier(replace(made_up([0.1]), mean_multiplier=np.array([2.0, 4.0, np.nan, np.inf]))) == 3.0
    assert np.isnan(mean_multiplier(replace(made_up([0.1]), mean_multiplier=np.array([np.nan]))))


def test_a_slope_leaves_out_what_has_no_logarithm():
    assert slope_per_layer([0.0, 1e-3, np.nan, 1e-1, np.inf]) == pytest.approx(1.0)
    assert np.isnan(slope_per_layer([0.0, np.inf]))


def test_json_has_no_nan():
    assert as_json({"a": [1.0, float("nan")], "b": (float("inf"), "x", None, True, 3)}) == {
        "a": [1.0, None],
        "b": [None, "x", None, True, 3],
    }
