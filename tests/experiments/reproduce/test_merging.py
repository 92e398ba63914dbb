"""Two parts of one reproduction become what the whole would have been."""

import pytest

from minidl.experiments.reproduce.collected import as_text, collect
from minidl.experiments.reproduce.merging import merge
from tests.experiments.reproduce.factory import write_runs


def by_id(collected):
    """Its runs, each with what it was run with in place of a number."""
    places = collected["environments"]
    return {run["id"]: {**run, "environment": places[run["environment"]]} for run in collected["runs"]}


def part(tmp_path, name, **settings):
    out = tmp_path / name
    write_runs(out, **settings)
    found = collect(out)
    found["settings"] = {
        **found["settings"],
        "methods": [*settings.get("methods", ("sgd",))],
        "rates": ["uniform", "ln"],
        "base_rates": dict.fromkeys(settings.get("methods", ("sgd",)), 0.01),
        "grids": found["settings"].get("grids", {}),
        "tuning_seeds": [1000, 1001],
    }
    return found


def test_two_methods_that_were_run_apart_are_as_if_run_together(tmp_path):
    apart = [part(tmp_path, method, methods=(method,)) for method in ("nesterov", "sgd")]
    together = part(tmp_path, "both", methods=("sgd", "nesterov"))
    found = merge(*apart)
    assert by_id(found) == by_id(together)
    assert [run["id"] for run in found["runs"]] == sorted(by_id(together))
    for name in ("planned", "missing", "failed", "damaged", "settings", "layers", "data"):
        assert found[name] == together[name], name
    assert as_text(found)


def test_what_one_part_lacked_is_not_missing_if_the_other_has_it(tmp_path):
    names = write_runs(tmp_path / "names")
    first = part(tmp_path, "first", missing=names[:5])
    second = part(tmp_path, "second", missing=names[3:])
    found = merge(first, second)
    assert found["missing"] == names[3:5]
    assert found["planned"] == len(names)
    assert len(found["runs"]) == len(names) - 2


def test_a_run_that_failed_or_was_damaged_and_then_was_done_is_done(tmp_path):
    names = write_runs(tmp_path / "names")
    first = part(tmp_path, "first", missing=names[:3])
    first["missing"], first["failed"], first["damaged"] = names[2:3], {names[0]: "no disk"}, {names[1]: "cut off"}
    second = part(tmp_path, "second", missing=names[1:3])
    found = merge(first, second)
    assert found["failed"] == {}
    assert found["damaged"] == {names[1]: "cut off"}
    assert found["missing"] == names[2:3]
    assert found["planned"] == len(names)


def test_a_run_of_both_is_the_later_one_and_keeps_what_it_was_run_with(tmp_path):
    first, second = part(tmp_path, "first"), part(tmp_path, "second", seeds=2)
    second["environments"] = [{**second["environments"][0], "versions": {"commit": "def5678"}}]
    found = by_id(merge(first, second))
    assert found["sgd-ln-recipe-seed1"]["environment"]["versions"]["commit"] == "def5678"
    assert found["sgd-ln-recipe-seed4"]["environment"]["versions"]["commit"] == "abc1234"


def test_more_seeds_count(tmp_path):
    assert merge(part(tmp_path, "first", seeds=5), part(tmp_path, "second", seeds=3))["settings"]["seeds"] == 5


def test_a_twin_that_the_other_part_spared_is_not_missing(tmp_path):
    first, second = part(tmp_path, "first"), part(tmp_path, "second")
    first["missing"] = ["sgd-ln-twin-seed0"]
    assert merge(first, second)["missing"] == []
    second["runs"] = [run for run in second["runs"] if run["id"] != "sgd-per-step-tuned-seed0"]
    first["runs"] = [run for run in first["runs"] if run["id"] != "sgd-per-step-tuned-seed0"]
    assert merge(first, second)["missing"] == ["sgd-ln-twin-seed0"]


