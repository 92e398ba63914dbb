"""The files in a folder or archive: their names, and how to read one. Nothing is unpacked to the disk.

An archive that is damaged or cut off is refused: no file of it is left out in silence. And a small archive takes little
memory: before a file is read its size is known, and at most so much.

tarfile, zipfile and the unpackers are imported where they are used: `import minidl` passes by here and should not wait
for them.
"""

from __future__ import annotations

import os
import struct
import threading
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from importlib import import_module
from pathlib import Path
from posixpath import normpath
from stat import S_ISLNK
from typing import IO, Any, NamedTuple

from minidl.data.progress import Bar
from minidl.files.reading import as_damage, naming, read_bytes

_ZIP = b"PK\3\4"  # how the files begin
_PACKED = {b"\x1f\x8b": "gzip", b"BZh": "bz2", b"\xfd7zXZ": "lzma", b"\x5d\0\0\x80": "lzma"}
_CHUNK = 2**20  # bytes
MOST = 2**28  # bytes of a file, and of all files that are kept of a compressed tar together, unless it is large itself
RATIO = 20  # how many times its own size may be kept of a large one; images are packed already
HEADERS = 2**20  # bytes between two files of a compressed tar
_LOCAL = struct.Struct("<4s22xHH")  # how a file in a zip begins: a mark, ..., the lengths of its name and of the rest
_METHODS = (0, 8, 12)  # stored, deflated, bzip2; LZMA (14) would take as much memory as its header says
_UTF8 = 0x800  # the flag of names that are not in the code page of DOS


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
        ValueError: it is no archive, or a damaged one; or one that holds a link, a sparse file, or more than is read.
        MemoryError: there is too little memory. A note names the file.
    """
    prefix = ""
    found: Mapping[str, Any]
    read: Callable[[Any], bytes]
    refused: dict[str, str] = {}
    if path.is_dir():
        found, read = dict(_in_folder(path)), _from_folder
    else:
        archive = next((outer for outer in (path, *path.parents) if outer.is_file()), None)
        if archive is None:
            raise FileNotFoundError(f"there is no folder or archive {path}")
        prefix = "".join(f"{part}/" for part in path.relative_to(archive).parts)

        def chosen(name: str) -> bool:
            return name.startswith(prefix) and wanted(name[len(prefix) :])

        with as_damage(archive, "is damaged, cut off, or neither .zip nor .tar"):
            if archive.suffix.lower() == ".zip" or _beginning(archive).startswith(_ZIP):
                found, refused, read = _in_zip(archive, chosen)
            else:
                found, refused, read = _in_tar(archive, chosen)
    for name, reason in refused.items():
        if name.startswith(prefix):
            raise ValueError(f"{archive} holds {reason}. Unpack it, and name the folder")
    inner = {name[len(prefix) :]: place for name, place in found.items() if name.startswith(prefix)}
    places = {name: place for name, place in inner.items() if wanted(name)}
    return Members(places, {name.split("/")[0] for name in inner if "/" in name.lstrip("/")}, read)


# Each of the following lists all files, name -> place; the name of a folder ends in '/', and its place means nothing.
# Archives also say which of their members are refused: name -> what it is.


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
    return read_bytes(place, MOST)


def _link(name: str) -> str:
    return f"a link, {name}: links are followed in folders only"


def _too_large(name: str, size: int) -> str:
    return f"{name}, a file of {size:,} bytes: at most {MOST:,} are read"


def _in_zip(path: Path, wanted: Callable[[str], bool]) -> tuple[dict[str, str], dict[str, str], Callable[[str], bytes]]:
    read = _FromZip(path)
    members: dict[str, Any] = {}
    refused = {}
    with open(path, "rb") as file:
        for member in read.archive().infolist():
            name = _name(member.filename.replace("\\", "/"))
            if name in members and wanted(name):
                raise ValueError(f"two of its files are called {name}")
            members[name] = member
            if S_ISLNK(member.external_attr >> 16):
                refused[name] = _link(name)
            elif not wanted(name):
                _check_name(file, member)  # that of the others is compared when they are read
            elif member.file_size > MOST:
                refused[name] = _too_large(name, member.file_size)
            elif member.compress_type not in _METHODS:
                refused[name] = f"{name}, packed as zip's method {member.compress_type}"
    return {name: member.filename for name, member in members.items()}, refused, read


def _check_name(file: IO[bytes], member: Any) -> None:
    """Compare a name in the directory of a zip with the one before the file: damaged, it could hide an image."""
    file.seek(member.header_offset)
    mark, length, _ = _LOCAL.unpack(file.read(_LOCAL.size))
    name = member.orig_filename.encode("utf-8" if member.flag_bits & _UTF8 else "cp437")
    if mark != _ZIP or file.read(length) != name:
        raise ValueError(f"its directory has {member.orig_filename!r}, where there is no file of that name")


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
        with lock, naming(f"{name} in {self._path}", archive.getinfo(name).file_size):
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


class _HeadersOnly:
    """A plain tar as tarfile reads it: its headers, of which none may have more than HEADERS bytes.

    A damaged one could say that it has as many as fill the memory, or fewer than none, which reads all there is.
    """

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        self.seek, self.tell = file.seek, file.tell

    def read(self, size: int) -> bytes:
        if not 0 <= size <= HEADERS:
            raise ValueError(f"there is a header of {size:,} bytes")
        return self._file.read(size)


class _Limited:
    """A stream that is read to HEADERS bytes after `until`: the headers of a packed tar could fill all memory."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        self._position = self.until = 0

    def read(self, size: int) -> bytes:
        block = self._file.read(size)
        self._position += len(block)
        if self._position > self.until + HEADERS:
            raise ValueError(f"there are more than {HEADERS:,} bytes between two of its files")
        return block


