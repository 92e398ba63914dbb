"""minidl/experiments/reproduce/plan.py: which runs, in which order, and the file that may be edited."""

import json
from dataclasses import replace

import pytest

from minidl.experiments.reproduce.methods import METHODS, RATES, REPLAYED
from minidl.experiments.reproduce.plan import make_plan, open_plan, read_plan, tuning_of

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


# ---- the file


def test_a_plan_is_read_as_it_was_written_one_line_a_run(tmp_path):
    path = tmp_path / "plan.json"
    plan().save(path)
    assert read_plan(path) == plan()
    lines = path.read_text(encoding="utf-8").splitlines()
    assert sum('"id"' in line for line in lines) == len(plan().runs)
    assert json.loads(path.read_text(encoding="utf-8")) == plan().as_dict()


def edited(tmp_path, change):
    path = tmp_path / "plan.json"
    text = plan(seeds=1, methods=["sgd"]).as_dict()
    text = json.loads(json.dumps(text))
    change(text)
    path.write_text(json.dumps(text), encoding="utf-8")
    return path


def delete(number):
    return lambda text: text["runs"].pop(number)


def put(name, value, number=0):
    return lambda text: text["runs"][number].update({name: value})


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda text: text.update(format=2), "expected format 1; got 2"),
        (lambda text: text.pop("settings"), "it has no entry 'settings'"),
        (lambda text: text["settings"].update(lr=1), "its entry 'lr' is not known here"),
        (put("seed", "0"), "runs, 0, seed: expected a whole number"),
        (put("id", "../../elsewhere"), r"runs, 0 \('../../elsewhere'\): expected the id 'sgd-uniform-recipe-seed0'"),
        (put("seed", -1), "expected seed of at least 0"),
        (put("iterations", 0), "expected iterations of at least 1"),
        (put("recipe", "cifar"), "expected recipe to be mnist; got 'cifar'"),
        (put("method", "nesterov"), "expected method to be sgd; got 'nesterov'"),
        (put("base", 0.1), "expected base to be 'recipe' or 'tuned' in a run of role report; got 0.1"),
        (put("base", float("nan"), 4), "expected base to be a positive number in a run of role tuning; got nan"),
        (put("needs", ["sgd-ln"]), "needs sgd-ln, which is not there: delete sgd-uniform-recipe-seed0 too"),
        (delete(1), "sgd-constant-recipe-seed0 needs sgd-ln-recipe-seed0, which is not there"),
        (put("needs", [], 2), "sgd-constant-recipe-seed0 replays a run of ln and needs none"),
        (put("needs", [], 8), "sgd-uniform-tuned-seed0 has to be tuned and needs no tuning run"),
        (put("needs", ["sgd-per-step-recipe-seed0"], 1), "need each other in a circle: sgd-ln-recipe-seed0, sgd-const"),
        (lambda text: text["runs"].append(text["runs"][0]), "the run sgd-uniform-recipe-seed0 comes twice"),
    ],
)
def test_a_damaged_plan_is_named_and_refused(tmp_path, change, words):
    path = edited(tmp_path, change)
    with pytest.raises(ValueError, match=words) as caught:
        read_plan(path)
    assert str(caught.value).startswith(str(path))


def test_what_is_no_json_is_named_and_refused(tmp_path):
    path = tmp_path / "plan.json"
    path.write_text('{"format": 1,', encoding="utf-8")
    with pytest.raises(ValueError, match=r"plan\.json is damaged or not a plan"):
        read_plan(path)


def test_runs_may_be_deleted_and_added_by_hand(tmp_path):
    def change(text):
        text["runs"] = text["runs"][:2]
        text["runs"].append(text["runs"][0] | {"seed": 7, "id": "sgd-uniform-recipe-seed7"})

    path = edited(tmp_path, change)
    wanted = plan(seeds=1, methods=["sgd"])
    assert ids(open_plan(wanted, tmp_path)) == [
        "sgd-uniform-recipe-seed0",
        "sgd-ln-recipe-seed0",
        "sgd-uniform-recipe-seed7",
    ]
    assert path == tmp_path / "plan.json"


# ---- a folder


def test_a_new_folder_gets_the_plan_and_then_keeps_it(tmp_path):
    folder = tmp_path / "new"
    assert open_plan(plan(), folder) == plan() == read_plan(folder / "plan.json")
    assert open_plan(plan(), folder) == plan()


def test_a_folder_with_a_plan_of_other_settings_is_refused(tmp_path):
    open_plan(plan(), tmp_path)
    with pytest.raises(ValueError, match=r"with other settings .its iterations is 10, asked for is 20.*another --out"):
        open_plan(plan(iterations=20), tmp_path)
    with pytest.raises(ValueError, match=r"settings .its recipe is mnist, asked for is digits.\. Choose another --out"):
        open_plan(replace(plan(iterations=20), recipe="digits"), tmp_path)
    with pytest.raises(ValueError, match="its seeds is 2, asked for is 1"):
        open_plan(plan(seeds=1), tmp_path)


def test_a_folder_with_something_else_is_refused(tmp_path):
    (tmp_path / "thesis.tex").write_text("", encoding="utf-8")
    with pytest.raises(ValueError, match="exists and is not a reproduction's folder; choose another --out"):
        open_plan(plan(), tmp_path)
    with pytest.raises(ValueError, match="is not a reproduction's folder"):
        open_plan(plan(), tmp_path / "thesis.tex")


def test_a_folder_that_was_left_before_the_plan_was_written_is_no_other(tmp_path):
    (tmp_path / "running.json").write_text("{}", encoding="utf-8")
    (tmp_path / ".plan.json.0123abcd.part").write_text("{", encoding="utf-8")
    assert open_plan(plan(), tmp_path) == plan()


def test_more_seeds_are_added_to_the_plan_that_is_there(tmp_path):
    open_plan(plan(seeds=2), tmp_path)
    larger = open_plan(plan(seeds=3), tmp_path)
    assert set(ids(larger)) == set(ids(plan(seeds=3)))
    assert [run.stage for run in larger.runs] == sorted(run.stage for run in larger.runs)
    assert read_plan(tmp_path / "plan.json") == larger


def test_to_a_plan_of_which_runs_were_deleted_no_seed_is_added_that_would_need_them(tmp_path):
    small = open_plan(plan(seeds=1), tmp_path).as_dict()
    small["runs"] = [run for run in small["runs"] if run["role"] == "report" and run["base"] == "recipe"]
    (tmp_path / "plan.json").write_text(json.dumps(small), encoding="utf-8")
    larger = open_plan(plan(seeds=2), tmp_path)
    assert {run.base for run in larger.runs} == {"recipe"}
    assert {run.seed for run in larger.runs} == {0, 1}
