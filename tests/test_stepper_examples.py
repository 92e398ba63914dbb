"""figures/stepper/: every page is what its script records, is small, and shows what the README says of it."""

import base64
import json
import re
from functools import cache
from pathlib import Path

import numpy as np
import pytest
from numpy.testing import assert_allclose

from figures import stepper
from figures.stepper import STEPS
from figures.stepper.__main__ import main, readme, recorded, script
from minidl.stepper.html import html_of
from minidl.stepper.saving import as_json

HERE = Path(stepper.__file__).parent
EVERY = pytest.mark.parametrize("name", STEPS)
DATA = re.compile(r'(<script type="application/json">)(.*?)(</script>)', re.DOTALL)
NUMBER = re.compile(r"-?\d+\.?\d*(?:e-?\d+)?")

tapes = cache(recorded)


def page(name):
    """The committed page, as text."""
    return (HERE / f"{name}.html").read_text(encoding="utf-8")


def data(name):
    """What is recorded in the committed page: one tape or two."""
    return [json.loads(found[1]) for found in DATA.findall(page(name))]


def numbers_of(array):
    """An array of a page."""
    dtype = array.get("stored", array["dtype"])
    return np.frombuffer(base64.b64decode(array["data"]), np.dtype(dtype).newbyteorder("<"))


# ---- the files


@EVERY
def test_each_has_a_script_a_page_and_a_picture(name):
    module = script(name)
    assert module.__doc__
    assert module.make.__doc__
    assert 10_000 < (HERE / f"{name}.html").stat().st_size < 650_000
    assert 10_000 < (HERE / f"{name}.png").stat().st_size < 200_000


def test_there_is_no_script_besides():
    assert {path.stem for path in HERE.glob("*.py")} == {"__init__", "__main__", *STEPS}


@EVERY
def test_the_page_but_for_its_numbers_is_what_is_written_today(name):
    now = html_of(*tapes(name))
    assert DATA.sub(r"\1\3", page(name)) == DATA.sub(r"\1\3", now), "python -m figures.stepper"


@EVERY
def test_the_page_holds_the_events_that_its_script_records(name):
    kept = data(name)
    assert len(kept) == len(tapes(name))
    for old, tape in zip(kept, tapes(name), strict=True):
        new = json.loads(json.dumps(as_json(tape, old.get("sampled"))))
        for part in ("title", "calls", "lines", "files"):
            assert old[part] == new[part], part
        for part in ("events", "values"):
            assert len(old[part]) == len(new[part])
            for was, will_be in zip(old[part], new[part], strict=True):
                for key in will_be.keys() - {"numbers"}:
                    assert was[key] == will_be[key], (part, key)
                assert was.get("numbers", {}) == pytest.approx(will_be.get("numbers", {}), rel=1e-4)
        for was, will_be in zip(old["arrays"], new["arrays"], strict=True):
            for key in ("shape", "dtype", "index"):
                assert was[key] == will_be[key], key
            before, now = numbers_of(was), numbers_of(will_be)
            largest = np.abs(before[np.isfinite(before)]).max(initial=0)
            assert_allclose(now, before, rtol=1e-4, atol=1e-4 * largest)


@EVERY
def test_it_is_shown_at_a_moment_and_a_value_that_it_has(name):
    moment, key = re.fullmatch(r"i=(\d+)&n=(.+)", script(name).MOMENT).groups()
    tape = tapes(name)[0]
    assert tape.gradient(key, int(moment)).total is not None


def test_the_readme_says_of_each_what_its_numbers_say():
    text, now = (HERE / "README.md").read_text(encoding="utf-8"), readme()
    assert NUMBER.sub("#", text) == NUMBER.sub("#", now)
    for was, is_now in zip(NUMBER.findall(text), NUMBER.findall(now), strict=True):
        assert float(was) == pytest.approx(float(is_now), rel=5e-3, abs=1e-6)
    for name, question in STEPS.items():
        assert f"## {question}\n\n[![{name}]({name}.png)]({name}.html#" in text


def test_a_page_is_made_again_by_its_name(tmp_path, capsys):
    assert main(["six_ops", "--no-pictures", "--out", str(tmp_path)]) == 0
    assert capsys.readouterr().out.startswith("[1/1] six_ops")
    assert [path.name for path in tmp_path.iterdir()] == ["six_ops.html"]


def test_a_name_that_is_none_is_answered_with_all_names(capsys):
    with pytest.raises(SystemExit):
        main(["pie"])
    assert "there is no step 'pie'; there are six_ops, mlp_step," in capsys.readouterr().err


# ---- the claims, on the recorded numbers


