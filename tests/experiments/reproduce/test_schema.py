"""A result is checked before a number of it is believed."""

import json

import pytest

from minidl.experiments.reproduce.collected import compact
from minidl.experiments.reproduce.schema import check_collected, check_result, read_strictly
from tests.experiments.reproduce.factory import result_of, saddle_of, spec_of


def a_result(**changes):
    return result_of(spec_of("mnist", "quick", "sgd", "ln", "recipe", 0), 0.1) | changes


def test_a_result_passes_and_so_does_one_with_further_entries():
    check_result(a_result())
    check_result(a_result(weather="fine"))


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"format": 2}, "expected format 1; got 2"),
        ({"looks": []}, "looks: expected at least one"),
        ({"looks": [{"iteration": 1, "accuracy": "good", "loss": 1.0, "seconds": 1.0}]}, "looks, 0, accuracy"),
        ({"validation": {"accuracy": 0.5}}, "it has no entry 'loss'"),
        ({"curve": {"steps": [1, 2], "loss": [0.5]}}, "as many steps as losses"),
        ({"layers": ["one"]}, "rows of 1 layers"),
        ({"iterations": True}, "iterations: expected a whole number; got True"),
        ({"spec": {"id": "a"}}, "it has no entry 'recipe'"),
        ({"mean_multiplier": "x"}, "mean_multiplier: expected a number or null"),
        ({"train_loss": "x"}, "train_loss: expected a number or null"),
        ({"cpu_seconds": "x"}, "cpu_seconds: expected a number or null"),
        ({"data": "MNIST"}, "data: expected entries by name or null"),
        ({"data": {"fingerprint": 3}}, "data, fingerprint: expected a text"),
        ({"flow": a_result()["flow"] | {"floored": [1]}}, "flow, floored, 0: expected a list; got 1"),
        ({"spec": a_result()["spec"] | {"method": "../evil"}}, "spec, method: expected small letters and figures"),
        ({"versions": {"commit": 2}}, "versions, commit: expected a text or null"),
    ],
)
def test_what_is_wrong_is_named(changes, said):
    with pytest.raises(ValueError, match=said):
        check_result(a_result(**changes))


def test_a_collected_run_has_to_hold_what_the_report_needs_of_its_role():
    reported = {**compact(a_result(), drawn=True), "environment": 0}
    check_collected(reported, 5, "a.json")
    tuning = compact(result_of(spec_of("mnist", "quick", "sgd", "ln", 0.01, 1000, "tuning"), 0.1), drawn=False) | {
        "environment": 0
    }
    check_collected(tuning, 5, "a.json")
    for wrong, said in (
        (reported | {"iterations": "many"}, "a.json, iterations: expected a whole number"),
        (reported | {"looks": {"iteration": [1]}}, "a.json, looks: it has no entry 'accuracy'"),
        (reported | {"curve": None}, "a.json, curve: expected"),
        (reported | {"base": "foo"}, "a.json, base: expected 'recipe', 'tuned' or a number"),
        (reported | {"looks": {name: [] for name in reported["looks"]}}, "a.json, looks: expected at least one"),
        (reported | {"looks": reported["looks"] | {"loss": [0.1]}}, "a.json, looks: expected lists of one length"),
        (reported | {"looks": reported["looks"] | {"cpu_seconds": ["q"]}}, "looks, cpu_seconds, 0: expected a number"),
        (
            reported | {"layers": reported["layers"] | {"norms": {"first": [0.1] * 5}}},
            "norms: it has no entry 'middle'",
        ),
        (reported | {"layers": reported["layers"] | {"norms": {"first": [0.1], "middle": [0.1]}}}, "each of 5 layers"),
        (reported | {"flow": reported["flow"] | {"steps": [1]}}, "a.json, flow: expected lists of one length"),
        (reported | {"flow": {name: [] for name in reported["flow"]}}, "a.json, flow: expected at least one step"),
        (reported | {"method": "../evil"}, "a.json, method: expected small letters and figures"),
        (tuning | {"saddle": {"left_at": "late"}}, "a.json, saddle, left_at: expected a whole number or null"),
        ({name: value for name, value in tuning.items() if name != "validation"}, "it has no entry 'validation'"),
    ):
        with pytest.raises(ValueError, match=said):
            check_collected(wrong, 5, "a.json")


@pytest.mark.parametrize("number", ["1e999", "-1e999", "1" + "0" * 400, "9223372036854775808", "NaN", "Infinity"])
def test_a_number_that_no_float_holds_is_refused(tmp_path, number):
    (tmp_path / "a.json").write_text(f'{{"loss": {number}}}')
    with pytest.raises(ValueError, match="stands in it"):
        read_strictly(tmp_path / "a.json")


def test_a_result_at_a_saddle_has_to_say_when_it_left():
    spec = spec_of("saddle", "quick", "sgd", "ln", "recipe", 0)
    with pytest.raises(ValueError, match="it has no entry 'saddle'"):
        check_result(result_of(spec, 0.1))
    flat = {**result_of(spec, 0.1), "saddle": saddle_of(spec, 100) | {"loss": 0.0}}
    with pytest.raises(ValueError, match="saddle, loss: expected a number above 0"):
        check_result(flat)


def test_looks_have_to_follow_each_other():
    result = a_result()
    result["looks"] = result["looks"][::-1]
    with pytest.raises(ValueError, match="iterations that grow"):
        check_result(result)


def test_a_base_rate_is_the_recipes_a_tuned_one_or_a_number():
    result = a_result()
    check_result({**result, "spec": {**result["spec"], "base": 0.03}})
    with pytest.raises(ValueError, match="got 'mine'"):
        check_result({**result, "spec": {**result["spec"], "base": "mine"}})


@pytest.mark.parametrize("text", ['{"a": NaN}', '{"a": Infinity}', '{"a": 1', "\xff"])
def test_only_strict_json_is_read(tmp_path, text):
    path = tmp_path / "result.json"
    path.write_bytes(text.encode("latin-1"))
    with pytest.raises(ValueError, match=r"result.json is no strict JSON"):
        read_strictly(path)


def test_the_runs_own_table_of_entries_is_met():
    """What `running` writes and what is asked for here do not drift apart."""
    from minidl.experiments.reproduce.results import RESULTS
    from minidl.experiments.reproduce.schema import _ALWAYS, _TRAINED

    for name, kinds in {**_ALWAYS, **_TRAINED}.items():
        assert name in RESULTS
        if isinstance(kinds, dict) and isinstance(RESULTS[name], dict):
            assert set(kinds) <= set(RESULTS[name]), name
    assert json.loads(json.dumps(a_result())) == a_result()


def test_a_run_from_a_saddle_point_says_when_it_left():
    result = a_result(saddle=saddle_of(a_result()["spec"], 100))
    check_result(result)
    del result["saddle"]["left_at"]
    with pytest.raises(ValueError, match="it has no entry 'left_at'"):
        check_result(result)
    result = a_result(saddle=saddle_of(a_result()["spec"], 100))
    result["saddle"]["curvature"]["loss"].pop()
    with pytest.raises(ValueError, match="as many entries in each list"):
        check_result(result)