def test_a_plan_of_either_part_is_one_of_the_whole(tmp_path):
    first, second = part(tmp_path, "first"), part(tmp_path, "second")
    first["planned"], first["damaged"] = None, {"plan.json": "cut off"}
    assert merge(first, second)["planned"] == len(second["runs"])
    assert merge(first, second)["damaged"] == {}
    assert merge(second, first)["planned"] == len(second["runs"])
    assert merge(second, first)["damaged"] == {"plan.json": "cut off"}
    assert merge({**second, "planned": None}, first)["planned"] is None


def test_a_run_that_failed_once_and_was_damaged_once_is_told_once_as_it_was_last(tmp_path):
    names = write_runs(tmp_path / "names")
    first, second = (part(tmp_path, name, missing=names[:1]) for name in ("first", "second"))
    first["missing"] = second["missing"] = []
    first["failed"], second["damaged"] = {names[0]: "no disk"}, {names[0]: "cut off"}
    found = merge(first, second)
    assert (found["failed"], found["damaged"], found["planned"]) == ({}, {names[0]: "cut off"}, len(names))


def test_what_no_run_was_made_in_is_not_told(tmp_path):
    first, second = part(tmp_path, "first"), part(tmp_path, "second")
    second["environments"] = [{**second["environments"][0], "versions": {"commit": "def5678"}}]
    assert [place["versions"]["commit"] for place in merge(first, second)["environments"]] == ["def5678"]


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"recipe": "cifar10-quick"}, "recipe 'mnist' and 'cifar10-quick'"),
        ({"scale": "paper"}, "scale 'quick' and 'paper'"),
        ({"settings": {"iterations": 50}}, "iterations 1000 and 50"),
        ({"settings": {"tuning_seeds": [7]}}, r"tuning_seeds \[1000, 1001\] and \[7\]"),
        ({"settings": {"base_rates": {"sgd": 0.1}}}, "base_rates of sgd 0.01 and 0.1"),
        ({"settings": {"grids": {"sgd": [0.01, 0.1]}}}, r"grids of sgd \[0.003, 0.01, 0.03\] and \[0.01, 0.1\]"),
        ({"data": {"fingerprint": "b"}}, "data with the fingerprints a and b"),
    ],
)
def test_parts_of_two_experiments_are_refused(tmp_path, changed, message):
    first, second = part(tmp_path, "first"), part(tmp_path, "second")
    first["data"] = {"fingerprint": "a"}
    first["settings"]["grids"] = {"sgd": [0.003, 0.01, 0.03]}
    with pytest.raises(
        ValueError, match=f"expected two parts of one reproduction, mnist at the scale quick.*{message}"
    ):
        merge(first, {**second, **changed})


def test_runs_tuned_to_another_rate_are_refused_on_other_seeds_too(tmp_path):
    first, second = (part(tmp_path, name, missing=["sgd-ln-grid0.01-seed1000"]) for name in ("first", "second"))
    first["runs"] = [run for run in first["runs"] if run["seed"] not in (2, 3, 4)]
    second["runs"] = [run for run in second["runs"] if run["seed"] >= 2]
    for run in second["runs"]:
        if run["id"].startswith("sgd-ln-tuned"):
            run["base_rate"] = 0.03
    with pytest.raises(ValueError, match=r"sgd-ln-tuned-seed2 at the base rates 0.01 and 0.03"):
        merge(first, second)


def test_a_grid_may_go_on_where_the_other_ends(tmp_path):
    first, second = part(tmp_path, "first"), part(tmp_path, "second")
    first["settings"]["grids"], second["settings"]["grids"] = {"sgd": [0.01, 0.03]}, {"sgd": [0.003, 0.01, 0.03]}
    for one, two in ((first, second), (second, first)):
        assert merge(one, two)["settings"]["grids"] == {"sgd": [0.003, 0.01, 0.03]}
    first["settings"]["grids"] = {"sgd": [0.03, 0.1]}
    assert merge(first, second)["settings"]["grids"] == {"sgd": [0.003, 0.01, 0.03, 0.1]}
    first["settings"]["grids"] = {"sgd": []}
    assert merge(first, second)["settings"]["grids"] == {"sgd": [0.003, 0.01, 0.03]}


