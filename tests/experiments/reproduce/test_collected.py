"""All results in one small file, and nothing damaged in it."""

import json
import math

import pytest

from minidl.experiments.reproduce.collected import as_text, collect, file_name, load, save, without_places
from tests.experiments.reproduce.factory import result_of, spec_of, write_result, write_runs


def test_every_run_is_in_it_with_what_the_report_needs(collected_case):
    found = collected_case("clear gain")
    assert (found["recipe"], found["scale"], found["planned"]) == ("mnist", "quick", len(found["runs"]))
    assert found["missing"] == []
    assert found["failed"] == found["damaged"] == {}
    run = next(run for run in found["runs"] if run["id"] == "sgd-ln-recipe-seed3")
    original = result_of(spec_of("mnist", "quick", "sgd", "ln", "recipe", 3), 0.05)
    assert run["looks"]["accuracy"] == [look["accuracy"] for look in original["looks"]]
    assert run["base_rate"] == original["base_rate"]
    assert found["environments"][run["environment"]]["versions"] == original["versions"]
    assert found["environments"][run["environment"]]["command"] == original["command"]


def test_of_each_layer_the_first_and_the_median_value_are_kept(collected_case):
    run = next(run for run in collected_case("clear gain")["runs"] if run["id"] == "sgd-ln-recipe-seed3")
    flow = result_of(spec_of("mnist", "quick", "sgd", "ln", "recipe", 3), 0.05)["flow"]
    for key in ("norms", "multipliers", "relative_updates"):
        columns = list(zip(*flow[key], strict=True))
        middle = [sorted(column)[len(column) // 2 - 1 : len(column) // 2 + 1] for column in columns]
        assert run["layers"][key]["first"] == flow[key][0]
        for value, (low, high) in zip(run["layers"][key]["middle"], middle, strict=True):
            assert low * 0.999 <= value <= high * 1.001


def test_of_one_seed_an_arm_the_layers_are_kept_over_time(collected_case):
    runs = collected_case("clear gain")["runs"]
    assert {run["seed"] for run in runs if "flow" in run} == {0}
    assert all(run["flow"]["steps"][0] == 1 and run["flow"]["steps"][-1] == 1000 for run in runs if "flow" in run)


def test_of_the_tuning_only_its_outcome_is_kept(collected_case):
    tuning = [run for run in collected_case("clear gain")["runs"] if run["role"] == "tuning"]
    assert tuning
    assert all("looks" not in run and "curve" not in run and run["validation"]["loss"] > 0 for run in tuning)


def test_a_diverged_run_keeps_its_gaps(collected_case):
    run = next(run for run in collected_case("diverges")["runs"] if run["id"] == "sgd-ln-recipe-seed0")
    assert run["diverged_at"] == 500
    assert run["looks"]["loss"][-1] is None
    assert run["curve"]["loss"][-1] is None


def test_three_hundred_runs_take_less_than_a_megabyte(tmp_path):
    names = write_runs(tmp_path, methods=("sgd", "nesterov", "adagrad", "adagrad-layer"), seeds=6,
                       layers=tuple(f"hidden{k}" for k in range(8)))  # fmt: skip
    assert len(names) >= 264
    assert len(as_text(collect(tmp_path))) * 300 / len(names) < 1_000_000


# ---- what is missing, failed or damaged


def test_what_was_not_run_and_what_failed_is_told_apart(tmp_path):
    write_runs(tmp_path, "missing arms", seeds=2, missing=("sgd-ln-recipe-seed0", "sgd-ln-recipe-seed1"))
    failed = tmp_path / "runs" / "sgd-ln-recipe-seed1"
    failed.mkdir(parents=True)
    (failed / "error.txt").write_text("OSError: the disk is full\nTraceback ...\n")
    found = collect(tmp_path)
    assert found["missing"] == ["sgd-ln-recipe-seed0"]
    assert found["failed"] == {"sgd-ln-recipe-seed1": "OSError: the disk is full"}


def test_a_twin_that_was_not_needed_is_not_missing(tmp_path):
    """Where the control's best rate is that of a run that is there, the control replays that one."""
    write_runs(tmp_path, seeds=2, missing=("sgd-per-step-tuned-seed1",))
    path = tmp_path / "plan.json"
    plan = json.loads(path.read_text())
    for seed in (0, 1):
        twin = spec_of("mnist", "quick", "sgd", "ln", "tuned", seed, "twin")
        plan["runs"].append({**twin, "id": f"sgd-ln-twin-seed{seed}"})
    path.write_text(json.dumps(plan))
    found = collect(tmp_path)
    assert found["missing"] == ["sgd-per-step-tuned-seed1", "sgd-ln-twin-seed1"]
    assert found["planned"] == len(found["runs"]) + 2


def test_an_error_of_an_earlier_try_is_forgotten(tmp_path):
    write_runs(tmp_path, "missing arms", seeds=1)
    (tmp_path / "runs" / "sgd-ln-recipe-seed0" / "error.txt").write_text("earlier")
    assert collect(tmp_path)["failed"] == {}


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ('{"format": 1', "is no strict JSON"),
        ("{}", "expected format 1"),
        ("[1]", "expected entries by name"),
        ('{"format": 1, "spec": NaN}', "NaN stands in it"),
        (b"\xff\xfe", "UTF-8"),
    ],
)
def test_a_damaged_result_is_left_out_and_named(tmp_path, content, said):
    write_runs(tmp_path, "missing arms", seeds=2)
    path = tmp_path / "runs" / "sgd-ln-recipe-seed0" / "result.json"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    found = collect(tmp_path)
    assert said in found["damaged"]["sgd-ln-recipe-seed0"]
    assert "sgd-ln-recipe-seed0" not in [run["id"] for run in found["runs"]]
    assert found["missing"] == []
    assert len(found["runs"]) == 3


