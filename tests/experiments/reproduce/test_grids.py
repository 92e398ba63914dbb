"""What the tuning found: the best rate of a grid that is done, whether it ends the grid, and who was not run at it."""

import copy
import math

import pytest

from minidl.experiments.reproduce.grids import Grid, best_rate, grids_of, not_at_their_best


def test_the_best_rate_has_the_lowest_mean_score():
    assert best_rate({0.01: [1.0, 3.0], 0.03: [1.5, 1.5], 0.1: [0.1, 9.0]}) == 0.03


def test_of_equal_rates_the_smaller_is_best():
    assert best_rate({0.1: [1.0], 0.01: [1.0], 0.03: [2.0]}) == 0.01


def test_a_rate_that_diverged_once_is_out():
    assert best_rate({0.01: [2.0, 2.0], 0.03: [0.1, math.inf], 0.1: [math.nan, 0.1]}) == 0.01
    assert best_rate({0.1: [math.inf], 0.01: [math.nan], 1.0: []}) is None


@pytest.mark.parametrize(
    ("scores", "best", "at_edge"),
    [
        ({0.1: [3.0, 3.0], 0.3: [2.0, 2.0], 1.0: [3.0, 3.0]}, 0.3, False),
        ({0.1: [1.0, 1.0], 0.3: [2.0, 2.0], 1.0: [3.0, 3.0]}, 0.1, True),
        ({0.1: [3.0, 3.0], 0.3: [2.0, 2.0], 1.0: [1.0, 1.0]}, 1.0, True),
        ({0.1: [3.0, 3.0], 0.3: [2.0, 2.0], 1.0: [1.0]}, None, False),
        ({0.1: [math.inf] * 2, 0.3: [math.inf] * 2}, None, False),
    ],
)
def test_a_grid_has_a_best_rate_once_it_is_done(scores, best, at_edge):
    grid = Grid(scores, 2)
    assert (grid.best, grid.at_edge) == (best, at_edge)


@pytest.mark.parametrize(
    ("grid", "lack"),
    [
        (Grid({0.1: [3.0, 3.0], 0.3: [2.0, 2.0]}, 2), ""),
        (Grid({0.1: [3.0, 3.0], 0.3: [2.0]}, 2), "has 3 of its 4 runs"),
        (Grid({0.1: [math.inf] * 2, 0.3: [math.nan] * 2}, 2), "led nowhere at any rate"),
        (Grid({0.1: [3.0, 3.0], 0.3: [2.0, 2.0]}, 2, known=False), "is in no plan"),
    ],
)
def test_a_grid_without_a_best_rate_says_why(grid, lack):
    assert grid.lack == lack
    assert (grid.best is None) == bool(lack)


def test_the_grids_of_a_method(collected_case):
    collected = collected_case("clear gain", methods=("sgd", "adagrad"))
    found = grids_of(collected, "adagrad")
    assert list(found) == ["uniform", "ln", "per-step"]
    assert {rule: (list(grid.scores), grid.seeds, grid.best) for rule, grid in found.items()} == dict.fromkeys(
        found, ([0.003, 0.01, 0.03], 2, 0.01)
    )
    assert grids_of(collected, "nesterov") == {}
    planned = {**collected, "settings": {"grids": {"adagrad": [0.003, 0.01, 0.03, 0.1]}, "tuning_seeds": [1000, 1001]}}
    assert grids_of(planned, "adagrad")["ln"].best is None  # 0.1 is to come


def test_a_best_rate_may_end_its_grid(collected_case):
    collected = collected_case("clear gain")
    assert not any(grid.at_edge for grid in grids_of(collected, "sgd").values())
    shorter = {
        "settings": {"grids": {"sgd": [0.003, 0.01]}, "tuning_seeds": [1000, 1001]},
        "runs": [run for run in collected["runs"] if run["base_rate"] != 0.03],
    }
    assert all(grid.at_edge for grid in grids_of(shorter, "sgd").values())


@pytest.mark.parametrize("settings", [{}, {"tuning_seeds": [1000, 1001]}, {"grids": {"sgd": [0.01]}}])
def test_without_a_plan_that_says_which_rates_make_it_a_grid_has_no_best_rate(collected_case, settings):
    collected = {**collected_case("clear gain"), "settings": settings}
    assert [(grid.best, grid.at_edge) for grid in grids_of(collected, "sgd").values()] == [(None, False)] * 3
    for run in (collected := copy.deepcopy(collected))["runs"]:
        run["base_rate"] = 0.03 if run["base"] == "tuned" else run["base_rate"]
    assert not_at_their_best(collected) == {}


def test_tuned_runs_that_are_not_at_the_best_rate_are_named(collected_case):
    collected = copy.deepcopy(collected_case("clear gain", seeds=2))
    assert not_at_their_best(collected) == {}
    for run in collected["runs"]:
        if run["role"] == "tuning" and run["rate"] == "ln" and run["base_rate"] == 0.03:
            run["validation"]["loss"] = 0.001
    assert not_at_their_best(collected) == {
        f"sgd-ln-tuned-seed{seed}": "was run at 0.01, but the best rate of its grid is 0.03" for seed in (0, 1)
    }


def test_a_twin_is_at_the_best_rate_of_the_control_that_replays_it(collected_case):
    collected = copy.deepcopy(collected_case("clear gain", seeds=1))
    ln = next(run for run in collected["runs"] if run["id"] == "sgd-ln-tuned-seed0")
    collected["runs"].append({**ln, "id": "sgd-ln-twin-seed0", "role": "twin", "base": "tuned", "base_rate": 0.03})
    assert list(not_at_their_best(collected)) == ["sgd-ln-twin-seed0"]