def test_six_ops_the_gradient_of_h_is_the_sum_of_three_addends_and_that_of_b_is_summed_to_its_shape():
    (tape,) = tapes("six_ops")
    h = np.tanh(np.array([1, -2]) * [0.5, 0.25] + 0.1)
    addends = [addend.grad.values for _, addend in tape.gradient("h").addends]
    assert_allclose(np.array(addends), np.array([np.ones(2), h, h]), rtol=1e-5)
    assert_allclose(tape.gradient("h").total.values, 1 + 2 * h, rtol=1e-5)
    to_b = (1 + 2 * h) * (1 - h**2)
    assert_allclose(tape.gradient("b").total.values, to_b.sum(), rtol=1e-5)
    assert len(tape.find("forward")) + len(tape.find("loss")) == 6
    before = [tape.gradient("h", moment).complete for moment in range(len(tape))]
    assert before == [moment >= 10 for moment in range(len(tape))]


def test_mlp_step_no_gradient_was_there_before_and_each_weight_moves_by_the_rate_times_its_gradient():
    (tape,) = tapes("mlp_step")
    assert all(event.before is None for event in tape.find("accumulate"))
    moved = tape.find("update")
    assert len(moved) == 4
    for event in moved:
        assert_allclose(event.after.values, event.before.values - 0.5 * event.gradient.values, rtol=1e-5, atol=1e-7)


def test_lenet_step_three_quarters_of_what_pooling_sends_back_is_0():
    (tape,) = tapes("lenet_step")
    sent = [event.addends[0].grad for event in tape.find("backward", "MaxPool")]
    assert [kept.zeros / kept.size for kept in sent] == pytest.approx([0.75, 0.75], abs=0.01)
    norms = {tape.values[event.output].key: event.gradient.norm for event in tape.find("accumulate")}
    assert norms["conv1.weight"] < norms["fc2.weight"] / 3
    assert any(value.contents[0][1].sampled for value in tape.values)


def test_attention_step_the_first_query_gets_no_gradient_and_the_last_key_one_from_the_last_query_alone():
    (tape,) = tapes("attention_step")
    query, weights = tape.gradient("query").total.values, tape.content("attentionweights").values
    assert not query[0].any()
    assert query[1:].any(axis=1).all()
    assert_allclose(weights[0], np.array([1.0, 0, 0, 0]))
    scores = tape.gradient("matmul4").total.values  # a row for each query, a column for each key
    assert scores[3, 3] != 0
    assert not scores[:3, 3].any()


def test_sgd_beside_layer_specific_only_the_updates_differ_and_the_first_layer_is_multiplied_most():
    sgd, layered = tapes("sgd_beside_layer_specific")
    for one, two in zip(sgd, layered, strict=True):
        if one.phase == "update":
            norm = two.numbers["gradient_norm"]
            assert one.numbers["multiplier"] == 1
            assert two.numbers["multiplier"] == pytest.approx(1 + np.log(1 + 1 / norm), rel=1e-5)
        elif one.gradient is not None:
            assert np.array_equal(one.gradient.values, two.gradient.values)
    found = list(script("sgd_beside_layer_specific").multipliers(layered).values())
    assert found == sorted(found, reverse=True)
    assert found[0] > 2 * found[-1]


def test_forgotten_zero_grad_the_second_gradient_is_added_to_the_first_and_the_weight_goes_too_far():
    right, wrong = tapes("forgotten_zero_grad")
    for one, two in zip(right.find("accumulate"), wrong.find("accumulate"), strict=True):
        assert_allclose(one.gradient.values, two.gradient.values)
        assert one.before is None
        if two.step == 0:
            assert two.before is None
        else:
            assert_allclose(two.after.values, two.before.values + two.gradient.values)
    ends = [tape.content("w").at(()) for tape in (right, wrong)]
    assert abs(ends[0] - 2) < 0.5 < 1 < abs(ends[1] - 2)


def test_forgotten_product_rule_the_sides_first_differ_in_what_the_op_sends_back():
    right, wrong = tapes("forgotten_product_rule")
    for one, two in zip(right.values, wrong.values, strict=True):
        assert np.array_equal(one.contents[0][1].values, two.contents[0][1].values)
    different = [
        one.number
        for one, two in zip(right, wrong, strict=True)
        for a, b in zip(one.addends, two.addends, strict=True)
        if not np.array_equal(a.grad.values, b.grad.values)
    ]
    assert right[different[0]].op == "Swish"
    z = right.content("z").values
    s = 1 / (1 + np.exp(-z))
    ratio = wrong.gradient("z").total.values / right.gradient("z").total.values
    assert_allclose(ratio, s / (s + z * s * (1 - s)), rtol=1e-5)