def test_a_result_in_another_runs_folder_is_left_out(tmp_path):
    write_runs(tmp_path, "missing arms", seeds=1)
    (tmp_path / "runs" / "sgd-ln-recipe-seed0").rename(tmp_path / "runs" / "sgd-ln-recipe-seed7")
    assert "it says it is the run" in collect(tmp_path)["damaged"]["sgd-ln-recipe-seed7"]


def test_a_result_of_another_experiment_is_left_out(tmp_path):
    write_runs(tmp_path, "missing arms", seeds=1)
    write_result(tmp_path, result_of(spec_of("cifar10-quick", "quick", "sgd", "ln", "recipe", 5), 0.1))
    found = collect(tmp_path)
    assert "not of this reproduction" in found["damaged"]["sgd-ln-recipe-seed5"]


def test_results_of_other_lengths_are_left_out(tmp_path):
    """As after an edit of the plan in between, or in a folder whose plan is lost."""
    write_runs(tmp_path, "missing arms", seeds=2)
    spec = spec_of("mnist", "quick", "sgd", "ln", "recipe", 1)
    write_result(tmp_path, result_of({**spec, "iterations": 5000}, 0.1))
    for _ in ("with a plan", "without"):
        found = collect(tmp_path)
        assert found["damaged"] == {spec["id"]: "has 5000 steps, others have 1000: not of this reproduction"}
        assert {run["iterations"] for run in found["runs"]} == {1000}
        (tmp_path / "plan.json").unlink(missing_ok=True)


def test_a_result_that_is_not_the_run_that_is_planned_is_left_out(tmp_path):
    write_runs(tmp_path, "missing arms", seeds=1)
    spec = spec_of("mnist", "quick", "sgd", "ln", "recipe", 0)
    write_result(tmp_path, result_of({**spec, "rate": "log10", "seed": 3}, 0.1))
    found = collect(tmp_path)
    assert found["damaged"] == {spec["id"]: "has another rate and seed than the plan says: not of this reproduction"}


