"""A file of answers is run, and its checks are collected."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from minidl.check.exercise import OPEN
from minidl.classroom.answers import Answers, cells_of_file, is_touched, results_in
from minidl.classroom.plain import plain
from tests.classroom.sample import FOLDER, RIGHT, SQUARED, answered, sample_set


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.syspath_prepend(str(FOLDER))
    monkeypatch.delitem(sys.modules, "exercises", raising=False)
    return sample_set(plain, tmp_path)


def test_a_file_as_it_was_handed_out_is_not_run_and_everything_is_open(folder: Path) -> None:
    assert not is_touched(folder / "00_sample.ipynb")
    assert not is_touched(folder / "00_sample.py")
    for name in ("t00_slope", "t00_double", "t00_why"):
        assert Answers(folder)[name].difference == OPEN


@pytest.mark.parametrize("name", ["00_sample.py", "00_sample.ipynb"])
def test_answers_in_either_file_are_found(folder: Path, name: str) -> None:
    answered(folder / name, RIGHT, "0.5", '"a"')
    answers = Answers(folder)
    assert answers["t00_double"].passed
    assert answers["t00_slope"].hint == "that is 1 / slope"
    assert answers["t00_why"].hint == "x * x is steep, too"


def test_answered_in_both_the_better_one_counts(folder: Path) -> None:
    answered(folder / "00_sample.py", SQUARED, "2.0")
    answered(folder / "00_sample.ipynb", RIGHT, "0.5")
    answers = Answers(folder)
    assert answers["t00_double"].passed
    assert answers["t00_slope"].passed
    assert answers["t00_why"].difference == OPEN


def test_a_cell_that_fails_stops_nothing_and_is_named_where_a_check_lacks_it(folder: Path) -> None:
    path = folder / "00_sample.py"
    answered(path, RIGHT, "1 / 0")
    results = results_in(path)
    assert results["t00_double"].passed
    words = results["t00_slope"].difference
    assert "00_sample.py, cell 4 raised ZeroDivisionError: division by zero" in words
    assert "00_sample.py, cell 5 raised NameError: name 'slope' is not defined" in words


def test_exit_and_lines_of_jupyter_are_survived(folder: Path) -> None:
    path = folder / "00_sample.ipynb"
    answered(path, RIGHT, "2.0\\nexit()\\n%matplotlib inline\\n!ls")
    assert results_in(path)["t00_double"].passed


def test_the_line_that_failed_is_the_students(folder: Path) -> None:
    path = folder / "00_sample.ipynb"
    answered(path, "return x / 0 + [][0]")
    words = results_in(path)["t00_double"].difference
    assert words.startswith("your function raised IndexError: list index out of range")
    assert words.endswith("in double: return x / 0 + [][0]")


def test_the_seed_of_the_class_draws_the_cases(folder: Path) -> None:
    path = folder / "00_sample.py"
    answered(path, SQUARED)
    cases = {seed: results_in(path, seed)["t00_double"].case for seed in (1, 2, 1)}
    assert cases[1] != cases[2]


def test_nothing_is_printed_and_the_path_is_as_before(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = list(sys.path)
    answered(folder / "00_sample.py", RIGHT)
    results_in(folder / "00_sample.py")
    assert capsys.readouterr().out == ""
    assert sys.path == before


def test_a_file_that_is_no_notebook_is_named(tmp_path: Path) -> None:
    (tmp_path / "x.ipynb").write_text("<html>")
    with pytest.raises(ValueError, match=r"x\.ipynb is no notebook"):
        cells_of_file(tmp_path / "x.ipynb")
