import numpy as np
import pytest

from minidl.observe.verdict import (
    decades_per_layer,
    first_of_the_rest,
    flow_verdict,
    median_over_steps,
    name_run,
    slope_change_words,
    slope_words,
)


def test_the_slope_is_decades_per_layer_positive_when_the_gradient_shrinks_towards_the_input():
    assert decades_per_layer([1e-6, 1e-4, 1e-2, 1.0]) == pytest.approx(2.0)
    assert decades_per_layer([1.0, 0.1]) == pytest.approx(-1.0)


def test_the_slope_is_the_least_squares_fit():
    values = np.random.default_rng(0).uniform(1e-8, 1, 9)
    assert decades_per_layer(values) == pytest.approx(np.polyfit(np.arange(9), np.log10(values), 1)[0])


def test_zeros_and_missing_numbers_are_left_out_of_the_fit_but_keep_their_place():
    assert decades_per_layer([0.0, 1e-3, np.nan, 1e-1, np.inf]) == pytest.approx(1.0)
    assert np.isnan(decades_per_layer([0.0, 1e-3]))


def test_the_median_over_steps_ignores_missing_steps():
    median = median_over_steps([[1.0, np.nan, 0.0], [3.0, np.nan, 0.0], [np.nan, np.nan, 5.0]])
    np.testing.assert_array_equal(median, [2.0, np.nan, 0.0])


@pytest.mark.parametrize(
    ("chosen", "words"),
    [
        ([0], "a"),
        ([0, 1], "a and b"),
        ([0, 1, 2], "a to c"),
        ([3, 0, 1, 2, 5], "a to d and f"),
        ([0, 2, 4], "a, c and e"),
    ],
)
def test_layers_in_words(chosen, words):
    assert name_run("abcdef", chosen) == words


def test_slopes_in_words():
    assert slope_words(0.6) == "falls 0.60 decades a layer from the output to the input"
    assert slope_words(-0.31).startswith("grows 0.31")
    assert slope_words(0.04).startswith("is level (+0.04")
    assert "cannot be fitted" in slope_words(float("nan"))
    assert slope_change_words([0.6, 0.35], [0, 99]).endswith("at step 0, 0.35 at step 99")
    assert "falls 0.60" in slope_change_words([0.6, -0.35], [0, 99])
    assert "grows 0.35" in slope_change_words([0.6, -0.35], [0, 99])
    nowhere = slope_change_words([float("nan"), float("nan")], [0, 99])
    assert nowhere == f"{slope_words(float('nan'))} at step 0 and at step 99"


def verdict(gradients, ratio, weights=None, notes=(), **more):
    gradients = np.asarray(gradients)
    names = [f"fc{i + 1}" for i in range(gradients.shape[1])]
    weights = gradients if weights is None else np.asarray(weights)
    return flow_verdict(names, np.arange(len(gradients)) * 10, gradients, np.asarray(ratio), weights, notes, **more)


def test_the_verdict_names_the_slope_and_the_layers_that_hardly_learn():
    text = verdict([[1e-4, 1e-3, 1e-2, 1e-1]] * 2, [[1e-6, 2e-5, 3e-4, 1e-3]] * 2, notes=["said beside it"])
    assert "falls 1.00 decades a layer from the output to the input at step 0, 1.00 at step 10" in text
    assert "layers fc1 and fc2 update below 1e-4 of the weights a step (median; smallest 1.0e-06)" in text
    assert text.endswith("said beside it.")


def test_the_verdict_says_when_every_layer_learns():
    text = verdict([[0.1, 0.1]], [[1e-3, 2e-3]])
    assert "is level" in text
    assert "every layer updates by at least 1e-4 of its weights a step (median; from 1.0e-03 to 2.0e-03)" in text