def test_results_that_begin_with_other_weights_than_the_others_of_their_seed_are_left_out(tmp_path):
    names = write_runs(tmp_path, "missing arms", seeds=3)
    for name in names:
        change(tmp_path, name, checks={"first_weights": f"weights of {name[-5:]}"})
    odd = "sgd-ln-recipe-seed0"
    for name in write_runs(tmp_path / "more", "clear gain", seeds=1, arms=("constant", "log10")):
        (tmp_path / "more" / "runs" / name).rename(tmp_path / "runs" / name)
        change(tmp_path, name, checks={"first_weights": "weights of seed0"})
    change(tmp_path, odd, checks={"first_weights": "another network's"}, versions={"commit": "def5678"})
    found = collect(tmp_path)
    assert list(found["damaged"]) == [odd]
    assert found["damaged"][odd].startswith(
        "begins with other weights (minidl def5678) than 3 runs of its seed (minidl abc1234)"
    )
    assert {run["begins_with"] for run in found["runs"]} == {f"weights of seed{k}" for k in range(3)}


def test_a_result_whose_first_weights_are_no_checksum_is_damaged(tmp_path):
    name = write_runs(tmp_path, "missing arms", seeds=1)[0]
    for key in ("first_weights", "begins_with"):
        change(tmp_path, name, checks={key: 5})
        assert f"{key}: expected a text; got 5" in collect(tmp_path)["damaged"][name]


def test_results_of_something_else_have_no_say_in_what_a_seed_begins_with(tmp_path):
    own = write_runs(tmp_path, "missing arms", seeds=1)
    for name in own:
        change(tmp_path, name, checks={"first_weights": "own"})
    others = write_runs(tmp_path / "more", "clear gain", recipe="cifar10-quick", seeds=1, arms=("constant", "log10",
                                                                                              "per-step"))  # fmt: skip
    for name in others:
        (tmp_path / "more" / "runs" / name).rename(tmp_path / "runs" / name)
        change(tmp_path, name, checks={"first_weights": "another network's"})
    found = collect(tmp_path)
    assert sorted(found["damaged"]) == sorted(others)
    assert all("not of this reproduction" in why for why in found["damaged"].values())


@pytest.mark.parametrize(
    "settings",
    [
        None,
        [],
        {"grids": None},
        {"grids": {"sgd": 3}},
        {"tuning_seeds": 7},
        {"base_rates": {"sgd": "x"}},
        {"grids": {"sgd": [0.01, math.inf]}},
        {"base_rates": {"sgd": -1.0}},
    ],
)
def test_a_plan_with_settings_that_are_none_is_damaged(tmp_path, settings):
    write_runs(tmp_path, "missing arms", seeds=1)
    path = tmp_path / "plan.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "settings": settings}).replace("Infinity", "1e999"))
    found = collect(tmp_path)
    why = found["damaged"]["plan.json"]
    assert "settings" in why or "1e999 stands in it" in why
    assert len(found["runs"]) == 2
    assert found["settings"] == {}


def test_a_tuned_run_that_is_not_at_the_best_rate_of_its_grid_is_left_out(tmp_path):
    names = write_runs(tmp_path, seeds=1)
    change(tmp_path, "sgd-ln-tuned-seed0", base_rate=0.03)
    found = collect(tmp_path)
    assert found["damaged"] == {
        "sgd-ln-tuned-seed0": "was run at 0.03, but the best rate of its grid is 0.01: delete its folder"
    }
    assert "sgd-ln-tuned-seed0" not in {run["id"] for run in found["runs"]}
    assert (found["planned"], found["missing"]) == (len(names), [])


def test_with_what_no_run_that_counts_was_made_is_not_told(tmp_path):
    write_runs(tmp_path, seeds=1)
    change(tmp_path, "sgd-ln-tuned-seed0", base_rate=0.03, command="minidl reproduce mnist --out elsewhere")
    found = collect(tmp_path)
    assert "sgd-ln-tuned-seed0" in found["damaged"]
    assert not [place for place in found["environments"] if "elsewhere" in place["command"]]