def test_settings_that_do_not_go_together_tell_of_no_missing_runs(tmp_path):
    first, second = part(tmp_path, "first"), part(tmp_path, "second")
    for one in (first, second):
        one["settings"] |= {"methods": ["sgd", "nesterov"]}  # without a base rate
    assert merge(first, second)["missing"] == []


def tuned_anew(collected, rate):
    """The same part, but another tuning found this rate the best for a rate per layer."""
    for run in collected["runs"]:
        if run["role"] == "tuning" and run["rate"] == "ln" and run["base_rate"] == rate:
            run["validation"]["loss"] = 0.001
        if run["id"].startswith("sgd-ln-tuned"):
            run["base_rate"] = rate
    return collected


def test_tuned_runs_that_the_joint_grid_does_not_find_best_are_left_out_with_the_reason(tmp_path):
    first, second = part(tmp_path, "first"), tuned_anew(part(tmp_path, "second"), 0.03)
    second["runs"] = [run for run in second["runs"] if run["role"] == "tuning"]
    found = merge(first, second)
    why = "was not run at the best rate of its grid, as it was when the results were joined"
    assert found["damaged"] == {f"sgd-ln-tuned-seed{k}": why for k in range(5)}
    assert not any(run["id"].startswith("sgd-ln-tuned") for run in found["runs"])
    assert found["planned"] == len(found["runs"]) + len(found["missing"]) + 5
    again = merge(found, tuned_anew(part(tmp_path, "third"), 0.03))  # now they are run
    assert again["damaged"] == {}
    assert {run["base_rate"] for run in again["runs"] if run["id"].startswith("sgd-ln-tuned")} == {0.03}


def test_twins_at_a_former_best_rate_are_not_missed_where_none_is_needed(tmp_path):
    first, second = part(tmp_path, "first"), part(tmp_path, "second")
    ln = next(run for run in first["runs"] if run["id"] == "sgd-ln-tuned-seed0")
    first["runs"].append({**ln, "id": "sgd-ln-twin-seed0", "role": "twin", "base_rate": 0.03})
    found = merge(first, second)
    assert found["damaged"] == {}
    assert found["planned"] == len(second["runs"]) == len(found["runs"])


def test_without_settings_no_tuned_run_is_left_out(tmp_path):
    first, second = part(tmp_path, "first"), part(tmp_path, "second")
    first["settings"] = second["settings"] = {}
    first["runs"] = [run for run in first["runs"] if run["role"] != "tuning"]
    second["runs"] = [run for run in second["runs"] if run["role"] == "tuning" and run["base_rate"] != 0.01]
    assert len(merge(first, second)["runs"]) == len(first["runs"]) + len(second["runs"])


def test_tuned_runs_at_the_rate_that_the_later_grid_finds_best_take_the_place_of_the_earlier(tmp_path):
    found = merge(part(tmp_path, "first"), tuned_anew(part(tmp_path, "second"), 0.03))
    assert {run["base_rate"] for run in found["runs"] if run["id"].startswith("sgd-ln-tuned")} == {0.03}
    assert found["missing"] == []


def test_runs_of_another_length_or_network_are_refused_without_a_plan_too(tmp_path):
    first, second = part(tmp_path, "first"), part(tmp_path, "second")
    first["settings"] = {}
    with pytest.raises(ValueError, match="networks of other layers"):
        merge(first, {**second, "layers": ["x", "y"]})
    for run in second["runs"]:
        run["iterations"] = 50
    with pytest.raises(ValueError, match=r"runs of \[1000\] and \[50\] steps"):
        merge(first, second)


