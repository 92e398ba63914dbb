"""The set without a grader: what is in it, and that its test file tests."""

from __future__ import annotations

import ast
import json
import os
import subprocess
import sys
from pathlib import Path

import minidl
from minidl.classroom.plain import plain
from minidl.classroom.source import cells_of, sources
from tests.classroom.sample import FOLDER, RIGHT, SQUARED, answered, sample_set

ROOT = Path(minidl.__file__).parents[1]


def run_pytest(folder: Path, *arguments: str) -> tuple[int, str]:
    environment = {**os.environ, "PYTHONPATH": f"{ROOT}{os.pathsep}{FOLDER}", "MINIDL_PROGRESS": "0"}
    environment.pop("PYTEST_ADDOPTS", None)
    command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", *arguments]
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True)
    return done.returncode, done.stdout + done.stderr


def test_its_files(tmp_path: Path) -> None:
    folder = sample_set(plain, tmp_path)
    assert {path.name for path in folder.iterdir()} == {
        "00_sample.ipynb", "00_sample.py", "README.md", "test_tutorials.py", "pytest.ini",
    }  # fmt: skip
    assert "[A sample](00_sample.ipynb)" in (folder / "README.md").read_text()
    assert "t00: A sample" in (folder / "pytest.ini").read_text()
    ast.parse((folder / "test_tutorials.py").read_text())


def test_pytest_checks_what_was_answered_and_marks_choose_a_tutorial(tmp_path: Path) -> None:
    folder = sample_set(plain, tmp_path, seed=7)
    answered(folder / "00_sample.py", SQUARED, "2.0")
    status, output = run_pytest(folder, "-m", "t00")
    assert status == 1
    assert "2 failed, 1 passed" in output
    assert "hint        that is the square" in output
    assert "not answered yet" in output
    assert "Traceback" not in output


def test_all_answered_passes(tmp_path: Path) -> None:
    folder = sample_set(plain, tmp_path)
    answered(folder / "00_sample.ipynb", RIGHT, "2.0", '"b"')
    status, output = run_pytest(folder)
    assert status == 0, output
    assert "3 passed" in output


def test_a_seed_is_in_both_files_and_in_the_tests() -> None:
    files = plain(sources(FOLDER), 2026)
    assert "md.check.seed(2026)" in str(files["00_sample.py"])
    assert "md.check.seed(2026)" in str(files["00_sample.ipynb"])
    assert "seed=2026" in str(files["test_tutorials.py"])
    assert "seed=None" in str(plain(sources(FOLDER))["test_tutorials.py"])


def test_of_all_tutorials_no_solution_is_left() -> None:
    files = plain(sources())
    stems = list(sources())
    for stem in stems:
        text = str(files[f"{stem}.py"])
        assert "SOLUTION" not in text
        compile(text, stem, "exec")
        notebook = json.loads(files[f"{stem}.ipynb"])
        assert len(notebook["cells"]) == len(cells_of(text)) + 1  # which installs
    assert {name for name in files if name.endswith(".html")} == {
        f"pages/{page.name}" for page in next(iter(sources().values())).parent.glob("pages/*.html")
    }
