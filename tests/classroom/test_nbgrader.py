"""The set for nbgrader, with nbgrader itself where it is installed (tests/classroom/graders.py)."""

from __future__ import annotations

import csv
import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from minidl.classroom.handout import written
from minidl.classroom.nbgrader import nbgrader
from minidl.classroom.source import sources
from tests.classroom.graders import run_grader
from tests.classroom.sample import RIGHT, SQUARED, answered, sample_set

STUB = "...  # your lines here"


def cells(files: dict[str, Any], stem: str) -> list[dict[str, Any]]:
    return json.loads(files[f"source/{stem}/{stem}.ipynb"])["cells"]


def text(cell: dict[str, Any]) -> str:
    return "".join(cell["source"])


def test_every_exercise_has_a_cell_to_solve_and_a_locked_one_with_points() -> None:
    files = nbgrader(sources(), 7)
    for stem in sources():
        graded = {
            cell["metadata"]["nbgrader"]["grade_id"]: (cell, cell["metadata"]["nbgrader"])
            for cell in cells(files, stem)
            if "nbgrader" in cell["metadata"]
        }
        names = [name.removesuffix("_check") for name in graded if name.endswith("_check")]
        assert len(names) >= 3
        for name in names:
            solved, about = graded[name]
            assert "### BEGIN SOLUTION" in text(solved)
            assert (about["solution"], about["grade"], about["schema_version"]) == (True, False, 3)
            check, about = graded[f"{name}_check"]
            assert (about["grade"], about["locked"], about["solution"]) == (True, True, False)
            assert text(check).endswith(f"\n{about['points']} * {text(check).split('.')[-2].split()[-1]}.score")
        assert any(about["solution"] and about["grade"] and about["points"] == 2 for _, about in graded.values())
        assert "md.check.seed(7)" in str(files[f"source/{stem}/{stem}.ipynb"])


@pytest.mark.slow
def test_solved_mistaken_and_open_answers_get_their_points(tmp_path: Path) -> None:
    """Full marks; none for what is wrong or open, with the hint in what the student gets back."""
    sample_set(nbgrader, tmp_path, seed=7)
    run_grader(tmp_path, "nbgrader", "generate_assignment", "00_sample")
    release = tmp_path / "release" / "00_sample"
    assert "SOLUTION" not in (release / "00_sample.ipynb").read_text()
    for student in ("right", "wrong"):
        shutil.copytree(release, tmp_path / "submitted" / student / "00_sample")
    submitted = {path.parts[-3]: path for path in tmp_path.glob("submitted/*/*/*.ipynb")}
    answered(submitted["right"], RIGHT, "2.0", '"b"', stub=STUB)
    answered(submitted["wrong"], SQUARED, "", '"b"', stub=STUB)
    run_grader(tmp_path, "nbgrader", "autograde", "00_sample")
    run_grader(tmp_path, "nbgrader", "export")
    with open(tmp_path / "grades.csv", encoding="utf-8") as file:
        scores = {row["student_id"]: float(row["score"]) for row in csv.DictReader(file)}
    assert scores == {"right": 5, "wrong": 1}
    back = (tmp_path / "autograded" / "wrong" / "00_sample" / "00_sample.ipynb").read_text()
    assert "that is the square" in back
    assert "not answered yet" in back


@pytest.mark.slow
def test_nbgrader_takes_all_tutorials_and_leaves_no_solution(tmp_path: Path) -> None:

    written(nbgrader(sources()), tmp_path)
    run_grader(tmp_path, "nbgrader", "generate_assignment", "--assignment=*")
    made = sorted((tmp_path / "release").glob("*/*.ipynb"))
    assert [path.stem for path in made] == list(sources())
    for path in made:
        assert "SOLUTION" not in path.read_text(encoding="utf-8")
