"""What cannot be compared with the other results of its folder is left out, and named with the reason."""

import pytest

from minidl.experiments.reproduce.strangers import strangers
from tests.experiments.reproduce.factory import result_of, spec_of

NAMES = [f"sgd-{rate}-recipe-seed{seed}" for rate in ("uniform", "ln") for seed in range(3)]


AGAIN = "delete its folder, and it is done again"


def some_results(**changes):
    """Six results that go together, and {name: entries} of one that is changed."""
    specs = [spec_of("mnist", "quick", "sgd", rate, "recipe", seed) for rate in ("uniform", "ln") for seed in range(3)]
    found = {spec["id"]: {**result_of(spec, 0.1), "data": {"fingerprint": "a"}} for spec in specs}
    return {name: {**result, **(changes if name == NAMES[4] else {})} for name, result in found.items()}


def left_out(results, **plan):
    return strangers(results, plan, "mnist", "quick")


def test_results_that_go_together_stay():
    assert left_out(some_results()) == {}
    assert left_out(some_results(data=None)) == {}  # of which nothing is known
    assert left_out({name: {**result, "layers": []} for name, result in some_results().items()}) == {}


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"iterations": 50}, "has 50 steps, others have 1000: not of this reproduction"),
        ({"base_rate": 0.02}, f"was run at the base rate 0.02, the recipe's is 0.01: {AGAIN}"),
        ({"data": {"fingerprint": "b"}}, "was made on data with the fingerprint b, others on a"),
        ({"layers": []}, "has the layers none, others have fc1, fc2, fc3, fc4, fc5"),
        ({"layers": ["one", "two"]}, "has the layers one, two, others have fc1, fc2, fc3, fc4, fc5"),
    ],
)  # fmt: skip
def test_the_odd_one_is_left_out(changes, why):
    assert left_out(some_results(**changes)) == {NAMES[4]: why}


def test_a_run_counts_once_whatever_its_folder_is_called():
    results = some_results()
    assert left_out({**results, "another": results[NAMES[0]]}) == {"another": f"is the run {NAMES[0]} once more"}
    runs = [result["spec"] for result in results.values()]
    once_more = {"another": f"is the run {NAMES[0]} once more"}
    assert left_out({"another": results[NAMES[0]], **results}, runs=runs) == once_more  # the plan knows which
    short = {"another": results[NAMES[0]] | {"iterations": 50}, **results}
    assert list(left_out(short)) == ["another"]  # and what is left out anyway makes no other a second


def test_the_plan_says_what_the_recipes_rate_is():
    """As where the runs were made before a recipe was changed: then most of them are at the old one."""
    found = left_out(some_results(base_rate=0.02), settings={"base_rates": {"sgd": 0.02}})
    assert sorted(found) == sorted(set(NAMES) - {NAMES[4]})


def test_a_run_of_a_grid_is_at_the_rate_of_its_name():
    spec = spec_of("mnist", "quick", "sgd", "ln", 0.000316, 1000, "tuning")
    for rate, odd in ((0.000316, False), (0.0003160001, False), (0.01, True)):
        found = left_out({spec["id"]: {**result_of(spec, 0.1), "base_rate": rate}})
        assert bool(found) == odd


def test_a_tuned_run_may_be_at_any_rate():
    """Whether it is the best of its grid is seen where the grid is."""
    spec = spec_of("mnist", "quick", "sgd", "ln", "tuned", 0)
    assert left_out({spec["id"]: {**result_of(spec, 0.1), "base_rate": 0.5}}) == {}


def test_another_experiment_does_not_count_in_what_most_have():
    others = {f"other{k}": {**result_of(spec_of("deep-mlp", "quick", "sgd", "ln", "recipe", k), 0.1), "base_rate": 0.5}
              for k in range(20)}  # fmt: skip
    assert sorted(left_out({**others, **some_results()})) == sorted(others)
