"""Where published data sets are kept on this machine, and how they come from their public homes.

A set is looked for in the folder the caller names (`root`), or else in the folder MINIDL_DATA names and then in the
user's cache. Nothing is downloaded unless it is asked for: `md.data.mnist(download=True)`.

urllib and hashlib are imported where they are used: `import minidl` passes by here and should not wait for them.
"""

from __future__ import annotations

import errno
import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from os import PathLike
from pathlib import Path

from minidl.checks import yes_or_no
from minidl.data.progress import Bar
from minidl.files.writing import path_of
from minidl.version import __version__

TIMEOUT = 30.0  # seconds of silence after which a server is given up
MOST_NAMED = 8  # files in a message
_CHUNK = 2**16  # bytes
_NO_ROOM = (errno.ENOSPC, errno.EDQUOT)


@dataclass(frozen=True)
class Published:
    """A file that the public can download.

    Attributes:
        name: of the file.
        homes: the addresses of the folders that hold it, each with a final slash, in the order to try them.
        md5: its checksum, as its authors published it.
        size: in bytes.
        unpacked: what the file or folder in it is called, which serves as well.
        also: what else that is called where other programs unpacked or renamed it; paths in the folder.
    """

    name: str
    homes: tuple[str, ...]
    md5: str
    size: int
    unpacked: str
    also: tuple[str, ...] = ()

    def within(self, folder: Path) -> Path:
        """The path in a folder: of what was unpacked, if that is there, else of the file itself."""
        for name in (*self.also, self.unpacked):
            if (folder / name).exists():
                return folder / name
        return folder / self.name


def folders(name: str, root: str | PathLike[str] | None) -> list[Path]:
    """Where a set called `name` may lie: `root/name` and `root` itself; without a root MINIDL_DATA and the cache."""
    if root is not None:
        folder = Path(path_of(root))
        return [folder / name, folder]
    chosen = os.environ.get("MINIDL_DATA")
    return ([Path(path_of(chosen)) / name] if chosen else []) + [_cache() / name]


def locate(
    name: str,
    files: Sequence[Published],
    root: str | PathLike[str] | None,
    download: bool,
    layouts: Sequence[str] = (),
) -> list[Path]:
    """The paths of all files of the set that `md.data.NAME` reads; with `download` what is missing is fetched first.

    Args:
        name, files: the set.
        root, download: as the reader of the set was given them.
        layouts: where other libraries put the whole set, as paths in the folder that holds all sets.

    Raises:
        FileNotFoundError: files are missing. The message says where they were looked for and how to get them.
        ConnectionError: none of their homes gave a file.
    """
    places = folders(name, root)
    for place in [*places, *(places[0].parent / layout for layout in layouts)]:
        if all(file.within(place).exists() for file in files):
            return [file.within(place) for file in files]
    # The place that lacks the fewest, and of equals the first.
    target = max(places, key=lambda place: sum(file.within(place).exists() for file in files))
    missing = [file for file in files if not file.within(target).exists()]
    if not yes_or_no(download, f"{name}: download"):
        raise FileNotFoundError(
            f"md.data.{name}: found no {', '.join(file.name for file in missing)} in {' or '.join(map(str, places))}. "
            f"{downloading(name, root)} fetches {max(0.1, sum(file.size for file in missing) / 1e6):.1f} MB into "
            f"{target}; or let the environment variable MINIDL_DATA name a folder that holds {name}{os.sep}"
            f"{_what_lies_in(places)}"
        )
    for file in missing:
        fetch([home + file.name for home in file.homes], target / file.name, file.md5, file.size)
    return [file.within(target) for file in files]


def _what_lies_in(places: Sequence[Path]) -> str:
    """For messages: what is there instead of what was looked for, a few names."""
    said = ""
    for place in places:
        names = sorted(entry.name for entry in place.iterdir()) if place.is_dir() else []
        if names:
            more = f" and {len(names) - MOST_NAMED} more" if len(names) > MOST_NAMED else ""
            said += f". In {place} there is {', '.join(names[:MOST_NAMED])}{more}"
    return said


def downloading(name: str, root: str | PathLike[str] | None) -> str:
    """The call that downloads the set, for messages."""
    return f"md.data.{name}({'' if root is None else f'{os.fspath(root)!r}, '}download=True)"


@contextmanager
def reading(name: str, root: str | PathLike[str] | None) -> Iterator[None]:
    """Whoever finds a file damaged in here says as well how to get it anew."""
    try:
        yield
    except ValueError as error:
        remedy = f"Delete what is damaged, the file or the folder it was unpacked to, and {downloading(name, root)}"
        raise ValueError(f"{error}. {remedy} fetches it again") from error


