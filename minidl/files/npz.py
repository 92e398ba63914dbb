"""Npz: a zip of arrays, of which nothing is read before it is known how much memory it takes.

The zip's directory says how long each member is, and the header of a member how long its array is. They are compared,
and then the array goes from the file straight into its memory. What is packed (minidl packs nothing but the digits) is
read up to a bound, so that a small file cannot fill all memory. Members hold plain arrays: nothing is ever unpickled.

zipfile is imported where it is used, so that `import minidl` does not wait for it.
"""

from __future__ import annotations

import io
import math
import os
import sys
from collections.abc import Callable
from typing import Any, BinaryIO, NamedTuple

import numpy as np

from minidl.files.reading import naming
from minidl.files.schema import Header

ABOUT = "about.json"
SUFFIX = ".npy"
PACKED = 2**24  # bytes that the packed members of a file written by minidl may hold together
FOREIGN_PACKED, FOREIGN_RATIO = 2**30, 100  # of another file: so many bytes, or so many times the file's own
_LONGEST_HEADER = 10_012  # bytes; NumPy refuses longer ones
_CHUNK = 2**20  # bytes
_STORED, _DEFLATED = 0, 8  # as zip numbers what is done to a member


class _Member(NamedTuple):
    header: Header
    fortran_order: bool
    start: int  # where the array begins


class Npz:
    """The arrays in a zip file that is open: of each first its `header`, then the `array`.

    Attributes:
        about: the content of about.json, or None if there is none.
        names: the names of the arrays in their order.

    Args:
        path: its name, for messages.
        file: the open file. If it is damaged, zipfile and NumPy raise many kinds of errors, here and in every method:
            see `as_damage`.
    """

    def __init__(self, path: str, file: BinaryIO) -> None:
        import zipfile

        self._path = path
        self._zip: Any = zipfile.ZipFile(file)
        self._infos: dict[str, Any] = {}
        for info in self._zip.infolist():
            name = info.filename.removesuffix(SUFFIX)
            if name in self._infos:
                raise ValueError(f"two of its arrays are called {name!r}")
            self._infos[name] = info
        self._members: dict[str, _Member] = {}
        self._check_sizes(os.fstat(file.fileno()).st_size)
        described = self._infos.pop(ABOUT, None)
        self.about: bytes | None = None if described is None else self._zip.read(described)
        self.names = list(self._infos)

    def _check_sizes(self, size: int) -> None:
        """Refuse members that would take more memory than a file of `size` bytes may, before any is read."""
        infos = self._infos.values()
        if sum(info.compress_size for info in infos) > size:
            raise ValueError("its members are longer than the file")
        for name, info in self._infos.items():
            if info.compress_type not in (_STORED, _DEFLATED):
                raise ValueError(f"{name!r} is packed as zip's method {info.compress_type}")
            if info.compress_type == _STORED and info.file_size != info.compress_size:
                raise ValueError(f"{name!r} has {info.compress_size:,} bytes; its entry says {info.file_size:,}")
        packed = sum(info.file_size for info in infos if info.compress_type != _STORED)
        most = PACKED if ABOUT in self._infos else max(FOREIGN_PACKED, FOREIGN_RATIO * size)
        if packed > most:
            raise ValueError(
                f"its {size:,} bytes unpack to {packed:,}, of which at most {most:,} are read: write it without "
                f"compression, as numpy.savez does"
            )

    def beginning(self, name: str) -> bytes:
        """The first bytes of a member, its header among them."""
        with self._zip.open(self._infos[name]) as member:
            return bytes(member.read(_LONGEST_HEADER))

    def header(self, name: str, begins: bytes) -> Header:
        """dtype and shape of an array that begins so, once they are known to need as many bytes as there are."""
        info, beginning = self._infos[name], io.BytesIO(begins)
        version = np.lib.format.read_magic(beginning)
        if version not in ((1, 0), (2, 0)):
            raise ValueError(f"version {version[0]}.{version[1]} of NumPy's format is not known")
        read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
        try:
            shape, fortran_order, dtype = read(beginning)
        except MemoryError as error:  # of an expression nested too deeply Python's parser says so; a header is short
            raise ValueError("its header cannot be read") from error
        if dtype.hasobject:
            raise ValueError("it holds Python objects, which are not unpickled")
        if dtype.itemsize == 0 or any(length < 0 for length in shape):
            raise ValueError(f"no array has the dtype {dtype} and the shape {shape}")
        needed = beginning.tell() + math.prod(shape) * dtype.itemsize
        if needed != info.file_size:
            raise ValueError(f"an array {shape} of {dtype} takes {needed:,} bytes; it has {info.file_size:,}")
        self._members[name] = _Member(Header(dtype, shape), fortran_order, beginning.tell())
        return self._members[name].header

    def length(self, name: str) -> int:
        """How many bytes the member of an array has."""
        return int(self._infos[name].file_size)

    def array(self, name: str, seen: Callable[[Any], object] = lambda block: None) -> np.ndarray[Any, Any]:
        """An array whose header was read; `seen` is called with every block of its member, in order."""
        (dtype, shape), fortran_order, start = self._members[name]
        count = math.prod(shape)
        with naming(f"{name!r} in {self._path}", count * dtype.itemsize):
            flat = np.empty(count, dtype)
        with self._zip.open(self._infos[name]) as member:
            seen(member.read(start))
            left = flat.view(np.uint8).data
            while left:
                done = member.readinto(left[:_CHUNK])
                if not done:
                    raise EOFError(f"{name!r} ends too early")
                seen(left[:done])
                left = left[done:]
            member.read(1)  # gives nothing: at the end the zip's own checksum is compared
        if dtype.kind == "U" and _code_points(flat).max(initial=0) > sys.maxunicode:
            raise ValueError(f"{name!r} holds numbers that stand for no character")
        return flat.reshape(shape, order="F" if fortran_order else "C")


def _code_points(text: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """The numbers of the characters of an array of text, (characters,)."""
    return text.view(np.dtype("u4").newbyteorder(text.dtype.byteorder))
