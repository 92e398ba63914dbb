"""Reading files: only regular ones are opened, and whatever goes wrong is said with the name of the file.

What the file is to blame for is a ValueError that says so. Too little memory and what the system reports (a broken
disk, no permission) say nothing about the file: they stay what they are, and tell only which file was read.
"""

from __future__ import annotations

import errno
import io
import json
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from os import PathLike
from typing import Any, BinaryIO

from minidl.files.schema import check_plain

_KINDS = {
    stat.S_IFIFO: "a pipe",
    stat.S_IFSOCK: "a socket",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
}


def open_file(path: str | PathLike[str]) -> BinaryIO:
    """Open a regular file to read its bytes: a pipe would let the program wait for ever, a device may never end.

    Raises:
        ValueError: it is a pipe, a socket or a device.
        OSError: there is no such file, or it cannot be read.
    """
    kind = _KINDS.get(stat.S_IFMT(os.stat(path).st_mode))
    if kind is not None:
        raise ValueError(f"{os.fspath(path)} is {kind}: expected a regular file")
    return open(path, "rb")


def read_bytes(path: str | PathLike[str], most: int | None = None) -> bytes:
    """The content of a regular file.

    Raises:
        ValueError: it is no regular file, or longer than `most` bytes.
        OSError: there is no such file, or it cannot be read.
    """
    with open_file(path) as file:
        size = os.fstat(file.fileno()).st_size
        if most is not None and size > most:
            raise ValueError(f"{os.fspath(path)} has {size:,} bytes: expected at most {most:,}")
        with naming(path, size):
            return file.read()


def read_text(path: str | PathLike[str]) -> str:
    """The content of a regular file of text in UTF-8.

    Raises:
        ValueError: it is no regular file, or not UTF-8.
        OSError: there is no such file, or it cannot be read.
    """
    content = read_bytes(path)
    with naming(path, len(content)):
        try:
            return io.TextIOWrapper(io.BytesIO(content), encoding="utf-8-sig").read()
        except UnicodeDecodeError as error:
            raise ValueError(f"{os.fspath(path)} is not a text in UTF-8: {error}") from error


def read_json(path: str | PathLike[str], expected: Any, damaged: str) -> Any:
    """The plain data in a JSON file.

    Args:
        path: the file.
        expected: what has to be in it (see `check_plain`).
        damaged: how the message goes on after the file's name: "is damaged or not a history".

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: it is no JSON, or something else is in it. The message names the file and the entry.
    """
    content, wrong = read_bytes(path), f"{os.fspath(path)} {damaged}"
    with naming(path, len(content)):
        found = parse_json(content, wrong)
    check_plain(found, expected, wrong)
    return found


def parse_json(content: bytes, damaged: str) -> Any:
    """The plain data that JSON text describes; a ValueError that begins with `damaged` if it is no JSON."""
    try:
        return json.loads(content, object_pairs_hook=_each_name_once)
    except RecursionError as error:
        raise ValueError(f"{damaged}: its brackets are nested too deeply") from error
    except ValueError as error:
        raise ValueError(f"{damaged}: {error}") from error


def _each_name_once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """The entries of an object: of a name that comes twice, Python would keep the last in silence."""
    entries = dict(pairs)
    if len(entries) < len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise ValueError(f"the entry {twice!r} comes twice")
    return entries


@contextmanager
def naming(path: str | PathLike[str], size: int | None = None) -> Iterator[None]:
    """Too little memory inside says which file was read and how many bytes it takes, the system's errors which file."""
    try:
        yield
    except MemoryError as error:
        if not hasattr(error, "__notes__"):  # nobody nearer to it has said it
            takes = "" if size is None else f", which takes {size:,} bytes"
            error.add_note(f"while {os.fspath(path)} was read{takes}")
        raise
    except OSError as error:
        if error.errno and error.filename is None:
            error.filename = os.fspath(path)
        raise


@contextmanager
def as_damage(path: str | PathLike[str], words: str, size: int | None = None) -> Iterator[None]:
    """Whatever goes wrong inside is the fault of the file, a ValueError: `path words: what was wrong`.

    Readers of archives and images raise a dozen kinds of errors. Those that say nothing about the file pass as they
    are (see `naming`).
    """
    try:
        with naming(path, size):
            yield
    except Exception as error:
        if isinstance(error, MemoryError) or (isinstance(error, OSError) and error.errno not in (None, errno.EINVAL)):
            raise  # EINVAL: a damaged file asked for a place that no file has
        raise ValueError(f"{os.fspath(path)} {words}: {str(error) or type(error).__name__}") from error


@contextmanager
def fitting(path: str | PathLike[str], kind: str) -> Iterator[None]:
    """A ValueError raised inside says as well that `path` cannot be read as a `kind`, and what to do."""
    try:
        yield
    except ValueError as error:
        raise ValueError(
            f"{os.fspath(path)} cannot be read as a {kind}: {error}. Make it anew, or use the version of minidl that "
            f"wrote it"
        ) from error
