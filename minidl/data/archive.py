"""The files in a folder or archive: their names, and how to read one. Nothing is unpacked to the disk.

An archive that is damaged or cut off is refused: no file of it is left out in silence.

tarfile, zipfile and the unpackers are imported where they are used: `import minidl` passes by here and should not wait
for them.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from importlib import import_module
from pathlib import Path
from posixpath import normpath
from stat import S_ISLNK
from typing import IO, Any, NamedTuple

from minidl.data.progress import Bar

_ZIP = b"PK\3\4"  # how the files begin
_PACKED = {b"\x1f\x8b": "gzip", b"BZh": "bz2", b"\xfd7zXZ": "lzma", b"\x5d\0\0\x80": "lzma"}
_CHUNK = 2**20  # bytes


class Members(NamedTuple):
    """What a folder or archive holds.

    Attributes:
        places: name of a file ('/' between the parts) -> where it is.
        folders: the names of the folders that lie directly in it, also of empty ones.
        read: gives the bytes at such a place; threads may call it at once, and other processes.
    """

    places: dict[str, Any]
    folders: set[str]
    read: Callable[[Any], bytes]


def members_of(path: Path, wanted: Callable[[str], bool]) -> Members:
    """The files in a folder, an archive, or a folder in an archive, whose names in it are `wanted`.

    Raises:
        FileNotFoundError: there is no such folder or archive, or (`read`) a file has gone.
        OSError: it cannot be read.
        ValueError: it is no archive, or a damaged one.
    """
    prefix = ""
    found: Mapping[str, Any]
    read: Callable[[Any], bytes]
    links: list[str] = []
    if path.is_dir():
        found, read = dict(_in_folder(path)), _from_folder
    else:
        archive = next((outer for outer in (path, *path.parents) if outer.is_file()), None)
        if archive is None:
            raise FileNotFoundError(f"there is no folder or archive {path}")
        prefix = "".join(f"{part}/" for part in path.relative_to(archive).parts)
        try:
            if archive.suffix.lower() == ".zip" or _beginning(archive).startswith(_ZIP):
                found, links, read = _in_zip(archive)
            else:
                found, links, read = _in_tar(
                    archive, lambda name: name.startswith(prefix) and wanted(name[len(prefix) :])
                )
        except Exception as error:  # zipfile, tarfile and the unpackers raise a dozen kinds
            if isinstance(error, MemoryError) or (isinstance(error, OSError) and error.errno):
                raise  # the system's, which says nothing about the archive
            raise ValueError(f"{archive} is damaged, cut off, or neither .zip nor .tar: {error}") from error
    for name in links:
        if name.startswith(prefix):
            raise ValueError(
                f"{archive} holds a link, {name}: links are followed in folders only. Unpack it, and name the folder"
            )
    inner = {name[len(prefix) :]: place for name, place in found.items() if name.startswith(prefix)}
    places = {name: place for name, place in inner.items() if wanted(name)}
    return Members(places, {name.split("/")[0] for name in inner if "/" in name.lstrip("/")}, read)


# Each of the following lists all files, name -> place; the name of a folder ends in '/', and its place means nothing.
# Archives also say which of their members are links.


def _in_folder(folder: str | Path, name: str = "", above: frozenset[str] = frozenset()) -> Iterator[tuple[str, str]]:
    real = os.path.realpath(folder)
    if real in above:  # a link that leads back to a folder it lies in
        return
    with os.scandir(folder) as entries:
        for entry in entries:
            if entry.is_dir():
                yield f"{name}{entry.name}/", entry.path
                yield from _in_folder(entry.path, f"{name}{entry.name}/", above | {real})
            else:
                yield name + entry.name, entry.path


def _from_folder(place: str) -> bytes:
    return Path(place).read_bytes()


def _in_zip(path: Path) -> tuple[dict[str, str], list[str], Callable[[str], bytes]]:
    read = _FromZip(path)
    members = {_name(member.filename.replace("\\", "/")): member for member in read.archive().infolist()}
    links = [name for name, member in members.items() if S_ISLNK(member.external_attr >> 16)]
    return {name: member.filename for name, member in members.items()}, links, read


class _FromZip:
    """Reads members of a zip file by name.

    They share one open file and the place in it, so threads take turns, and a process to which this was sent, or that
    was forked, opens a file of its own.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._opened: dict[int, tuple[Any, threading.Lock]] = {}  # by process

    def archive(self) -> Any:
        return self._open()[0]

    def __call__(self, name: str) -> bytes:
        archive, lock = self._open()
        with lock:
            content: bytes = archive.read(name)
        return content

    def _open(self) -> tuple[Any, threading.Lock]:
        import zipfile

        process = os.getpid()
        if process not in self._opened:
            self._opened.setdefault(process, (zipfile.ZipFile(self._path), threading.Lock()))
        return self._opened[process]

    def __reduce__(self) -> tuple[type[_FromZip], tuple[Path]]:
        return _FromZip, (self._path,)


def _in_tar(path: Path, wanted: Callable[[str], bool]) -> tuple[dict[str, Any], list[str], Callable[[Any], bytes]]:
    """A place is (where it begins, how long it is), or, of what lies packed in the archive, the content itself.

    A compressed tar has to be read from its beginning to its end; only what is `wanted` of it is kept.
    """
    import tarfile

    class StrictInfo(tarfile.TarInfo):
        """A header that is damaged or cut off is an error, also where tarfile would take it for the end."""

        @classmethod
        def frombuf(cls, buf: bytes | bytearray, encoding: str, errors: str) -> StrictInfo:
            try:
                return super().frombuf(buf, encoding, errors)
            except tarfile.HeaderError as error:
                if buf == bytes(tarfile.BLOCKSIZE):  # it does mark the end
                    raise
                raise tarfile.ReadError(str(error)) from error

    found: dict[str, Any] = {}
    links = []
    with open(path, "rb") as file, _unpacked(file) as content, Bar(None, None, label=f"reading {path.name}") as bar:
        plain = content is file
        with tarfile.open(fileobj=content, mode="r:" if plain else "r|", tarinfo=StrictInfo) as archive:
            for member in archive:
                name = _name(member.name + "/" * member.isdir())
                if member.islnk() or member.issym():
                    links.append(name)
                elif plain and member.isreg() and not member.issparse():
                    found[name] = member.offset_data, member.size
                else:
                    opened = archive.extractfile(member) if member.isreg() and wanted(name) else None
                    found[name] = opened and opened.read()
                bar.advance()
        while rest := content.read(_CHUNK):  # to the end: there an unpacker compares the checksum
            if rest.strip(b"\0"):
                raise ValueError("there is more after its end")
    return found, links, partial(_from_tar, path)


def _from_tar(path: Path, place: Any) -> bytes:
    if isinstance(place, bytes):
        return place
    with open(path, "rb") as file:
        file.seek(place[0])
        return file.read(place[1])


def _unpacked(file: IO[bytes]) -> Any:
    """What is packed in the file; the file itself where nothing is."""
    begins = file.read(5)
    file.seek(0)
    packer = next((name for mark, name in _PACKED.items() if begins.startswith(mark)), None)
    return file if packer is None else import_module(packer).open(file)


def _beginning(path: Path) -> bytes:
    with open(path, "rb") as file:
        return file.read(len(_ZIP))


def _name(member: str) -> str:
    """The name of a member below the folder in which one would unpack the archive."""
    return normpath(member).lstrip("/") + "/" * member.endswith("/")
