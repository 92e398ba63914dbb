"""minidl/data/forgiving.py: who stops reading stops the showing, and nothing else."""

import io
import os
import sys

import pytest
from rich.console import Console

from minidl.data.forgiving import Forgiving, forgiving_output
from minidl.data.progress import Bar


class Full(io.StringIO):
    """A stream that takes so many texts."""

    def __init__(self, room):
        super().__init__()
        self.room = room

    def write(self, text):
        if self.room == 0:
            raise OSError(28, "No space left on device")
        self.room -= 1
        return super().write(text)


def test_it_shows_what_can_be_shown():
    inner = Full(2)
    stream = Forgiving(inner)
    for text in ("one", "two", "three", "four"):
        assert stream.write(text) == len(text)
        stream.flush()
    assert inner.getvalue() == "onetwo"


@pytest.mark.parametrize("inner", [None, io.StringIO()])
def test_what_was_never_open_or_is_closed_shows_nothing(inner):
    if inner is not None:
        inner.close()
    stream = Forgiving(inner)
    print("text", file=stream, flush=True)
    assert not stream.isatty()
    with pytest.raises((io.UnsupportedOperation, ValueError)):
        stream.fileno()
    Console(file=stream).print("text")


def test_a_letter_that_cannot_be_shown_is_an_error_as_ever():
    with pytest.raises(UnicodeEncodeError):
        Forgiving(io.TextIOWrapper(io.BytesIO(), "ascii")).write("\N{GREEK SMALL LETTER ALPHA}")


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has other pipes")
def test_a_pipe_that_nobody_reads_is_given_up_for_good():
    reading, writing = os.pipe()
    os.close(reading)
    with os.fdopen(writing, "w") as pipe:
        stream = Forgiving(pipe)
        print("text", file=stream, flush=True)
        print("more", file=stream, flush=True)
        pipe.write("what waits until Python ends does not fail either")


def test_standard_output_and_errors_are_put_back(monkeypatch, capsys):
    before = sys.stdout, sys.stderr
    with forgiving_output():
        print("shown")
        print("an error", file=sys.stderr)
    assert (sys.stdout, sys.stderr) == before
    assert capsys.readouterr() == ("shown\n", "an error\n")
    monkeypatch.setattr(sys, "stdout", Full(0))
    with forgiving_output():
        print("not shown", flush=True)


def test_a_progress_bar_that_cannot_be_drawn_stops_nothing(monkeypatch):
    monkeypatch.setattr(sys, "stderr", Full(0))
    with Bar(True, 3) as bar:
        for _ in range(3):
            bar.advance()
