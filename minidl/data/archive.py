"""The files in a folder or archive: their names, and how to read one. Nothing is unpacked to the disk.

tarfile and zipfile are imported where they are used: `import minidl` passes by here and should not wait for them.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from pathlib import Path
from posixpath import normpath
from typing import Any, NamedTuple

from minidl.progress import Bar


class Members(NamedTuple):
    """What a folder or archive holds.

    Attributes:
        places: name of a file ('/' between the parts) -> where it is.
        read: gives the bytes at such a place; threads may call it at once.
    """

    places: dict[str, Any]
    read: Callable[[Any], bytes]


def members_of(path: Path, wanted: Callable[[str], bool]) -> Members:
    """The files in a folder, an archive, or a folder in an archive, whose names in it are `wanted`.

    Raises:
        FileNotFoundError: there is no such folder or archive, or (`read`) a file has gone.
        OSError: it cannot be read.
        ValueError: it is no archive, or a damaged one.
    """
    if path.is_dir():
        return _in_folder(path, wanted)
    archive = next((outer for outer in (path, *path.parents) if outer.is_file()), None)
    if archive is None:
        raise FileNotFoundError(f"there is no folder or archive {path}")
    prefix = "".join(f"{part}/" for part in path.relative_to(archive).parts)

    def name_of(member: str) -> str | None:
        """The name within the folder that was asked for, if the file lies there and is wanted."""
        name = normpath(member)
        return name.removeprefix(prefix) if name.startswith(prefix) and wanted(name.removeprefix(prefix)) else None

    try:
        return _in_zip(archive, name_of) if archive.suffix.lower() == ".zip" else _in_tar(archive, name_of)
    except Exception as error:  # zipfile, tarfile and the unpackers raise a dozen kinds
        raise ValueError(f"{archive} is damaged, cut off, or neither .zip nor .tar: {error}") from error


def _in_folder(folder: Path, wanted: Callable[[str], bool]) -> Members:
    def fail(error: OSError) -> None:
        raise error

    places = {}
    for inner, _, files in os.walk(folder, onerror=fail, followlinks=True):
        for file in files:
            place = os.path.join(inner, file)
            name = os.path.relpath(place, folder).replace(os.sep, "/")
            if wanted(name):
                places[name] = place
    return Members(places, lambda place: Path(place).read_bytes())


def _in_zip(path: Path, name_of: Callable[[str], str | None]) -> Members:
    import zipfile

    archive, lock = zipfile.ZipFile(path), threading.Lock()
    places = {name: member for member in archive.infolist() if (name := name_of(member.filename)) is not None}

    def read(place: Any) -> bytes:
        with lock:  # its members share one open file
            return archive.read(place)

    return Members(places, read)


def _in_tar(path: Path, name_of: Callable[[str], str | None]) -> Members:
    import tarfile

    try:
        with tarfile.open(path, "r:") as archive:
            members = [(name_of(member.name), member) for member in archive if member.isreg()]
        plain = {name: (member.offset_data, member.size) for name, member in members if name is not None}
    except tarfile.ReadError:
        return Members(_packed(path, name_of), lambda content: content)

    def read(place: tuple[int, int]) -> bytes:
        with open(path, "rb") as file:
            file.seek(place[0])
            return file.read(place[1])

    return Members(plain, read)


def _packed(path: Path, name_of: Callable[[str], str | None]) -> dict[str, bytes]:
    """The files of a compressed tar, which has to be read from its beginning to its end."""
    import tarfile

    contents = {}
    with tarfile.open(path, "r|*") as archive, Bar(None, None, label=f"reading {path.name}") as bar:
        for member in archive:
            name = name_of(member.name) if member.isreg() else None
            opened = None if name is None else archive.extractfile(member)
            if name is not None and opened is not None:
                contents[name] = opened.read()
            bar.advance()
    return contents
