"""Named arrays in files: written completely or not at all, checked against a checksum when read, never unpickled.

A file of arrays is an ordinary npz (a zip of .npy members, `numpy.load` opens it) with one more member, `about.json`:
what kind of file it is, the version of its format, further plain data, and a SHA-256 over everything else. Weights,
checkpoints, recordings and the digits are such files.

zipfile and hashlib are imported where they are used, so that `import minidl` does not wait for them.
"""

from __future__ import annotations

import io
import json
import os
from collections.abc import Callable, Mapping
from os import PathLike
from pathlib import Path
from typing import IO, Any

import numpy as np

from minidl import backend

ABOUT = "about.json"
_SUFFIX = ".npy"
_LONG_AGO = (1980, 1, 1, 0, 0, 0)  # the date of every member, so that the same content makes the same file


def write_atomically(path: str | PathLike[str], content: bytes | Callable[[IO[bytes]], object]) -> None:
    """Write a file so that `path` holds either its old content or all of the new, also after a crash or a power cut.

    The bytes are written to a temporary file in the same folder, which replaces `path` once they are on the disk. The
    folder is made if it is missing. If `path` is a link, the file that it points to is replaced.

    Args:
        path: the file.
        content: its bytes, or a function that is given the open file and writes them.

    Raises:
        OSError: the folder or the file cannot be written; nothing is left behind.
    """
    target = Path(os.path.realpath(path))
    target.parent.mkdir(parents=True, exist_ok=True)
    temporary = target.with_name(f".{target.name}.{os.urandom(4).hex()}.part")
    try:
        with open(temporary, "xb") as file:
            if callable(content):
                content(file)
            else:
                file.write(content)
            file.flush()
            os.fsync(file.fileno())  # or a power cut could leave the new name with the old disk's bytes
        os.replace(temporary, target)
    finally:
        temporary.unlink(missing_ok=True)


def save_arrays(
    path: str | PathLike[str],
    arrays: Mapping[str, Any],
    *,
    kind: str,
    format: int = 1,
    meta: Mapping[str, Any] | None = None,
    compress: bool = False,
) -> None:
    """Write named NumPy arrays, and plain data about them, as one npz file, completely or not at all.

    Args:
        path: the file.
        arrays: name -> NumPy array (what is on a device has to be brought to the host first).
        kind: what the file is, for example "checkpoint"; `load_arrays` accepts no other.
        format: the version of what the arrays and `meta` mean.
        meta: anything JSON can hold.
        compress: compress the arrays. Weights hardly get smaller, images do.

    Raises:
        TypeError: an array is no NumPy array or holds Python objects, or `meta` is not plain data.
        ValueError: a name is unusable.
        OSError: the file cannot be written.
    """
    members: dict[str, bytes] = {}
    for name, array in arrays.items():
        if not name or name.startswith("/") or any(c in name for c in "\\\0") or ".." in name.split("/"):
            raise ValueError(f"{os.fspath(path)}: {name!r} cannot be the name of an array in a file")
        members[name] = _npy(name, array, path)
    about = {"kind": kind, "format": format, "meta": dict(meta or {})}
    try:
        described = json.dumps(about, sort_keys=True)
    except (TypeError, ValueError) as error:
        raise TypeError(f"{os.fspath(path)}: the data about the arrays must be plain (JSON): {error}") from error
    # Through JSON, so that what is hashed is what will be read: tuples become lists, integer keys strings.
    about = json.loads(described)
    about["sha256"] = _checksum(about, members)

    def write(file: IO[bytes]) -> None:
        import zipfile

        with zipfile.ZipFile(file, "w") as archive:
            for name, blob in [(ABOUT, json.dumps(about).encode()), *((n + _SUFFIX, b) for n, b in members.items())]:
                member = zipfile.ZipInfo(name, _LONG_AGO)
                member.compress_type = zipfile.ZIP_DEFLATED if compress else zipfile.ZIP_STORED
                member.external_attr = 0o644 << 16
                archive.writestr(member, blob)

    write_atomically(path, write)


