"""minidl/tables.py: columns that stand under each other, and fold where the terminal is narrow."""

import os
import sys

import pytest

from minidl import tables
from minidl.tables import Text, terminal_width, text_table

ROWS = [
    ("layer", "type", "", "parameters"),
    ("stage1.0.residual.body.conv1", "Conv2d 384->256, 3x3, padding=1x1, groups=2", "", "442,624"),
    ("fc", "Linear 9216->4096", "", "37,752,832"),
]


@pytest.fixture
def narrow(monkeypatch):
    monkeypatch.setattr(tables, "terminal_width", lambda: 60)


def test_columns_are_aligned_numbers_to_the_right_and_empty_ones_left_out():
    text = text_table([("a", "n", ""), ("x", "1", ""), ("yy", "10", "")], numbers=(1,))
    assert text == "a    n\n------\nx    1\nyy  10\n------"


def test_in_a_narrow_terminal_words_fold_and_numbers_do_not(narrow):
    lines = text_table(ROWS, numbers=(3,)).splitlines()
    assert max(len(line) for line in lines) <= 60
    assert any(line.endswith("37,752,832") for line in lines)
    name = [line.split("  ")[0] for line in lines[2:4]]
    assert "".join(name) == "stage1.0.residual.body.conv1"


def test_nothing_is_lost_where_nothing_fits(monkeypatch):
    monkeypatch.setattr(tables, "terminal_width", lambda: 5)
    text = text_table(ROWS, numbers=(3,))
    assert "442,624" in text
    assert "padding=1x1" in text


def test_what_is_no_terminal_has_no_width(monkeypatch):
    assert terminal_width() is None  # pytest's output
    assert len(text_table(ROWS).splitlines()[2]) > 80


def test_the_width_is_the_terminals(monkeypatch):
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True, raising=False)
    monkeypatch.setenv("COLUMNS", "72")
    assert terminal_width() == 72
    monkeypatch.setattr("shutil.get_terminal_size", lambda: os.terminal_size((50, 20)))
    assert terminal_width() == 50


def test_a_text_shows_itself_without_quotes():
    assert repr(Text("a\nb")) == "a\nb"
    assert Text("a") == "a"
