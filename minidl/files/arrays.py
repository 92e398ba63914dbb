"""Named arrays in files: written completely or not at all, checked against a checksum when read, never unpickled.

A file of arrays is an ordinary npz (a zip of .npy members, `numpy.load` opens it) with one more member, `about.json`:
what kind of file it is, the version of its format, further plain data, and a SHA-256 over everything else. Weights,
checkpoints, recordings and the digits are such files.

zipfile and hashlib are imported where they are used, so that `import minidl` does not wait for them.
"""

from __future__ import annotations

import io
import json
import math
from collections.abc import Mapping
from os import PathLike
from typing import IO, Any

import numpy as np

from minidl import backend
from minidl.files.npz import ABOUT, PACKED, SUFFIX, Npz
from minidl.files.reading import as_damage, fitting, open_file, parse_json
from minidl.files.schema import Entry, check_arrays, check_plain
from minidl.files.writing import path_of, write_atomically

_ABOUT = {"kind": str, "format": int, "meta": dict, "sha256": str}
_NOT_FINITE = "not finite"  # JSON has no NaN: {"not finite": "nan"} stands for it
_LONG_AGO = (1980, 1, 1, 0, 0, 0)  # the date of every member, so that the same content makes the same file


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
        meta: anything JSON can hold, and NaN and infinity.
        compress: compress the arrays, at most 16 MiB of them (a compressed file could take more memory than it seems).
            Weights hardly get smaller, images do.

    Raises:
        TypeError: an array is no NumPy array or holds Python objects, or `meta` is not plain data.
        ValueError: a name is unusable, or there is too much to compress.
        OSError: the file cannot be written.
    """
    path = path_of(path)
    members: dict[str, bytes] = {}
    for name, array in arrays.items():
        if name in ("", ABOUT) or name[0] == "/" or any(c in name for c in "\\\0") or ".." in name.split("/"):
            raise ValueError(f"{path}: {name!r} cannot be the name of an array in a file")
        members[name] = _npy(name, array, path)
    if compress and sum(map(len, members.values())) > PACKED:
        raise ValueError(f"{path}: at most {PACKED:,} bytes of arrays are compressed; leave out compress=True")
    try:
        about = {"kind": kind, "format": format, "meta": _as_json(dict(meta or {}))}
        described = json.dumps(about, sort_keys=True, allow_nan=False)
    except (TypeError, ValueError, RecursionError) as error:
        raise TypeError(f"{path}: the data about the arrays must be plain (JSON): {error}") from error
    # Through JSON, so that what is hashed is what will be read: tuples become lists, integer keys strings.
    about = json.loads(described)
    about["sha256"] = _checksum(about, members)

    def write(file: IO[bytes]) -> None:
        import zipfile

        with zipfile.ZipFile(file, "w") as archive:
            for name, blob in [(ABOUT, json.dumps(about).encode()), *((n + SUFFIX, b) for n, b in members.items())]:
                member = zipfile.ZipInfo(name, _LONG_AGO)
                member.compress_type = zipfile.ZIP_DEFLATED if compress else zipfile.ZIP_STORED
                member.external_attr = 0o644 << 16
                archive.writestr(member, blob)

    write_atomically(path, write)


def load_arrays(
    path: str | PathLike[str],
    *,
    kind: str,
    format: int = 1,
    foreign: bool = False,
    schema: Mapping[str, Entry] | None = None,
) -> tuple[dict[str, np.ndarray[Any, Any]], dict[str, Any]]:
    """Read what `save_arrays` wrote: (arrays by name, meta).

    Everything is checked before anything is returned, and nothing in the file can run code. Kind, format and schema
    are compared first, before any array is read: a file cannot take more memory than the arrays that are expected.

    Args:
        path: the file.
        kind, format: what it has to be.
        foreign: also read an npz without `about.json`, as `numpy.savez` writes it.
        schema: which arrays it has to hold, of which dtypes and shapes; None for any.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: it is damaged, of another kind or format, not written by `save_arrays`, or holds other arrays. The
            message names it.
        MemoryError: an array does not fit into memory. A note says which, and how many bytes it takes.
    """
    name = path = path_of(path)
    damaged = "is damaged, cut off or not a file of arrays"
    with open_file(path) as file:
        with as_damage(path, damaged):
            npz = Npz(name, file)
        meta: dict[str, Any] = {}
        if npz.about is None:
            if not foreign:
                raise ValueError(f"{name} is not a {_words(kind)} written by minidl (it has no {ABOUT})")
        else:
            about = parse_json(npz.about, f"{name} is damaged: its {ABOUT} cannot be read")
            check_plain(about, _ABOUT, f"{name} is damaged: its {ABOUT}")
            _check_kind(name, about, kind, format)
            meta = _from_json(about["meta"])
        headers = {}
        for array in npz.names:
            with as_damage(path, damaged):
                begins = npz.beginning(array)
            with as_damage(path, f"cannot be read: {array!r} is no plain array"):
                headers[array] = npz.header(array, begins)
        if schema is not None:
            with fitting(path, _words(kind)):
                check_arrays(headers, schema)
        with as_damage(path, damaged):
            if npz.about is None:
                return {array: backend.native(npz.array(array)) for array in npz.names}, meta
            checksum = about.pop("sha256")
            digest = _begun(about)
            arrays = {}
            for array in npz.names:
                digest.update(_before(array, npz.length(array)))
                arrays[array] = backend.native(npz.array(array, digest.update))
    if digest.hexdigest() != checksum:
        raise ValueError(f"{name} is damaged: its content does not match its checksum")
    return arrays, meta


def kind_of(path: str | PathLike[str]) -> str:
    """What kind of file `save_arrays` wrote there; no array is read.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: it is damaged, or not written by `save_arrays`.
    """
    name = path = path_of(path)
    with open_file(path) as file:
        with as_damage(path, "is damaged, cut off or not a file of arrays"):
            about = Npz(name, file).about
        if about is None:
            raise ValueError(f"{name} was not written by minidl (it has no {ABOUT})")
        found = parse_json(about, f"{name} is damaged: its {ABOUT} cannot be read")
        check_plain(found, _ABOUT, f"{name} is damaged: its {ABOUT}")
        return str(found["kind"])


def _check_kind(name: str, about: Mapping[str, Any], kind: str, format: int) -> None:
    if about["kind"] != kind:
        raise ValueError(f"{name} is a {_words(about['kind'])}; expected a {_words(kind)}")
    if about["format"] != format:
        raise ValueError(
            f"{name} has format {about['format']} of a {_words(kind)}; this version of minidl reads format {format}: "
            f"make it anew, or use the version that wrote it"
        )


def _npy(name: str, array: Any, path: str) -> bytes:
    """`array` in NumPy's own file format."""
    if not isinstance(array, (np.ndarray, np.generic)) or array.dtype.kind not in "biufcSU":
        kind = f"{array.dtype} array" if isinstance(array, np.ndarray) else type(array).__name__
        raise TypeError(f"{path}: expected a NumPy array of numbers or text as {name!r}; got {kind}")
    buffer = io.BytesIO()
    np.lib.format.write_array(buffer, np.asarray(array), allow_pickle=False)
    return buffer.getvalue()