def fetch(
    urls: Sequence[str],
    path: Path,
    md5: str,
    size: int | None = None,
    *,
    timeout: float = TIMEOUT,
    show: bool | None = None,
) -> None:
    """Download a file from the first of `urls` that gives it undamaged; `path` is there whole or not at all.

    What has arrived is kept beside it as `.part`, also after Ctrl-C or a cut connection, and the next attempt (at the
    next address, or in the next call) asks for the rest only. While another process downloads into the same folder this
    one waits (not on Windows), and takes the file if it is there then.

    Args:
        urls: the addresses of the same file, in the order to try them.
        path: where to put it; its folder is made.
        md5: the checksum of the whole.
        size: of the whole in bytes; who sends more is not listened to any longer.
        timeout: seconds of silence after which the next address is tried.
        show: a progress bar: True, False, or None for one in a terminal or a notebook if it takes longer than a second.

    Raises:
        ConnectionError: no address gave it; the message says why for each.
        OSError: the file cannot be written.
    """
    from http.client import HTTPException

    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(path.name + ".part")
    failures = []
    with _alone_in(path.parent):
        if path.exists():
            return
        for url in urls:
            part.touch()  # a folder that cannot be written to is not the server's fault
            try:
                _receive_whole(url, part, md5, size, timeout, show)
            except (OSError, HTTPException, ValueError) as error:
                if isinstance(error, OSError) and error.errno in _NO_ROOM:  # nor is a full disk
                    raise OSError(error.errno, error.strerror, str(part)) from error
                failures.append(f"  {url}: {str(error) or type(error).__name__}")
                continue
            os.replace(part, path)
            return
        kept = part.stat().st_size if part.exists() else 0
        if not kept:
            part.unlink(missing_ok=True)
    rest = f"; the first {kept} bytes are kept in {part}, and the next call goes on from there" if kept else ""
    raise ConnectionError(
        f"{path.name} could not be downloaded{rest}. Get it by other means and put it at {path}, or try again later:\n"
        + "\n".join(failures)
    )


@contextmanager
def _alone_in(folder: Path) -> Iterator[None]:
    """One process at a time is in here with the same folder, where the system and the disk can say so."""
    try:
        import fcntl
    except ImportError:  # Windows
        yield
        return
    handle = os.open(folder, os.O_RDONLY)
    try:
        with suppress(OSError):
            fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)


def _receive_whole(url: str, part: Path, md5: str, size: int | None, timeout: float, show: bool | None) -> None:
    """Complete `part` from `url`, and check it. If the checksum is wrong, `part` is removed."""
    begun = part.stat().st_size > 0
    _receive_rest(url, part, size, timeout, show)
    got = _md5(part)
    if got == md5:
        return
    part.unlink()
    if not begun:
        raise ValueError(f"what came is damaged and was removed: expected the MD5 checksum {md5}; got {got}")
    part.touch()  # the beginning may have been of another file: once more, all of it
    _receive_whole(url, part, md5, size, timeout, show)


def _receive_rest(url: str, part: Path, size: int | None, timeout: float, show: bool | None) -> None:
    """Append to `part` what it lacks of the file at `url`; begin anew where the server sends no parts of files."""
    from urllib.error import HTTPError
    from urllib.request import Request, urlopen

    done = part.stat().st_size
    headers = {"User-Agent": f"minidl/{__version__}"} | ({"Range": f"bytes={done}-"} if done else {})
    try:
        response = urlopen(Request(url, headers=headers), timeout=timeout)
    except HTTPError as error:
        error.close()
        if done and error.code == 416:  # nothing comes after what is there already
            return
        raise
    with response, open(part, "ab") as file:
        if response.status != 206:
            done = 0
            file.truncate(0)
        elif not response.headers.get("Content-Range", "").startswith(f"bytes {done}-"):
            raise ValueError(f"asked for the bytes from {done} on; got {response.headers.get('Content-Range')}")
        length = response.headers.get("Content-Length")
        total = None if length is None else done + int(length)
        with Bar(show, total, done, part.stem, bytes=True) as bar:
            while chunk := response.read1(_CHUNK):
                done += len(chunk)
                if size is not None and done > size:
                    file.truncate(0)
                    raise ValueError(f"sent more than the {size} bytes of the file")
                file.write(chunk)
                bar.advance(len(chunk))
        file.flush()
        os.fsync(file.fileno())
        if total is not None and file.tell() < total:  # urllib does not notice
            raise ConnectionError(f"the connection ended after {file.tell()} of {total} bytes")


def _md5(path: Path) -> str:
    import hashlib

    with open(path, "rb") as file:
        return hashlib.file_digest(file, lambda: hashlib.md5(usedforsecurity=False)).hexdigest()


def _cache() -> Path:
    """The folder in the user's home for what can be fetched again."""
    home = Path.home()
    if sys.platform == "win32":
        base = os.environ.get("LOCALAPPDATA") or home / "AppData" / "Local"
    elif sys.platform == "darwin":
        base = home / "Library" / "Caches"
    else:
        base = os.environ.get("XDG_CACHE_HOME") or home / ".cache"
    return Path(base) / "minidl"
