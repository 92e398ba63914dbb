"""The set for Otter-Grader, with Otter-Grader itself where it is installed (tests/classroom/graders.py)."""

from __future__ import annotations

import ast
import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from minidl.classroom.otter import otter
from minidl.classroom.source import sources
from tests.classroom.graders import run_grader
from tests.classroom.sample import RIGHT, SQUARED, answered, sample_set


def test_every_exercise_is_a_question_with_its_solution_and_tests() -> None:
    files = otter(sources(), 7)
    for stem in sources():
        cells = json.loads(files[f"{stem}/{stem}.ipynb"])["cells"]
        texts = ["".join(cell["source"]) for cell in cells]
        assert texts[0].startswith("# ASSIGNMENT CONFIG\n")
        begun = [text for text in texts if text.startswith("# BEGIN QUESTION\nname: t")]
        assert len(begun) == texts.count("# END QUESTION") >= 4
        tests = [text for text in texts if text.startswith("def test_t")]
        for text in tests:
            ast.parse(text)
            assert "show=False" in text
        assert "# BEGIN SOLUTION NO PROMPT" in "".join(texts)


@pytest.mark.slow
def test_solved_mistaken_and_open_answers_get_their_points(tmp_path: Path) -> None:
    folder = sample_set(otter, tmp_path, seed=7) / "00_sample"
    run_grader(folder, "otter", "assign", "00_sample.ipynb", "dist")  # it runs the solution's tests as well
    student = folder / "dist" / "student" / "00_sample.ipynb"
    assert "SOLUTION" not in student.read_text()
    (archive,) = (folder / "dist" / "autograder").glob("*.zip")
    given = {"right": (RIGHT, "2.0", '"b"'), "wrong": (SQUARED, "", '"b"')}
    for name, answers in given.items():
        submission = tmp_path / f"{name}.ipynb"
        shutil.copy(student, submission)
        answered(submission, *answers)
        (tmp_path / name).mkdir()
        run_grader(tmp_path, "otter", "run", "-a", str(archive), "-o", name, str(submission))
    right, wrong = (json.loads((tmp_path / name / "results.json").read_text())["tests"] for name in given)
    assert points(right) == (5, 5)
    assert points(wrong) == (1, 5)
    said = "".join(test["output"] for test in wrong)
    assert "that is the square" in said
    assert "not answered yet" in said


def points(tests: list[dict[str, Any]]) -> tuple[float, float]:
    """Those that were got, and those that there are."""
    scored = [test for test in tests if "max_score" in test]
    return sum(test["score"] for test in scored), sum(test["max_score"] for test in scored)
