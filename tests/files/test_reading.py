"""minidl/files/reading.py: only regular files are opened, and whatever goes wrong names the file."""

import errno
import os
import sys

import pytest

from minidl.files import reading
from minidl.files.reading import as_damage, fitting, naming, open_file, parse_json, read_bytes, read_json, read_text

needs_pipes = pytest.mark.skipif(sys.platform == "win32", reason="Windows has no named pipes in folders")
READERS = pytest.mark.parametrize(
    "read", [open_file, read_bytes, read_text, lambda path: read_json(path, dict, "is damaged")]
)


@needs_pipes
@READERS
def test_a_pipe_is_not_waited_for_and_a_device_not_read(tmp_path, read):
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "link").symlink_to("/dev/null")
    with pytest.raises(ValueError, match="pipe is a pipe: expected a regular file"):
        read(tmp_path / "pipe")
    with pytest.raises(ValueError, match="link is a device: expected a regular file"):
        read(tmp_path / "link")


@READERS
def test_a_missing_file_is_a_missing_file(tmp_path, read):
    with pytest.raises(FileNotFoundError, match="none"):
        read(tmp_path / "none")


def test_a_link_to_a_regular_file_is_followed(tmp_path):
    (tmp_path / "a").write_bytes(b"content")
    (tmp_path / "link").symlink_to(tmp_path / "a")
    assert read_bytes(str(tmp_path / "link")) == b"content"


def test_a_file_of_more_bytes_than_asked_for_is_not_read(tmp_path):
    (tmp_path / "a").write_bytes(bytes(11))
    assert read_bytes(tmp_path / "a", most=11) == bytes(11)
    with pytest.raises(ValueError, match="a has 11 bytes: expected at most 10"):
        read_bytes(tmp_path / "a", most=10)


def test_a_text_may_have_a_mark_at_its_beginning_and_lines_of_windows(tmp_path):
    (tmp_path / "a").write_bytes(b"\xef\xbb\xbf\xc3\xbc\r\n")
    assert read_text(tmp_path / "a") == "ü\n"
    (tmp_path / "b").write_bytes(b"\xff")
    with pytest.raises(ValueError, match="b is not a text in UTF-8"):
        read_text(tmp_path / "b")


def test_json_is_compared_with_what_has_to_be_in_it(tmp_path):
    path = tmp_path / "a.json"
    path.write_text('{"seed": 3}')
    assert read_json(path, {"seed": int}, "is damaged") == {"seed": 3}
    with pytest.raises(ValueError, match=r"a\.json is damaged, seed: expected a text; got 3"):
        read_json(path, {"seed": str}, "is damaged")


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "Expecting value"),
        (b"{", "Expecting property name"),
        (b"\xff", "codec can't decode"),
        (b'{"a": 1, "b": 2, "a": 3}', "the entry 'a' comes twice"),
    ],
)
def test_what_is_no_json_is_refused(content, words):
    with pytest.raises(ValueError, match=f"a file is damaged: .*{words}"):
        parse_json(content, "a file is damaged")


def test_brackets_nested_too_deeply_are_damage_too(monkeypatch):
    def too_deep(content, **options):
        raise RecursionError("maximum recursion depth exceeded")

    monkeypatch.setattr(reading.json, "loads", too_deep)
    with pytest.raises(ValueError, match="a file is damaged: its brackets are nested too deeply"):
        parse_json(b"[[]]", "a file is damaged")


def test_too_little_memory_is_not_damage_and_names_the_file_and_the_bytes():
    with pytest.raises(MemoryError) as caught, as_damage("a.npz", "is damaged", size=8_000):
        raise MemoryError
    assert caught.value.__notes__ == ["while a.npz was read, which takes 8,000 bytes"]


def test_of_two_notes_the_nearer_one_stays():
    with pytest.raises(MemoryError) as caught, naming("a.zip", 80), naming("1.png in a.zip", 8):
        raise MemoryError
    assert caught.value.__notes__ == ["while 1.png in a.zip was read, which takes 8 bytes"]


def test_what_the_system_reports_is_not_damage_and_names_the_file():
    with pytest.raises(OSError, match=r"Input/output error: 'a\.npz'"), as_damage("a.npz", "is damaged"):
        raise OSError(errno.EIO, "Input/output error")
    with pytest.raises(PermissionError, match=r"'other'"), as_damage("a.npz", "is damaged"):
        raise PermissionError(errno.EACCES, "Permission denied", "other")


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (KeyError("w"), "a.npz is damaged: 'w'"),
        (EOFError(), "a.npz is damaged: EOFError"),
        (OSError("Not a gzipped file"), "a.npz is damaged: Not a gzipped file"),
        (OSError(errno.EINVAL, "Invalid argument"), "a.npz is damaged: .*Invalid argument"),
        (OverflowError("too large"), "a.npz is damaged: too large"),
    ],
)
def test_everything_else_is_damage(error, words):
    with pytest.raises(ValueError, match=words), as_damage("a.npz", "is damaged"):
        raise error


def test_a_file_that_does_not_fit_says_what_to_do():
    words = (
        r"a\.npz cannot be read as a race: it has no arms\. Make it anew, or use the version of minidl that wrote it"
    )
    with pytest.raises(ValueError, match=words), fitting("a.npz", "race"):
        raise ValueError("it has no arms")