@pytest.mark.parametrize("entry", [{"recipe": 3}, {"scale": ["quick"]}, {"runs": [{"id": ["a"], "role": "twin"}]}])
def test_a_plan_with_entries_of_another_kind_is_damaged(tmp_path, entry):
    write_runs(tmp_path, "missing arms", seeds=1)
    path = tmp_path / "plan.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **entry}))
    found = collect(tmp_path)
    assert list(found["damaged"]) == ["plan.json"]
    assert len(found["runs"]) == 2


@pytest.mark.parametrize("entry", [{"settings": {"grids": None}}, {"data": "x"}, {"missing": [3]}])
def test_a_file_of_collected_results_with_entries_of_another_kind_is_refused(tmp_path, collected_case, entry):
    save({**collected_case("clear gain"), **entry}, tmp_path / "mnist-quick.json")
    with pytest.raises(ValueError, match=r"mnist-quick\.json"):
        load(tmp_path / "mnist-quick.json")


@pytest.mark.parametrize(
    ("entries", "said"),
    [
        ({"environments": [1]}, "environments, 0: expected entries by name; got 1"),
        ({"environments": [{"versions": 2}]}, "environments, versions: expected entries by name or null; got 2"),
        ({"layers": ["one"]}, "expected a number for each of 1 layers"),
        ({"layers": [1]}, "layers, 0: expected a text"),
        ({"recipe": "../evil"}, "recipe: expected small letters and figures"),
        ({"data": {"train": "many"}}, "data, train: expected a whole number"),
        ({"planned": "all"}, "planned: expected a whole number or null"),
        ({"failed": {"a": 5}}, "failed, a: expected a text"),
    ],
)
def test_a_file_that_no_report_could_be_made_of_is_refused(tmp_path, collected_case, entries, said):
    save({**collected_case("clear gain"), **entries}, tmp_path / "a.json")
    with pytest.raises(ValueError, match=said):
        load(tmp_path / "a.json")


def test_an_arm_has_one_run_a_seed(tmp_path, collected_case):
    case = collected_case("clear gain")
    save({**case, "runs": [*case["runs"], case["runs"][0] | {"id": "another"}]}, tmp_path / "a.json")
    with pytest.raises(ValueError, match=r"holds 2 runs of sgd, .*, with seed 0"):
        load(tmp_path / "a.json")


@pytest.mark.parametrize(
    ("looks", "said"),
    [
        ({"iteration": [300, 200], "accuracy": [0.9, 0.9]}, "looks: expected at least one, at iterations that grow"),
        ({"iteration": [200, 300], "accuracy": [0.9, 97.0]}, "accuracy: expected parts .* from 0 to 1; got 97.0"),
    ],
)
def test_looks_grow_and_accuracies_are_parts(tmp_path, collected_case, looks, said):
    case = collected_case("clear gain")
    odd = case["runs"][0] | {"looks": {**looks, "loss": [0.1, 0.1], "seconds": [1.0, 2.0]}}
    save({**case, "runs": [odd]}, tmp_path / "a.json")
    with pytest.raises(ValueError, match=said):
        load(tmp_path / "a.json")


def test_a_run_counts_once(tmp_path, collected_case):
    case = collected_case("clear gain")
    save({**case, "runs": [*case["runs"], case["runs"][0]]}, tmp_path / "a.json")
    with pytest.raises(ValueError, match=r"holds the run 'sgd-.*' more than once"):
        load(tmp_path / "a.json")


def test_without_a_plan_the_experiment_is_that_of_most_results(tmp_path):
    write_runs(tmp_path, "missing arms", seeds=3)
    (tmp_path / "plan.json").unlink()
    write_result(tmp_path, result_of(spec_of("cifar10-quick", "quick", "adagrad", "ln", "recipe", 5), 0.1))
    found = collect(tmp_path)
    assert (found["recipe"], len(found["runs"])) == ("mnist", 6)
    assert list(found["damaged"]) == ["adagrad-ln-recipe-seed5"]


