"""minidl/files/output.py: what is printed may be lost, the work may not."""

import errno
import io
import os

import pytest

from minidl.files.output import Steady, finish, say


class Failing(io.StringIO):
    """A stream that takes nothing."""

    encoding = "utf-8"

    def __init__(self, error):
        super().__init__()
        self.error = error

    def write(self, text):
        raise self.error

    def flush(self):
        raise self.error


def ascii_stream():
    return io.TextIOWrapper(io.BytesIO(), encoding="ascii", newline="")


@pytest.mark.parametrize(
    "stream", [None, Failing(BrokenPipeError()), Failing(OSError(errno.ENOSPC, "full")), Failing(ValueError("closed"))]
)
def test_a_stream_that_takes_nothing_ends_nothing(stream):
    say("words", stream)
    steady = Steady(stream)
    assert steady.write("words") == 5
    steady.flush()
    assert not steady.isatty()
    assert steady.encoding == "utf-8"


def test_lines_are_written_at_once():
    stream = io.StringIO()
    say("one\ntwo", stream)
    assert stream.getvalue() == "one\ntwo\n"


def test_control_characters_are_written_out():
    stream = io.StringIO()
    say("a\x1b]0;title\x07b\x9bm\r\udcff \u2066", stream)
    assert stream.getvalue() == "a\\x1b]0;title\\x07b\\x9bm\\r\\udcff \\u2066\n"


def test_what_an_encoding_does_not_have_is_written_with_backslashes():
    stream = ascii_stream()
    say("0.5 \u00d7 3", stream)
    assert stream.buffer.getvalue() == b"0.5 \\xd7 3\n"


def test_a_steady_stream_stands_for_its_own(tmp_path):
    with open(tmp_path / "out", "w", encoding="latin-1") as file:
        steady = Steady(file)
        assert (steady.encoding, steady.fileno(), steady.isatty()) == ("latin-1", file.fileno(), False)
    with pytest.raises(OSError, match="closed"):
        Steady(None).fileno()


def test_at_the_end_it_is_said_why_words_are_lost_and_python_has_nothing_left_to_write():
    assert finish(None) is None
    assert finish(io.StringIO()) is None
    reading, writing = os.pipe()
    os.close(reading)
    with os.fdopen(writing, "w") as stream:
        stream.write("words")
        assert isinstance(finish(stream), BrokenPipeError)
        stream.write("and more")  # goes nowhere
    assert finish(stream) is None  # closed
    assert finish(Failing(OSError(errno.ENOSPC, "full"))).errno == errno.ENOSPC
