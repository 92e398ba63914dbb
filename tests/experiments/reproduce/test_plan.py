"""minidl/experiments/reproduce/plan.py: which runs, in which order, and what each of them needs."""

import pytest

from minidl.experiments.reproduce.methods import METHODS, RATES, REPLAYED
from minidl.experiments.reproduce.plan import make_plan, tuning_of

GRID = (0.01, 0.03)


def plan(**changes):
    given = {
        "iterations": 10,
        "methods": METHODS,
        "rates": RATES,
        "seeds": 2,
        "tuning_seeds": (1000, 1001),
        "base_rates": dict.fromkeys(METHODS, 0.01),
        "grids": dict.fromkeys(METHODS, GRID),
    }
    return make_plan("mnist", "quick", **(given | changes))


def ids(found):
    return [run.id for run in found.runs]


def test_the_runs_that_tell_most_come_first():
    assert ids(plan())[:8] == [
        "sgd-uniform-recipe-seed0",
        "sgd-ln-recipe-seed0",
        "sgd-constant-recipe-seed0",
        "sgd-per-step-recipe-seed0",
        "sgd-uniform-recipe-seed1",
        "sgd-ln-recipe-seed1",
        "sgd-constant-recipe-seed1",
        "sgd-per-step-recipe-seed1",
    ]


def test_the_order_is_arms_controls_seeds_the_tuned_uniform_rate_the_other_methods_log10_and_what_else_is_tuned():
    first = {}
    for run in plan().runs:
        first.setdefault((run.method == "sgd", run.rate, run.base if isinstance(run.base, str) else "grid"), run.stage)
    assert [key for key, _ in sorted(first.items(), key=lambda pair: pair[1])] == [
        (True, "uniform", "recipe"),
        (True, "ln", "recipe"),
        (True, "constant", "recipe"),
        (True, "per-step", "recipe"),
        (True, "uniform", "grid"),
        (True, "uniform", "tuned"),
        (False, "uniform", "recipe"),
        (False, "ln", "recipe"),
        (False, "constant", "recipe"),
        (False, "per-step", "recipe"),
        (False, "uniform", "grid"),
        (False, "uniform", "tuned"),
        (True, "log10", "recipe"),
        (False, "log10", "recipe"),
        (True, "ln", "grid"),
        (False, "ln", "grid"),
        (True, "ln", "tuned"),
        (False, "ln", "tuned"),
        (True, "per-step", "grid"),
        (False, "per-step", "grid"),
        (True, "per-step", "tuned"),
        (False, "per-step", "tuned"),
    ]


def test_the_methods_take_turns():
    runs = [run for run in plan().runs if run.stage == 5]
    assert [run.method for run in runs] == [m for m in METHODS[1:] for _ in range(2)]
    assert [run.method for run in plan().runs if run.stage == 9] == [*METHODS[1:]] * 2


def test_every_run_comes_after_the_runs_it_needs():
    seen = set()
    for run in plan().runs:
        assert seen.issuperset(run.needs), run
        seen.add(run.id)


def test_a_control_needs_the_layer_specific_run_with_the_same_method_rate_and_seed():
    for run in plan().runs:
        if run.rate in REPLAYED and run.base != "tuned":
            assert run.needs == (run.id.replace(run.rate, "ln"),)


def test_a_tuned_run_needs_the_tuning_runs_of_its_rule_over_the_whole_grid_on_seeds_that_are_not_reported():
    found = plan()
    named = {run.id: run for run in found.runs}
    for run in found.runs:
        if run.base == "tuned":
            rate = "per-step" if run.role == "twin" else run.rate
            tuning = tuning_of(run, [named[need] for need in run.needs])
            assert {(r.rate, r.base, r.seed) for r in tuning} == {(rate, b, s) for b in GRID for s in (1000, 1001)}


def test_the_tuned_control_has_a_layer_specific_twin_at_its_own_rate():
    named = {run.id: run for run in plan().runs}
    assert named["sgd-per-step-tuned-seed1"].needs[-1] == "sgd-ln-twin-seed1"
    assert named["sgd-ln-twin-seed1"].role == "twin"
    assert set(named["sgd-ln-twin-seed1"].needs) < set(named["sgd-per-step-tuned-seed1"].needs)


def test_a_method_without_a_grid_is_not_tuned():
    runs = plan(grids={"sgd": GRID}).runs
    assert {run.method for run in runs if run.base == "tuned" or run.role == "tuning"} == {"sgd"}


def test_only_what_is_asked_for_is_planned_and_in_one_order():
    assert ids(plan(methods=["nesterov"], rates=["ln", "uniform"], seeds=1, grids={})) == [
        "nesterov-uniform-recipe-seed0",
        "nesterov-ln-recipe-seed0",
    ]
    assert plan(methods=["adagrad", "sgd"]) == plan(methods=["sgd", "adagrad"])


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"methods": ["adam"]}, "methods: unknown 'adam'; choose from sgd, nesterov"),
        ({"methods": []}, "methods: none given; choose from sgd"),
        ({"methods": ["sgd", "sgd"], "seeds": 1}, None),
        ({"rates": ["uniform", "constant"]}, "constant replay a layer-specific run; add ln"),
        ({"rates": ["log"]}, "rates: unknown 'log'"),
        ({"seeds": 0}, "seeds: expected at least 1; got 0"),
        ({"iterations": 0}, "iterations: expected at least 1"),
        ({"seeds": 1001}, "tuning_seeds: 1000 is reported too"),
        ({"tuning_seeds": ()}, "tuning_seeds: expected at least one"),
        ({"grids": {"sgd": (0.1, float("inf"))}}, "expected positive numbers for sgd"),
        ({"grids": {"sgd": (0.1, 0.10000001)}}, "two runs of the name sgd-uniform-grid0.1-seed1000"),
    ],
)
def test_what_makes_no_plan_is_refused(changes, words):
    if words is None:
        assert plan(**changes) == plan(methods=["sgd"], seeds=1)
    else:
        with pytest.raises(ValueError, match=words):
            plan(**changes)