def test_the_verdict_counts_exact_zeros_and_broken_gradients():
    text = verdict([[0.0, 0.1], [1e-3, 0.1]], [[0.0, 1e-3]] * 2)
    assert "layer fc1 got a gradient of exactly 0 in 50% of the steps" in text
    assert "layer fc1 updates below 1e-4" in text
    assert "not finite" in verdict([[0.1, 0.1]], [[1e-3, 1e-3]], weights=[[np.nan, 0.1]])


def test_the_verdict_on_nothing_says_so():
    assert "nothing was recorded" in verdict(np.zeros((0, 2)), np.zeros((0, 2)))


def test_without_updates_the_verdict_does_not_speak_of_them():
    assert "update" not in verdict([[1e-3, 1e-2]], [[np.nan, np.nan]])


# ---- what is not finite

LOST = np.inf  # as a recording says it


def test_a_run_that_ends_in_numbers_that_are_not_finite_has_diverged_from_their_first_step_on():
    gradients = [[1e-3, 1e-2], [1e-3, 1e-2], [LOST, LOST], [LOST, LOST]]
    text = verdict(gradients, [[1e-3, 2e-3]] * 4, loss=[1.0, 2.0, np.nan, np.nan])
    assert text.startswith("from step 20 on loss and gradients are not finite: it diverged; ")
    assert "falls 1.00 decades a layer from the output to the input at step 0, 1.00 at step 10" in text
    assert "every layer updates by at least 1e-4 of its weights a step (median; from 1.0e-03 to 2.0e-03)" in text


def test_a_run_that_was_never_finite_has_no_slope_and_no_updates_to_speak_of():
    text = verdict([[LOST, LOST]] * 3, [[LOST, LOST]] * 3, loss=[np.nan] * 3)
    assert text == "from step 0 on loss and gradients are not finite: it diverged."


def test_divergence_names_the_layers_if_they_are_not_all_and_the_update_that_began_it():
    text = verdict([[1.0, 1.0], [LOST, 1.0]], [[1.0, 1.0]] * 2, loss=[1.0, 1.0])
    assert text.startswith("from step 10 on gradients of layer fc1 are not finite: it diverged; ")
    broken = np.array([[True, True], [True, True]])
    text = verdict([[1.0, 1.0], [LOST, LOST]], [[LOST, LOST]] * 2, loss=[1.0, np.inf], not_finite=broken)
    assert "from step 10 on loss and gradients are not finite: it diverged, after an update in step 0" in text
    assert "is level (+0.00 decades a layer towards the output) at step 0" in text
    text = verdict([[1.0, 1.0]], [[LOST, 1.0]], loss=[1.0], not_finite=np.array([[True, False]]))
    assert text.startswith("from step 0 on activations, weights or updates of layer fc1 are not finite: it diverged")


def test_what_is_not_finite_now_and_then_is_counted():
    text = verdict([[1.0, 1.0], [LOST, 1.0], [1.0, 1.0]], [[1e-3, 1e-3]] * 3, loss=[1.0, 1.0, 1.0])
    assert text.startswith("loss or gradients were not finite in 1 of 3 steps (layer fc1); ")
    assert "diverged" not in text


def test_a_loss_that_is_no_single_number_is_not_one_that_diverged():
    assert "finite" not in verdict([[1.0, 1.0]] * 2, [[1e-3, 1e-3]] * 2, loss=[np.nan, np.nan])
    assert "finite" not in verdict([[1.0, 1.0]] * 2, [[1e-3, 1e-3]] * 2, loss=[1.0, np.nan])  # a step without backward
    assert "from step 10 on loss is not finite" in verdict([[1.0, 1.0]] * 2, [[1e-3, 1e-3]] * 2, loss=[1.0, np.inf])


def test_the_rest_begins_after_the_last_that_is_otherwise():
    assert first_of_the_rest([False, True, False, True, True]) == 3
    assert first_of_the_rest([True, True]) == 0
    assert first_of_the_rest([True, False]) is None
    assert first_of_the_rest([]) is None