@pytest.mark.parametrize("name", ["../evil", "/evil", "", "a b"])
def test_a_name_that_is_no_part_of_a_files_name_is_refused(tmp_path, name):
    write_runs(tmp_path, "missing arms", seeds=1)
    path = tmp_path / "plan.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "recipe": name}))
    found = collect(tmp_path)
    assert "its recipe: expected small letters and figures with hyphens between them" in found["damaged"]["plan.json"]
    assert found["recipe"] == "mnist"


def change(out, name, **entries):
    path = out / "runs" / name / "result.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **entries}))


def test_a_damaged_run_is_told_once_and_counted_once(tmp_path):
    write_runs(tmp_path, "missing arms", seeds=1)
    folder = tmp_path / "runs" / "sgd-ln-recipe-seed0"
    (folder / "result.json").write_text("{")
    (folder / "error.txt").write_text("earlier")
    found = collect(tmp_path)
    assert (found["planned"], len(found["runs"]), [*found["damaged"]], found["failed"]) == (2, 1, [folder.name], {})


def test_runs_without_a_plan_are_collected_and_that_is_said(tmp_path):
    write_runs(tmp_path, "missing arms", seeds=1)
    (tmp_path / "plan.json").unlink()
    found = collect(tmp_path)
    assert (found["planned"], len(found["runs"]), found["recipe"]) == (None, 2, "mnist")


def test_a_damaged_plan_is_named(tmp_path):
    write_runs(tmp_path, "missing arms", seeds=1)
    (tmp_path / "plan.json").write_text("[]")
    found = collect(tmp_path)
    assert found["damaged"] == {"plan.json": "it is no plan: it has no list of runs"}
    assert len(found["runs"]) == 2


def test_a_folder_of_something_else_is_refused(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"plan.json and runs/; got"):
        collect(tmp_path)


# ---- its file


def test_its_file_holds_the_same_is_strict_and_has_a_run_a_line(tmp_path, collected_case):
    found = collected_case("diverges")
    save(found, tmp_path / "mnist-quick.json")
    assert load(tmp_path / "mnist-quick.json") == found
    text = (tmp_path / "mnist-quick.json").read_text()
    assert "NaN" not in text
    assert sum(line.startswith('{"id":') for line in text.splitlines()) == len(found["runs"])
    assert file_name(found) == "mnist-quick.json"


@pytest.mark.parametrize("content", ["{}", "[]", '{"format": 1, "runs": []}', "no json"])
def test_another_file_is_refused(tmp_path, content):
    (tmp_path / "a.json").write_text(content)
    with pytest.raises(ValueError, match=r"a\.json"):
        load(tmp_path / "a.json")


def test_a_file_with_a_run_without_a_name_is_refused(tmp_path, collected_case):
    found = json.loads(as_text(collected_case("missing arms")))
    del found["runs"][0]["id"]
    (tmp_path / "a.json").write_text(json.dumps(found))
    with pytest.raises(ValueError, match="a run without an id"):
        load(tmp_path / "a.json")


@pytest.mark.parametrize(
    ("command", "kept"),
    [
        ("minidl reproduce mnist --out /home/ada/runs/mine --data '/mnt/my data'", "--out mine --data 'my data'"),
        (r"minidl reproduce mnist --out 'C:\Users\ada\mine' --seeds 5", "--out mine --seeds 5"),
        ("minidl reproduce mnist --out runs/mine", "--out runs/mine"),
        ("minidl reproduce mnist --out=/home/ada/runs/mine --data=x", "--out=mine --data=x"),
        ("minidl reproduce mnist --out ../../home/ada/mine --data /", "--out mine --data /"),
        ("minidl reproduce mnist --out runs/../../ada/mine --data=a/../b", "--out mine --data=b"),
        ("minidl reproduce mnist --data .. --out a=/b", "--data .. --out a=/b"),
        ("minidl it's", "minidl it's"),
    ],
)
def test_where_somebody_keeps_files_is_not_told(command, kept):
    assert without_places(command).endswith(kept)
