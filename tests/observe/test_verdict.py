import numpy as np
import pytest

from minidl.observe.verdict import (
    decades_per_layer,
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


def verdict(gradients, ratio, weights=None, notes=()):
    gradients = np.asarray(gradients)
    names = [f"fc{i + 1}" for i in range(gradients.shape[1])]
    weights = gradients if weights is None else np.asarray(weights)
    return flow_verdict(names, np.arange(len(gradients)) * 10, gradients, np.asarray(ratio), weights, notes)


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
