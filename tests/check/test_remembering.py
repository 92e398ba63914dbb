"""What a student has done is kept in a small file, and nothing else is written."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

import minidl as md
from minidl.check.remembering import FILE, remember


@pytest.fixture(autouse=True)
def in_a_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("MINIDL_PROGRESS")
    return tmp_path


def test_the_best_score_and_the_number_of_tries_are_kept() -> None:
    remember("t00_x", 0.5)
    remember("t00_x", 1.0)
    remember("t00_x", 0.0)
    remember("t00_why", 0.0)
    assert repr(md.check.progress()).splitlines() == [
        "t00_why  open  best   0%  1 try",
        "t00_x    done  best 100%  3 tries",
        "1 of 2 exercises that were tried are done",
    ]


def test_nothing_tried_is_said() -> None:
    assert repr(md.check.progress()) == "no exercise was tried yet in this folder"


def test_it_can_be_turned_off(monkeypatch: pytest.MonkeyPatch, in_a_folder: Path) -> None:
    monkeypatch.setenv("MINIDL_PROGRESS", "0")
    remember("t00_x", 1.0)
    assert list(in_a_folder.iterdir()) == []


@pytest.mark.parametrize("text", ["[1, 2]", "{", '{"a": 3}'])
def test_a_file_of_that_name_that_is_none_is_left_alone(text: str) -> None:
    Path(FILE).write_text(text)
    remember("t00_x", 1.0)
    assert Path(FILE).read_text() == text


def test_where_nothing_can_be_written_nothing_is(in_a_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*args: object, **kwargs: object) -> None:
        raise OSError

    monkeypatch.setattr(Path, "write_text", refuse)
    remember("t00_x", 1.0)
    assert list(in_a_folder.iterdir()) == []


def test_the_file_is_plain_json() -> None:
    remember("t00_x", 0.25)
    entry = json.loads(Path(FILE).read_text())["t00_x"]
    assert entry["best"] == 0.25
    assert entry["tries"] == 1
