"""minidl/experiments/reproduce/plan_file.py: the plan that may be edited, and the folder that it lies in."""

import json
from dataclasses import replace

import pytest

from minidl.experiments.reproduce.plan_file import open_plan, read_plan
from tests.experiments.reproduce.test_plan import ids, plan


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


def delete_tuning(text, rate):
    gone = [run["id"] for run in text["runs"] if (run["role"], run["rate"]) == ("tuning", rate)]
    text["runs"] = [
        run | {"needs": [n for n in run["needs"] if n not in gone]} for run in text["runs"] if run["id"] not in gone
    ]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (
            lambda text: text.update(format=2),
            "expected format 1; got 2: another version .* wrote it. Mend it, or",
        ),
        (
            put("iterations", 5, 1),
            "sgd-uniform-recipe-seed0 has 10 iterations and sgd-ln-recipe-seed0 has 5, ",
        ),
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
        (put("needs", [], 2), "sgd-constant-recipe-seed0 replays the run of ln .* It is sgd-ln-recipe-seed0: put that"),
        (put("needs", [], 8), "sgd-uniform-tuned-seed0 is tuned on all .* put sgd-uniform-grid0.01-seed1000, .*into"),
        (lambda text: delete_tuning(text, "uniform"), "uniform-tuned-seed0 has to be tuned, .* no tuning .*delete it"),
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
    with pytest.raises(ValueError, match=r"plan\.json is damaged or not a plan: .*\. Mend it, or delete it and ask"):
        read_plan(path)


# ---- what a run needs


def rewired(tmp_path, name, *needs):
    """A plan in which one run needs these others alone."""

    def change(text):
        [run] = [run for run in text["runs"] if run["id"] == name]
        run["needs"] = [*needs]

    return edited(tmp_path, change)


def tuning(rate):
    return [f"sgd-{rate}-grid{base}-seed{seed}" for seed in (1000, 1001) for base in (0.01, 0.03)]


@pytest.mark.parametrize(
    ("name", "needs", "words"),
    [
        ("sgd-constant-recipe-seed0", ["sgd-ln-tuned-seed0"], "It is sgd-ln-recipe-seed0: put that into its needs"),
        ("sgd-per-step-recipe-seed0", ["sgd-ln-twin-seed0"], "It is sgd-ln-recipe-seed0: put that into its needs"),
        ("sgd-per-step-grid0.01-seed1000", ["sgd-ln-grid0.03-seed1000"], "It is sgd-ln-grid0.01-seed1000: put that"),
        ("sgd-per-step-grid0.01-seed1000", ["sgd-ln-grid0.01-seed1001"], "It is sgd-ln-grid0.01-seed1000: put that"),
        ("sgd-per-step-tuned-seed0", [*tuning("per-step"), "sgd-ln-tuned-seed0"], "It is sgd-ln-twin-seed0: put that"),
        ("sgd-per-step-tuned-seed0", [*tuning("per-step"), "sgd-ln-recipe-seed0"], "It is sgd-ln-twin-seed0: put that"),
    ],
)
def test_a_control_that_would_replay_another_run_is_refused(tmp_path, name, needs, words):
    with pytest.raises(ValueError, match=f"the run {name} replays the run of ln with its method, seed .*{words}"):
        read_plan(rewired(tmp_path, name, *needs))