def _in_tar(path: Path, wanted: Callable[[str], bool]) -> tuple[dict[str, Any], dict[str, str], Callable[[Any], bytes]]:
    """A place is (where it begins, how long it is), or, of what lies packed in the archive, the content itself.

    A compressed tar has to be read from its beginning to its end; only what is `wanted` of it is kept.
    """
    import tarfile

    class StrictInfo(tarfile.TarInfo):
        """A header that is damaged or cut off is an error, also where tarfile would take it for the end.

        Every patch release of Python reads headers by `fromtarfile`; newer ones no longer by `frombuf`.
        """

        @classmethod
        def fromtarfile(cls, archive: tarfile.TarFile) -> StrictInfo:
            try:
                return super().fromtarfile(archive)
            except tarfile.EOFHeaderError:  # type: ignore[attr-defined]  # zeros, which do mark the end
                raise
            except tarfile.HeaderError as error:
                raise tarfile.ReadError(str(error)) from error

    found: dict[str, Any] = {}
    refused: dict[str, str] = {}
    with open(path, "rb") as file, _unpacked(file) as content, Bar(None, None, label=f"reading {path.name}") as bar:
        plain, size = content is file, os.fstat(file.fileno()).st_size
        most, kept, end = max(MOST, RATIO * size), 0, -1
        stream: Any = _HeadersOnly(file) if plain else _Limited(content)
        with tarfile.open(fileobj=stream, mode="r:" if plain else "r|", tarinfo=StrictInfo) as archive:
            for member in archive:
                if archive.offset <= end:
                    raise ValueError(f"{member.name} ends before it begins")  # and would come again, for ever
                end = archive.offset
                if not plain:
                    stream.until = end
                name = _name(member.name + "/" * member.isdir())
                if plain and not member.issparse() and end > size + tarfile.BLOCKSIZE:
                    raise ValueError(f"{name} has {member.size:,} bytes, more than there are")
                if name in {*found, *refused} and wanted(name):  # a tar that was added to: which of them is meant?
                    raise ValueError(f"two of its files are called {name}")
                reason = _reason(member, name, wanted(name))
                if reason:
                    refused[name] = reason
                elif plain:
                    found[name] = member.offset_data, member.size
                elif not member.isreg() or not wanted(name):
                    found[name] = None
                else:
                    kept += member.size
                    if kept > most:
                        refused[name] = f"in its {size:,} bytes images of more than {most:,}"
                        return found, refused, partial(_from_tar, path)
                    with naming(f"{name} in {path}", member.size):
                        opened = archive.extractfile(member)
                        found[name] = opened and opened.read()
                bar.advance()
        while rest := content.read(_CHUNK):  # to the end: there an unpacker compares the checksum
            if rest.strip(b"\0"):
                raise ValueError("there is more after its end")
    return found, refused, partial(_from_tar, path)


def _reason(member: Any, name: str, wanted: bool) -> str:
    """Why a member of a tar is refused; nothing if it is not."""
    if member.islnk() or member.issym():
        return _link(name)
    if not wanted or member.isdir():
        return ""
    if not member.isreg():
        return f"{name}, which is no regular file"
    if member.issparse():
        return f"{name} as a sparse file, which could be any size"
    return _too_large(name, member.size) if member.size > MOST else ""


def _from_tar(path: Path, place: Any) -> bytes:
    if isinstance(place, bytes):
        return place
    with open(path, "rb") as file:
        file.seek(place[0])
        with naming(path, place[1]):
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
