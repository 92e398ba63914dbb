"""Paths, and files that are written completely or not at all.

Whatever takes a path in minidl takes it through `path_of`, and whatever writes a file writes it by `write_atomically`.
"""

from __future__ import annotations

import os
import re
import stat
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from errno import EEXIST, EISDIR
from os import PathLike
from pathlib import Path
from typing import IO

from minidl.errors import describe

try:
    import fcntl
except ImportError:  # Windows, where a file that is open cannot be removed anyway
    fcntl = None  # type: ignore[assignment]

A_DAY = 86_400  # seconds
_KINDS = {stat.S_IFIFO: "a pipe", stat.S_IFSOCK: "a socket", stat.S_IFCHR: "a device", stat.S_IFBLK: "a device"}


def path_of(path: str | PathLike[str]) -> str:
    """A path as text, in which a `~` at the beginning is the user's home, as in a shell.

    Raises:
        TypeError: it is neither a str nor a PathLike of a str.
        ValueError: it is empty, or has a null character in it.
    """
    text = os.fspath(path) if isinstance(path, (str, PathLike)) else path
    if not isinstance(text, str):
        came = repr(path) if isinstance(path, bytes) else describe(path)
        raise TypeError(f"expected a path, a str or a pathlib.Path; got {came}")
    if not text or "\0" in text:
        raise ValueError(f"expected the path of a file or folder; got {text!r}")
    return os.path.expanduser(text)


def write_atomically(path: str | PathLike[str], content: bytes | Callable[[IO[bytes]], object]) -> None:
    """Write a file so that `path` holds either its old content or all of the new, also after a crash or a power cut.

    The bytes are written to a temporary file in the same folder, which replaces `path` once they are on the disk. The
    folder is made if it is missing. If `path` is a link, the file that it points to is replaced. Only plain files are
    replaced: what is a folder, a pipe or a device stays.

    Args:
        path: the file.
        content: its bytes, or a function that is given the open file and writes them.

    Raises:
        OSError: the folder or the file cannot be written, or the path is that of something else than a plain file. The
            message names the path; nothing is left behind.
        TypeError, ValueError: `path` is no path.
    """
    target = _target(path)
    with _naming(target), _new_part(target) as (part, handle):
        with open(handle, "wb") as file:
            if callable(content):
                content(file)
            else:
                file.write(content)
            file.flush()
            os.fsync(file.fileno())  # or a power cut could leave the new name with the old disk's bytes
        os.replace(part, target)


def check_writable(path: str | PathLike[str]) -> None:
    """Refuse a path that `write_atomically` could not write to, before the work that is to be kept there is done.

    Raises:
        OSError, TypeError, ValueError: as `write_atomically`; the path is as it was, but its folder may be new.
    """
    target = _target(path)
    with _naming(target), _new_part(target) as (_, handle):
        os.close(handle)


def _target(path: str | PathLike[str]) -> Path:
    """The file that is meant, where links lead; refused if something is there that is no plain file."""
    text = path_of(path)
    with suppress(FileNotFoundError):
        mode = os.stat(text).st_mode  # of the path itself: not every link, such as /dev/stdout, can be followed by name
        if stat.S_ISDIR(mode):
            raise IsADirectoryError(EISDIR, os.strerror(EISDIR), text)
        if not stat.S_ISREG(mode):
            kind = _KINDS.get(stat.S_IFMT(mode), "no plain file")
            raise FileExistsError(EEXIST, f"This is {kind}, and only plain files are replaced", text)
    return Path(os.path.realpath(text))


@contextmanager
def _naming(target: Path) -> Iterator[None]:
    """An OSError in here, such as that of a full disk, names the file that was to be written."""
    try:
        yield
    except OSError as error:
        own = error.filename is None or _is_part(Path(os.fsdecode(error.filename)).name, target)
        if own and error.errno is not None:
            error.filename = str(target)
            if error.filename2 is not None:
                del error.filename2
        elif own:
            error.add_note(f"while {target} was written")
        raise


@contextmanager
def _new_part(target: Path) -> Iterator[tuple[Path, int]]:
    """A new temporary file beside `target`, open for writing; it is removed if it is still there at the end.

    As long as this process lives it has the file locked, so that others can tell it from one that was left behind.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    _remove_abandoned_parts(target)
    lock = None
    try:
        while True:
            part = target.with_name(f".{target.name}.{os.urandom(4).hex()}.part")
            handle = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0), 0o666)
            if fcntl is None:
                break
            lock = os.dup(handle)  # the lock is held until both are closed
            with suppress(OSError):  # a disk without locks
                fcntl.flock(lock, fcntl.LOCK_EX)
            if part.exists():
                break
            os.close(handle)  # another process took it for an abandoned one before it was locked: once more
            os.close(lock)
        yield part, handle
    finally:
        part.unlink(missing_ok=True)
        if lock is not None:
            os.close(lock)


def _remove_abandoned_parts(target: Path) -> None:
    """Remove the temporary files of `target` that a process left behind which was killed while it wrote them."""
    with suppress(OSError):  # one is gone already, or not ours to remove; or the folder cannot be listed
        for entry in os.scandir(target.parent):
            if _is_part(entry.name, target) and entry.is_file(follow_symlinks=False):
                _remove_if_abandoned(entry.path)


def _remove_if_abandoned(part: str) -> None:
    """Remove a temporary file that nobody has locked; where files cannot be locked, one that is older than a day."""
    handle = os.open(part, os.O_RDONLY)
    try:
        if fcntl is not None:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            os.unlink(part)
            return
    except BlockingIOError:
        return
    except OSError:  # a disk without locks
        pass
    finally:
        os.close(handle)
    if time.time() - os.stat(part).st_mtime > A_DAY:
        os.unlink(part)


def _is_part(name: str, target: Path) -> bool:
    return re.fullmatch(rf"\.{re.escape(target.name)}\.[0-9a-f]{{8}}\.part", name) is not None
