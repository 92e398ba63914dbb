"""Stepping in a real pdb, driven through a pipe: few steps, few frames, and names one would type."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.debugger import pdb
from tests.test_reading_path import MLP

STEP = """\
import minidl as md
import minidl.functional as F

w = md.tensor([1.0, 2.0, 3.0], requires_grad=True, name="w")
x = md.tensor([4.0, 5.0, 6.0])
with md.plain():
    warm = w * x
    y = w * x
    loss = F.sum(y)
    loss.backward()
print("reached the end")
"""


@pytest.fixture
def script(tmp_path: Path) -> Path:
    path = tmp_path / "train.py"
    path.write_text(STEP, encoding="utf-8")
    return path


def places(answers: list[str]) -> list[tuple[str, str]]:
    """(file, function) in which pdb stopped after each step."""
    return [found.groups() for answer in answers if (found := re.search(r"^> (\S+)\(\d+\)(\w+)\(\)", answer, re.M))]  # type: ignore[misc]


def test_stepping_reaches_the_op_soon_and_enters_no_other_file(script: Path) -> None:
    _, *answers = pdb(script, ["import sys", "b 8", "b 10", "c", *["s"] * 21, "c", *["s"] * 61])
    forward, backward = places(answers[4:25]), places(answers[26:])
    assert ("minidl/functional/arithmetic.py", "forward") in forward
    assert ("minidl/functional/arithmetic.py", "backward") in backward
    entered = {file.removeprefix("minidl/") for file, _ in (*forward, *backward)} - {"train.py"}
    assert entered - MLP <= {"functional/arithmetic.py", "functional/reduction.py"}


def test_names_one_would_type_frames_and_values(script: Path) -> None:
    commands = [
        "b 4",
        "c",
        "b md.ops.Mul.backward",
        "c",
        "w",
        "p self",
        "n",
        "p grad_x",
        "u",
        "u",
        "u",
        "p w",
        "p loss",
    ]
    answers = dict(zip(commands, pdb(script, commands)[1:], strict=False))
    assert "Breakpoint 2 at minidl/functional/arithmetic.py" in answers["b md.ops.Mul.backward"]
    frames = re.findall(r"^[> ] (\S+)\(\d+\)(\S+)\(\)", answers["w"], re.MULTILINE)
    assert frames == [
        ("train.py", "<module>"),
        ("minidl/tensors/tensor.py", "backward"),
        ("minidl/autograd/backward.py", "run"),
        ("minidl/functional/arithmetic.py", "backward"),
    ]
    assert "Mul() of 'w' (3,), Tensor (3,)" in answers["p self"]
    assert "array([4., 5., 6.]" in answers["p grad_x"]
    assert "Tensor([1., 2., 3.], name='w', requires_grad=True)" in answers["p w"]
    assert "Tensor(32., op=Sum)" in answers["p loss"]


def test_break_on_stops_in_a_program_that_runs_by_itself(tmp_path: Path) -> None:
    script = tmp_path / "train.py"
    lines = STEP.replace("with md.plain():", 'with md.break_on(op="Mul", when=lambda op, *a: len(a) == 3):')
    script.write_text(lines, encoding="utf-8")
    first, where, value, rest = pdb(script, ["w", "p grad_out", "c"], under_pdb=False)
    assert "-> grad_x = " in first
    assert "loss.backward()" in where
    assert "array([1., 1., 1.]" in value
    assert "reached the end" in rest


POST_MORTEM = """\
import minidl as md
import minidl.functional as F

x = md.tensor([1.0, 0.0], requires_grad=True, name="x")
with md.detect_anomaly():
    y = F.log(x)
"""


def test_after_an_anomaly_the_users_line_and_values_are_there(tmp_path: Path) -> None:
    script = tmp_path / "train.py"
    script.write_text(POST_MORTEM, encoding="utf-8")
    answers = pdb(script, ["c", *["u"] * 5, "p x"])
    assert "-> y = F.log(x)" in "".join(answers[2:7])
    assert "Tensor([1., 0.], name='x', requires_grad=True)" in answers[7]