def test_a_part_in_which_nothing_is_done_yet_changes_nothing_but_what_is_planned(tmp_path):
    whole = part(tmp_path, "whole")
    whole["data"] = {"fingerprint": "a"}
    empty = part(tmp_path, "empty", missing=[run["id"] for run in whole["runs"]])
    assert (empty["runs"], empty["layers"], empty["data"]) == ([], [], None)
    for pair in ((whole, empty), (empty, whole)):
        assert merge(*pair) == {**whole, "runs": sorted(whole["runs"], key=lambda run: run["id"])}
    nobody = {**empty, "settings": {}, "missing": []}
    assert merge(whole, nobody)["runs"] == merge(nobody, whole)["runs"]


def test_a_run_that_was_damaged_and_then_failed_has_failed(tmp_path):
    names = write_runs(tmp_path / "names")
    first, second = (part(tmp_path, name, missing=names[:1]) for name in ("first", "second"))
    first["missing"] = second["missing"] = []
    first["damaged"], second["failed"] = {names[0]: "cut off"}, {names[0]: "no disk"}
    found = merge(first, second)
    assert (found["failed"], found["damaged"], found["planned"]) == ({names[0]: "no disk"}, {}, len(names))


def test_a_result_of_another_recipe_is_none_of_the_runs_that_are_planned(tmp_path):
    """It lay in the folder; of a run that is planned and damaged the place is counted."""
    first, second = part(tmp_path, "first", seeds=1), part(tmp_path, "second", seeds=1)
    lost = second["runs"].pop()["id"]
    first["runs"] = [run for run in first["runs"] if run["id"] != lost]
    second["damaged"] = {"sgd-ln-recipe-seed77": "is of cifar10-quick", lost: "cut off", "plan.json": "cut off"}
    found = merge(first, second)
    assert {*found["damaged"]} == {"sgd-ln-recipe-seed77", lost, "plan.json"}
    assert found["planned"] == len(found["runs"]) + len(found["missing"]) + 1


def test_what_neither_part_planned_is_missing_from_the_whole(tmp_path):
    first = part(tmp_path, "first", methods=("sgd",), seeds=3, arms=("uniform", "ln"))
    second = part(tmp_path, "second", methods=("nesterov",), seeds=2, arms=("uniform", "ln"))
    found = merge(first, second)
    assert found["missing"] == ["nesterov-uniform-recipe-seed2", "nesterov-ln-recipe-seed2"]
    assert found["planned"] == 12


def test_a_run_under_another_name_is_not_added(tmp_path):
    first, second = part(tmp_path, "first"), part(tmp_path, "second")
    name, second["runs"][0]["id"] = second["runs"][0]["id"], "another"
    with pytest.raises(ValueError, match=f"{name} and another, which are one run"):
        merge(first, second)


def test_two_runs_of_one_name_are_told(tmp_path):
    first, second = part(tmp_path, "first"), part(tmp_path, "second")
    second["runs"] = [second["runs"][0] | {"method": "other"}]
    with pytest.raises(ValueError, match=f"two runs that are called {second['runs'][0]['id']}"):
        merge(first, second)


def test_parts_whose_runs_begin_with_other_weights_are_not_of_one_reproduction(tmp_path):
    first, second = part(tmp_path, "first"), part(tmp_path, "second")
    for run in first["runs"]:
        run["begins_with"] = f"of seed {run['seed']}"
    merge(first, second)  # of the second it is not known
    odd = [run for run in second["runs"] if run["seed"] in (1, 3)]
    for run in odd:
        run["begins_with"] = f"of seed {run['seed']}"
    merge(first, second)
    for run in odd:
        run["begins_with"] = "another network's"
    for seed in (1, 3):  # one of which it is not known hides no other
        del [run for run in odd if run["seed"] == seed][-1]["begins_with"]
    with pytest.raises(ValueError, match="got runs of seed 1 that begin with other weights; runs of seed 3 that begin"):
        merge(first, second)