def load_arrays(
    path: str | PathLike[str], *, kind: str, format: int = 1, foreign: bool = False
) -> tuple[dict[str, np.ndarray[Any, Any]], dict[str, Any]]:
    """Read what `save_arrays` wrote: (arrays by name, meta).

    Everything is checked before anything is returned, and nothing in the file can run code.

    Args:
        path: the file.
        kind, format: what it has to be.
        foreign: also read an npz without `about.json`, as `numpy.savez` writes it.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: it is damaged, of another kind or format, or not written by `save_arrays`. The message names it.
    """
    name = os.fspath(path)
    with open(path, "rb") as file:
        members = _read_zip(name, file)
    if ABOUT not in members:
        if foreign:
            return _arrays(name, members), {}
        raise ValueError(f"{name} is not a {_words(kind)} written by minidl (it has no {ABOUT})")
    try:
        about = json.loads(members.pop(ABOUT))
        found_kind, found_format, meta, checksum = (about[key] for key in ("kind", "format", "meta", "sha256"))
    except (ValueError, KeyError, TypeError) as error:
        raise ValueError(f"{name} is damaged: its {ABOUT} cannot be read ({error})") from error
    hashed = {key.removesuffix(_SUFFIX): blob for key, blob in members.items()}
    if checksum != _checksum({"kind": found_kind, "format": found_format, "meta": meta}, hashed):
        raise ValueError(f"{name} is damaged: its content does not match its checksum")
    if found_kind != kind:
        raise ValueError(f"{name} is a {_words(found_kind)}; expected a {_words(kind)}")
    if found_format != format:
        raise ValueError(
            f"{name} has format {found_format} of a {_words(kind)}; this version of minidl reads format {format}: "
            f"make it anew, or use the version that wrote it"
        )
    return _arrays(name, members), meta


def _arrays(name: str, members: Mapping[str, bytes]) -> dict[str, np.ndarray[Any, Any]]:
    """The arrays in the members of a zip file, by name."""
    arrays: dict[str, np.ndarray[Any, Any]] = {}
    for member, blob in members.items():
        try:
            array = np.lib.format.read_array(io.BytesIO(blob), allow_pickle=False)
        except Exception as error:  # of a damaged or forged file NumPy raises many kinds
            raise ValueError(f"{name} cannot be read: {member} is no plain array ({error})") from error
        arrays[member.removesuffix(_SUFFIX)] = backend.native(array)
    return arrays


def _npy(name: str, array: Any, path: str | PathLike[str]) -> bytes:
    """`array` in NumPy's own file format."""
    if not isinstance(array, (np.ndarray, np.generic)) or array.dtype.hasobject:
        kind = f"{array.dtype} array" if isinstance(array, np.ndarray) else type(array).__name__
        raise TypeError(f"{os.fspath(path)}: expected a NumPy array of numbers or text as {name!r}; got {kind}")
    buffer = io.BytesIO()
    np.lib.format.write_array(buffer, np.asarray(array), allow_pickle=False)
    return buffer.getvalue()


def _read_zip(name: str, file: IO[bytes]) -> dict[str, bytes]:
    """The members of a zip file in their order, each checked against the zip's own CRC."""
    import zipfile

    try:
        with zipfile.ZipFile(file) as archive:
            return {member.filename: archive.read(member) for member in archive.infolist()}
    except Exception as error:  # zipfile raises a dozen kinds: BadZipFile, zlib.error, OSError, ...
        raise ValueError(f"{name} is damaged, cut off or not a file of arrays: {error}") from error


def _checksum(about: Mapping[str, Any], members: Mapping[str, bytes]) -> str:
    """SHA-256 over the description and over every member with its name and length."""
    import hashlib

    digest = hashlib.sha256(json.dumps(about, sort_keys=True).encode())
    for name, blob in members.items():
        digest.update(f"\n{len(name)} {name} {len(blob)}\n".encode())
        digest.update(blob)
    return digest.hexdigest()


def _words(kind: object) -> str:
    return str(kind).replace("_", " ")
