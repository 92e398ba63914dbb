"""Tutorial 4: what it claims, its exercises with students' answers, and its session in the debugger."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import minidl as md
import minidl.functional as F
from tests.debugger import PACKAGE, PROMPT, transcript
from tests.tutorials.conftest import TUTORIALS, Run

STEM = "04_debugging"
pytestmark = pytest.mark.skipif(not (TUTORIALS / f"{STEM}.py").exists(), reason="the tutorials are not installed")


@pytest.fixture
def ran(tutorial: Run) -> dict[str, Any]:
    return tutorial(STEM)


# ---- what it claims


def test_each_bug_has_the_symptom_that_is_told(ran: dict[str, Any]) -> None:
    curves = {name: np.array(losses) for name, losses in ran["curves"].items()}
    right = curves["right"]
    assert np.ptp(curves["D"]) == 0
    assert (curves["A"][2:13] < right[2:13]).all()  # better for more than ten steps
    assert curves["A"][-20:].min() > 2 * right[-20:].max()
    assert np.diff(curves["A"]).max() > 0.05  # restless
    assert (np.diff(right) < 0).all()
    assert (np.diff(curves["B"]) < 0).all()
    assert curves["B"].min() > 0.551
    assert curves["B"][-1] > 4 * right[-1]
    assert (np.diff(curves["C"]) < 0).all()  # looks healthy
    assert 1.2 * right[-1] < curves["C"][-1] < 2 * right[-1]


def test_the_two_sides_part_where_a_gradient_is_added(ran: dict[str, Any]) -> None:
    right, wrong, parted = ran["right"], ran["wrong"], ran["parted"]
    assert len(right) == len(wrong) == 13
    assert right[parted].phase == wrong[parted].phase == "accumulate"
    assert [e.phase for e in right].index("accumulate") == parted == 9  # the page's link says 9
    assert right[parted].before is None
    assert wrong[parted].before.norm > 0
    assert wrong.values[wrong[parted].output].key == "w2"
    np.testing.assert_allclose(
        wrong[parted].after.values, wrong[parted].before.values + wrong[parted].gradient.values, rtol=1e-6
    )
    for a, b in zip(right.events[:parted], wrong.events[:parted], strict=True):
        assert ran["made"](a, right) == ran["made"](b, wrong)


def test_in_the_first_step_both_sides_are_the_same(ran: dict[str, Any]) -> None:
    assert ran["curves"]["A"][:2] == ran["curves"]["right"][:2]
    assert ran["curves"]["A"][2] != ran["curves"]["right"][2]


def test_probabilities_as_scores_have_a_floor(ran: dict[str, Any]) -> None:
    p = ran["tape_b"].content("p").values
    np.testing.assert_allclose(p.sum(axis=1), 1, rtol=1e-6)
    assert ran["floor"] == pytest.approx(np.log(1 + 2 / np.e), rel=1e-6)
    for weights in np.random.default_rng(0).standard_normal((20, 2, 3, 3)) * 20:
        points = md.tensor(np.random.default_rng(1).standard_normal((9, 3)), dtype="float64")
        assert ran["loss_b"]([md.Tensor(w) for w in weights], points, np.arange(9) % 3).item() > ran["floor"] - 1e-6


def test_minidl_warns_of_softmax_but_not_of_one_by_hand(ran: dict[str, Any]) -> None:
    scores = md.tensor([[1.0, 2.0, 3.0]], requires_grad=True)
    with pytest.warns(UserWarning, match="applies softmax itself"):
        F.cross_entropy(F.softmax(scores, axis=1), [0])
    ran["loss_b"](ran["fresh_weights"](), ran["x"], ran["labels"])  # a warning would be an error


def test_the_gradient_of_b_is_small(ran: dict[str, Any]) -> None:
    weights = {name: ran["fresh_weights"]() for name in ("loss_of", "loss_b")}
    for name, both in weights.items():
        ran[name](both, ran["x"], ran["labels"]).backward()
    for right, b in zip(*weights.values(), strict=True):
        assert np.linalg.norm(b.grad.numpy()) < np.linalg.norm(right.grad.numpy()) / 2


def test_the_first_layer_of_c_stays_as_it_is(ran: dict[str, Any]) -> None:
    weights = ran["fresh_weights"]()
    optimizer = md.optim.SGD(weights, lr=1.0)
    for _ in range(5):
        ran["steps"]["C"](weights, optimizer, ran["x"], ran["labels"])
    first, second = (w.numpy() - start.numpy() for w, start in zip(weights, ran["fresh_weights"](), strict=True))
    assert (first == 0).all()
    assert (second != 0).all()


def test_the_walk_of_c_ends_early(ran: dict[str, Any]) -> None:
    x, labels = ran["x"], ran["labels"]
    walked = {f: [str(s).partition("(")[0] for s in md.walk(ran[f](ran["fresh_weights"](), x, labels))] for f in WALKED}
    assert walked["loss_of"] == ["CrossEntropy", "MatMul", "Tanh", "MatMul"]
    assert walked["loss_c"] == ["CrossEntropy", "MatMul"]
    weights = ran["fresh_weights"]()
    ran["loss_c"](weights, x, labels).backward()
    assert weights[0].grad is None
    assert weights[1].grad is not None


WALKED = ("loss_of", "loss_c")


def test_finite_differences_find_c_alone(ran: dict[str, Any]) -> None:
    said = {name: ran["verdict"](ran[name]) for name in ("loss_of", "loss_b", "loss_c")}
    assert said["loss_of"] == said["loss_b"] == "the gradient is right"
    assert "input 0[0, 0]: backward says 0, finite differences say 0.13" in said["loss_c"]


def test_the_mended_steps_are_the_right_one(ran: dict[str, Any]) -> None:
    assert ran["farthest"] < 1e-6
    assert ran["farthest_d"] < 1e-6


def test_exp_of_200_is_named(ran: dict[str, Any]) -> None:
    scores = md.tensor([[200.0, 0.0, 0.0]], requires_grad=True, name="scores")
    with pytest.raises(md.errors.GraphError, match="Exp produced NaN or infinity"), md.detect_anomaly():
        F.exp(scores)
    assert np.isfinite(F.cross_entropy(scores, [0]).item())


def test_what_the_teacher_gets(ran: dict[str, Any], tmp_path: Path) -> None:
    assert list(ran["slides"]) == ["04_symptoms", "04_lockstep"]
    ran["pages"]["04_right_beside_wrong"].save_html(tmp_path / "page.html")
    assert (tmp_path / "page.html").stat().st_size < 350_000  # 300 KB from a notebook, whose source is a cell each


# ---- its sessions

SOURCE = (TUTORIALS / f"{STEM}.py").read_text(encoding="utf-8") if (TUTORIALS / f"{STEM}.py").exists() else ""
SCRIPT, SESSION = (
    re.sub(r"^# ?", "", found[1], flags=re.MULTILINE)
    if (found := re.search(rf"# ```{language}\n(.*?)# ```", SOURCE, re.DOTALL))
    else ""
    for language in ("python", "text")
)


@pytest.mark.skipif(sys.version_info >= (3, 13), reason="a later pdb says the same in other words")
def test_the_session_in_pdb_is_real(tmp_path: Path) -> None:
    (tmp_path / "update.py").write_text(SCRIPT, encoding="utf-8")
    commands = [line.removeprefix(PROMPT) for line in SESSION.splitlines() if line.startswith(PROMPT)]
    assert len(commands) == 10
    assert transcript(tmp_path / "update.py", commands).rstrip() == SESSION.rstrip()


def test_minidl_step_shows_what_the_cell_shows(ran: dict[str, Any], tmp_path: Path) -> None:
    head, _, _ = SOURCE.partition("# %%\ndef with_loss")
    head = "\n".join(line for line in head.splitlines() if "matplotlib" not in line)
    last = """