def _checksum(about: Mapping[str, Any], members: Mapping[str, bytes]) -> str:
    """SHA-256 over the description and over every member with its name and length."""
    digest = _begun(about)
    for name, blob in members.items():
        digest.update(_before(name, len(blob)))
        digest.update(blob)
    return str(digest.hexdigest())


def _begun(about: Mapping[str, Any]) -> Any:
    import hashlib

    return hashlib.sha256(json.dumps(about, sort_keys=True).encode())


def _before(name: str, length: int) -> bytes:
    return f"\n{len(name)} {name} {length}\n".encode()


def _as_json(value: Any) -> Any:
    """Plain data with every number that is not finite as {"not finite": "nan"}, "inf" or "-inf"."""
    if isinstance(value, float) and not math.isfinite(value):
        return {_NOT_FINITE: str(float(value))}
    if isinstance(value, dict):
        return {key: _as_json(item) for key, item in value.items()}
    return [_as_json(item) for item in value] if isinstance(value, (list, tuple)) else value


def _from_json(value: Any) -> Any:
    """What `_as_json` was given, of what it gave."""
    if isinstance(value, dict):
        if value.keys() == {_NOT_FINITE} and value[_NOT_FINITE] in ("nan", "inf", "-inf"):
            return float(value[_NOT_FINITE])
        return {key: _from_json(item) for key, item in value.items()}
    return [_from_json(item) for item in value] if isinstance(value, list) else value


def _words(kind: str) -> str:
    return kind.replace("_", " ")