@pytest.mark.parametrize(
    ("name", "needs", "words"),
    [
        ("sgd-ln-tuned-seed0", tuning("uniform"), "of sgd and ln .* put sgd-ln-grid.* and take sgd-uniform-grid0.01-"),
        ("sgd-ln-tuned-seed0", tuning("ln")[1:], "of sgd and ln .* put sgd-ln-grid0.01-seed1000 into its needs"),
        ("sgd-ln-tuned-seed0", tuning("ln") + tuning("uniform")[:1], "of .* take sgd-uniform-grid0.01-seed1000 out of"),
        ("sgd-ln-twin-seed0", tuning("ln"), "of sgd and per-step .* put sgd-per-step-grid0.01-seed1000, "),
        ("sgd-per-step-tuned-seed0", [*tuning("ln"), "sgd-ln-twin-seed0"], "of sgd and per-step .* take sgd-ln-grid"),
    ],
)
def test_a_run_that_would_be_tuned_on_the_runs_of_another_rule_is_refused(tmp_path, name, needs, words):
    with pytest.raises(ValueError, match=f"the run {name} is tuned on all tuning runs {words}"):
        read_plan(rewired(tmp_path, name, *needs))


def test_what_cannot_be_tuned_is_refused(tmp_path):
    """A constant control that is tuned would be a tuned uniform rate."""

    def add(text):
        text["runs"].append(text["runs"][2] | {"id": "sgd-constant-tuned-seed0", "base": "tuned"})

    with pytest.raises(ValueError, match="expected rate to be uniform or ln or per-step; got 'constant'"):
        read_plan(edited(tmp_path, add))


# ---- what may be edited


def test_all_runs_may_be_longer(tmp_path):
    """Not only as long as the settings say, from which the plan was made."""

    def lengthen(text):
        for run in text["runs"]:
            run["iterations"] = 70

    edited(tmp_path, lengthen)
    assert {run.iterations for run in open_plan(plan(seeds=1, methods=["sgd"]), tmp_path).runs} == {70}
    larger = open_plan(plan(seeds=2, methods=["sgd"]), tmp_path)
    assert {(run.seed, run.iterations) for run in larger.runs if run.role == "report"} == {(0, 70), (1, 70)}
    assert read_plan(tmp_path / "plan.json") == larger


def test_further_seeds_are_tuned_on_the_tuning_runs_that_are_left(tmp_path):
    def thin_out(text):
        gone = [run["id"] for run in text["runs"] if run["base"] == 0.03]
        text["runs"] = [run for run in text["runs"] if run["id"] not in gone]
        for run in text["runs"]:
            run["needs"] = [need for need in run["needs"] if need not in gone]

    edited(tmp_path, thin_out)
    larger = open_plan(plan(seeds=2, methods=["sgd"]), tmp_path)
    assert read_plan(tmp_path / "plan.json") == larger
    needs = {run.id: run.needs for run in larger.runs}
    assert needs["sgd-ln-tuned-seed1"] == needs["sgd-ln-tuned-seed0"] != ()
    assert needs["sgd-per-step-tuned-seed1"][-1] == "sgd-ln-twin-seed1"


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
    with pytest.raises(ValueError, match=r"with other settings .iterations 10 there, 20 asked for.*another --out"):
        open_plan(plan(iterations=20), tmp_path)
    with pytest.raises(ValueError, match=r"settings .recipe mnist there, digits asked for.\. Choose another --out"):
        open_plan(replace(plan(iterations=20), recipe="digits"), tmp_path)
    with pytest.raises(ValueError, match="seeds 2 there, 1 asked for"):
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
    (tmp_path / ".running.json.0123abcd.part").write_text("{", encoding="utf-8")
    assert open_plan(plan(), tmp_path) == plan()


def test_a_folder_whose_plan_was_deleted_gets_it_again(tmp_path):
    """As the message about a damaged plan advises."""
    (tmp_path / "runs" / "sgd-ln-recipe-seed0").mkdir(parents=True)
    (tmp_path / "results.json").write_text("{}", encoding="utf-8")
    assert open_plan(plan(), tmp_path) == plan() == read_plan(tmp_path / "plan.json")


def test_the_folder_of_all_reproductions_is_none(tmp_path):
    (tmp_path / "runs" / "reproduce-mnist-quick").mkdir(parents=True)
    with pytest.raises(ValueError, match="exists and is not a reproduction's folder"):
        open_plan(plan(), tmp_path)


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