w1, w2 = weights = fresh_weights()
optimizer = md.optim.SGD(weights, lr=1.0)
loss = loss_b(weights, md.tensor(x.numpy()[:3], name="x"), labels[:3])
loss.backward()
optimizer.step()
"""
    (tmp_path / "train.py").write_text(head + last, encoding="utf-8")
    done = subprocess.run(
        [sys.executable, "-m", "minidl", "step", "train.py"],
        input="phase loss\nv p\nq\n",
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(PACKAGE.parent), "MINIDL_BACKEND": "numpy", "COLUMNS": "80"},
        text=True,
        capture_output=True,
        timeout=60,
    )
    assert "p = softmax(p)" in done.stdout, done.stderr
    first = ran["tape_b"].content("p").values[0]
    assert np.array2string(first, precision=4) in done.stdout


# ---- students' answers


@pytest.mark.parametrize(
    ("answer", "hint"),
    [
        (7, "right program"),
        (1.0, "third step"),
        (16, "against the gradient"),
        (-2, "forgets the rate"),
        (9, "after the first step"),
    ],
)
def test_a_wrong_weight_after_three_steps(answer: float, hint: str) -> None:
    result = md.check.t04_grown(answer, show=False)
    assert not result
    assert hint in result.hint


@pytest.mark.parametrize(
    ("answer", "hint"), [(0, "without bound"), (1.0986, "three equal"), (0.313, "two classes"), (0.576, "probability")]
)
def test_a_wrong_floor(answer: float, hint: str) -> None:
    result = md.check.t04_floor(answer, show=False)
    assert not result
    assert hint in result.hint


@pytest.mark.parametrize("answer", [0.55, 0.551, np.float32(0.5514), np.array(0.5514)])
def test_a_right_floor(answer: Any) -> None:
    assert md.check.t04_floor(answer, show=False)


def test_the_reasons() -> None:
    assert md.check.t04_why("B ", show=False)
    assert md.check.t04_why("b)", show=False)
    assert "one of a, b, c" in md.check.t04_why(["b"], show=False).hint
    assert "many digits" in md.check.t04_why("a", show=False).hint
    assert "not the same again" in md.check.t04_why("c", show=False).hint


def rebound(weights, rate):
    for i in range(len(weights)):
        weights[i] = weights[i] - rate * weights[i].grad


def uphill(weights, rate):
    for w in weights:
        w.data += rate * w.grad.data


def no_rate(weights, rate):
    with md.no_grad():
        for w in weights:
            w -= w.grad


def leaves_too_early(weights, rate):
    for w in weights:
        w.data -= rate * w.grad.data
        break


def emptied(weights, rate):
    for w in weights:
        w.data = w.data - rate * w.grad.data
        w.grad = None


def emptied_in_place(weights, rate):
    for w in weights:
        w.data -= rate * w.grad.numpy()
        w.grad.data[...] = 0


def begins_at_1(weights, rate):
    for i in range(1, len(weights)):
        weights[i].data = weights[i].data - rate * weights[i].grad.data


def into_a_copy(weights, rate):
    for w in weights:
        values = w.numpy().copy()
        values -= rate * w.grad.numpy()


def rate_of_the_text(weights, rate):
    for w in weights:
        w.data = w.data - 0.1 * w.grad.data


@pytest.mark.parametrize(
    ("answer", "hint"),
    [
        (emptied_in_place, ".grad is to stay"),
        (begins_at_1, "first weight did not move"),
        (into_a_copy, "new tensor or array moves nothing"),
        (rate_of_the_text, "always 0.1"),
        (rebound, "write into w.data"),
        (uphill, "against the gradient"),
        (no_rate, "rate is missing"),
        (leaves_too_early, "only the first weight"),
        (emptied, ".grad"),
    ],
)
def test_a_wrong_update(answer: Callable[..., Any], hint: str) -> None:
    result = md.check.t04_update(answer, show=False)
    assert not result
    assert hint in result.hint


def with_numpy(weights, rate):
    for w in weights:
        w.data[...] = w.numpy() - rate * w.grad.numpy()
    return weights


def in_place(weights, rate):
    with md.no_grad():
        for i in range(len(weights)):
            w = weights[i]
            w -= rate * w.grad


@pytest.mark.parametrize("answer", [with_numpy, in_place])
def test_a_right_update_in_another_style(answer: Callable[..., Any]) -> None:
    assert md.check.t04_update(answer, show=False), md.check.t04_update(answer, show=False)


def test_an_update_of_other_arguments_is_told_which_are_given() -> None:
    def without_a_rate(weights):
        return None if weights else weights

    result = md.check.t04_update(without_a_rate, show=False)
    assert "TypeError" in result.difference
    assert result.hint == "it is called with 2 arguments: weights, rate"


def test_an_error_in_an_update_is_the_students_own_line() -> None:
    def in_the_history(weights, rate):
        for w in weights:
            w -= rate * w.grad

    result = md.check.t04_update(in_the_history, show=False)
    assert "GraphError" in result.difference
    assert "w -= rate * w.grad" in result.difference


def network(x, weights):
    hidden = F.tanh(F.matmul(x, weights[0]))
    return F.matmul(hidden, weights[1])


def dirty(weights, optimizer, x, labels):
    out = network(x, weights)
    loss = F.cross_entropy(out, labels)
    loss.backward()
    optimizer.step()
    return float(loss.item())


def softmax_first(weights, optimizer, x, labels):
    for w in weights:
        w.grad = None
    loss = F.cross_entropy(F.softmax(network(x, weights), axis=1), labels)
    loss.backward()
    optimizer.step()
    return loss.item()


def cut(weights, optimizer, x, labels):
    optimizer.zero_grad()
    hidden = md.tensor(np.tanh(x.numpy() @ weights[0].numpy()))
    loss = F.cross_entropy(hidden @ weights[1], labels)
    loss.backward()
    optimizer.step()
    return loss.item()


def emptied_too_late(weights, optimizer, x, labels):
    loss = F.cross_entropy(network(x, weights), labels)
    loss.backward()
    optimizer.zero_grad()
    optimizer.step()
    return loss.item()


def by_hand_into_nowhere(weights, optimizer, x, labels):
    optimizer.zero_grad()
    loss = F.cross_entropy(network(x, weights), labels)
    loss.backward()
    for w in weights:
        w = w - optimizer.lr * w.grad
    return loss.item()


def backward_too_late(weights, optimizer, x, labels):
    loss = F.cross_entropy(network(x, weights), labels)
    optimizer.step()
    return loss.item()


def summed(weights, optimizer, x, labels):
    optimizer.zero_grad()
    loss = F.cross_entropy(network(x, weights), labels, reduction="sum")
    loss.backward()
    optimizer.step()
    return loss.item()


def linear(weights, optimizer, x, labels):
    optimizer.zero_grad()
    loss = F.cross_entropy((x @ weights[0]) @ weights[1], labels)
    loss.backward()
    optimizer.step()
    return loss.item()


def without_the_rate(weights, optimizer, x, labels):
    optimizer.zero_grad()
    loss = F.cross_entropy(network(x, weights), labels)
    loss.backward()
    for w in weights:
        w.data = w.data - w.grad.data
    return loss.item()


def twice(weights, optimizer, x, labels):
    for _ in range(2):
        optimizer.zero_grad()
        loss = F.cross_entropy(network(x, weights), labels)
        loss.backward()
        optimizer.step()
    return loss.item()


def half(weights, optimizer, x, labels):
    optimizer.zero_grad()
    loss = F.cross_entropy(F.tanh(x @ weights[0]) @ weights[1].detach(), labels)
    loss.backward()
    optimizer.step()
    return loss.item()


@pytest.mark.parametrize(
    ("answer", "hint"),
    [
        (without_the_rate, "twice as far"),
        (twice, "two training steps"),
        (half, "w2 has not moved"),
        (dirty, "bug A"),
        (softmax_first, "bug B"),
        (cut, "bug C"),
        (emptied_too_late, "no weight has moved"),
        (by_hand_into_nowhere, "no weight has moved"),
        (backward_too_late, "of the step before"),
        (summed, "6 times"),
        (linear, "tanh"),
    ],
)
def test_a_wrong_step(answer: Callable[..., Any], hint: str) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of softmax_first minidl warns, too
        result = md.check.t04_training_step(answer, show=False)
    assert not result
    assert hint in result.hint
    assert result.working is md.check.t04_training_step.solution


def test_a_step_that_returns_a_tensor_or_nothing() -> None:
    def tensor(weights, optimizer, x, labels):
        optimizer.zero_grad()
        loss = F.cross_entropy(network(x, weights), labels)
        loss.backward()
        optimizer.step()
        return loss

    def nothing(weights, optimizer, x, labels):
        tensor(weights, optimizer, x, labels)

    for answer, came in ((tensor, "a value of type Tensor"), (nothing, "nothing: is a `return` missing?")):
        result = md.check.t04_training_step(answer, show=False)
        assert f"loss.item(); it returned {came}" in result.difference
        assert "raised" not in result.difference


def test_a_step_that_returns_another_number_than_the_loss_before_the_update() -> None:
    def made_up(weights, optimizer, x, labels):
        optimizer.zero_grad()
        loss = F.cross_entropy(network(x, weights), labels)
        loss.backward()
        optimizer.step()
        return 0.0

    def too_late(weights, optimizer, x, labels):
        made_up(weights, optimizer, x, labels)
        return F.cross_entropy(network(x, weights), labels).item()

    for answer, late in ((made_up, False), (too_late, True)):
        result = md.check.t04_training_step(answer, show=False)
        assert not result
        assert result.difference.startswith("the update is right, but the step returned ")
        assert result.difference.endswith("the loss after the update") == late


def by_log_softmax(weights, optimizer, x, labels):
    for w in weights:
        w.grad = None
    z = x @ weights[0]
    a = F.tanh(z)
    logs = F.log_softmax(a @ weights[1], axis=1)
    loss = -F.mean(logs[np.arange(len(labels)), labels])
    loss.backward()
    for w in weights:
        w.data = w.data - optimizer.lr * w.grad.data
    return loss.item()


def emptied_at_the_end(weights, optimizer, x, labels):
    loss_before = F.cross_entropy(network(x, weights), labels)
    for w in weights:
        w.zero_grad()
    loss_before.backward()
    optimizer.step()
    optimizer.zero_grad()
    return float(loss_before.numpy())


@pytest.mark.parametrize("answer", [by_log_softmax, emptied_at_the_end])
def test_a_right_step_in_another_style(answer: Callable[..., Any]) -> None:
    result = md.check.t04_training_step(answer, show=False)
    assert result, result
    assert result.working is answer
