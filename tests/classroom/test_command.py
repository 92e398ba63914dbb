"""`minidl tutorials`: what it writes, says and refuses."""

from __future__ import annotations

from pathlib import Path

import pytest

from minidl.classroom.source import sources
from minidl.cli import main


@pytest.mark.parametrize(
    ("chosen", "names"),
    [
        ("plain", {"01_chain_rule.ipynb", "01_chain_rule.py", "test_tutorials.py", "pytest.ini", "README.md"}),
        ("nbgrader", {"source/01_chain_rule/01_chain_rule.ipynb", "nbgrader_config.py", "README.md"}),
        ("otter", {"01_chain_rule/01_chain_rule.ipynb", "README.md"}),
    ],
)
def test_each_format_writes_its_files_and_says_what_to_do_next(
    chosen: str, names: set[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["tutorials", str(tmp_path / "class"), "--format", chosen, "--only", "1", "--seed", "7"]) == 0
    made = {path.relative_to(tmp_path / "class").as_posix() for path in (tmp_path / "class").rglob("*.*")}
    assert names <= made
    assert all(name in names or ".html" in name for name in made)
    said = capsys.readouterr().out.splitlines()
    assert said[0].startswith("1 tutorial, ")
    assert said[1].startswith("next: cd ")


def test_without_a_folder_it_is_tutorials_and_all_of_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["tutorials"]) == 0
    assert {path.stem for path in (tmp_path / "tutorials").glob("*.ipynb")} == set(sources())


def test_answers_are_not_written_over_without_force(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    call = ["tutorials", str(tmp_path), "--only", "1"]
    assert main(call) == 0
    assert main(call) == 0
    (tmp_path / "01_chain_rule.py").write_text("my answer")
    assert main(call) == 2
    error = capsys.readouterr().err
    assert error.startswith("minidl tutorials: ")
    assert error.count("\n") == 1
    assert "perhaps answers: 01_chain_rule.py" in error
    assert main([*call, "--force"]) == 0
    assert (tmp_path / "01_chain_rule.py").read_text() != "my answer"


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--only", "99"], "--only: there is no tutorial 99; there are 1, 2"),
        (["--only", "x"], "--only: there is no tutorial x"),
        (["--seed", "-1"], "--seed is a whole number of 0 or more, not '-1'"),
        (["--seed", "today"], "--seed is a whole number of 0 or more, not 'today'"),
    ],
)
def test_a_wrong_call_is_one_line(
    arguments: list[str], words: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["tutorials", str(tmp_path / "class"), *arguments]) == 2
    error = capsys.readouterr().err
    assert words in error
    assert error.count("\n") == 1
    assert not (tmp_path / "class").exists()


def test_its_help_teaches(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["tutorials", "--help"])
    text = capsys.readouterr().out
    for words in ("nbgrader", "otter assign", "pytest -m t03", "--seed", "The solutions are public"):
        assert words in text
