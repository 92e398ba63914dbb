"""The screen: lines fit into its width, and nothing in them steers a terminal."""

from __future__ import annotations

import io

import pytest

from minidl.stepper.screen import PLAIN_SHADES, SHADES, Screen


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def written(*parts, width: int = 60, stream: io.StringIO | None = None) -> str:
    stream = stream or io.StringIO()
    Screen(stream, width).say(*parts)
    return stream.getvalue()


@pytest.mark.parametrize(("asked", "found"), [(10, 60), (60, 60), (133, 133), (999, 200)])
def test_the_width_is_between_60_and_200(asked: int, found: int) -> None:
    assert Screen(io.StringIO(), asked).width == found


@pytest.mark.parametrize(("columns", "found"), [("100", 100), ("0", 80), ("x", 80), ("-3", 80), ("9" * 30, 200)])
def test_columns_are_read_from_the_environment(monkeypatch, columns: str, found: int) -> None:
    monkeypatch.setenv("COLUMNS", columns)
    assert Screen(io.StringIO()).width == found


def test_the_width_is_the_usual_one_where_the_system_knows_no_terminals(monkeypatch) -> None:
    monkeypatch.delenv("COLUMNS", raising=False)
    monkeypatch.delattr("os.get_terminal_size")  # as under WebAssembly
    assert Screen(io.StringIO()).width == 80


def test_a_long_line_is_folded_and_stands_further_in() -> None:
    assert written("  " + "word " * 20).split("\n")[1].startswith("      word")
    assert max(map(len, written("x" * 150).split("\n"))) == 60


def test_control_characters_are_written_out() -> None:
    assert written("a\x1b[2Jb\n") == "a\\x1b[2Jb\\n\n"


def test_colours_are_for_terminals_and_who_wants_them(monkeypatch) -> None:
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setenv("TERM", "xterm")
    assert written(("update", "x"), stream=Terminal()) == "\x1b[32mx\x1b[0m\n"
    assert written(("update", "x")) == "x\n"
    monkeypatch.setenv("NO_COLOR", "1")
    assert written(("update", "x"), stream=Terminal()) == "x\n"


def test_a_source_line_is_cut() -> None:
    assert Screen(io.StringIO(), 60).cut("\tx" * 40, 20) == "    x   x   x   x   x   x   x   x   x..."


def test_block_characters_only_where_the_stream_has_them() -> None:
    assert Screen(io.TextIOWrapper(io.BytesIO(), encoding="ascii")).shades == PLAIN_SHADES
    assert Screen(io.TextIOWrapper(io.BytesIO(), encoding="utf-8")).shades == SHADES
