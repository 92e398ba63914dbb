"""IDX: the file format of MNIST. A header says what the numbers are and how many, and then they follow.

    byte 0, 1       0
    byte 2          what a number is (`_DTYPES`)
    byte 3          how many axes there are
    4 bytes each    their lengths, high byte first
    the rest        the numbers, last axis fastest, high byte first

Source: Y. LeCun, C. Cortes, C. Burges, The MNIST database of handwritten digits.
"""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np

from minidl import backend
from minidl.files.reading import as_damage, read_bytes

_DTYPES = {0x08: ">u1", 0x09: ">i1", 0x0B: ">i2", 0x0C: ">i4", 0x0D: ">f4", 0x0E: ">f8"}
_MOST_AXES = 32
_LONGEST_HEADER = 4 + 4 * _MOST_AXES
_GZIP = b"\x1f\x8b"  # how a file begins that gzip made
MOST = 2**28  # bytes that are unpacked of one file; MNIST's largest has 47 million
_CHUNK = 2**20  # bytes


def read_idx(path: Path) -> Any:
    """The array in an IDX file, packed by gzip or plain; its memory may not be writable.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: it is no IDX file, cut off, too long, damaged, or would unpack to more than 256 MiB; it is named.
        MemoryError: there is too little memory. A note names the file and the bytes.
    """
    if path.is_dir():
        raise ValueError(f"{path} is a folder: expected a file of that name; if it lies in there, move it up")
    packed = read_bytes(path)
    content = _unpacked(path, packed, _LONGEST_HEADER)
    if len(content) < 4 or content[:2] != b"\0\0":
        raise ValueError(f"{path} is no IDX file: expected it to begin with 0, 0; got {list(content[:2])}")
    code, axes = content[2], content[3]
    if code not in _DTYPES:
        known = ", ".join(f"0x{code:02x}" for code in _DTYPES)
        raise ValueError(f"{path} is damaged: expected one of {known} as the kind of number; got 0x{code:02x}")
    if not 1 <= axes <= _MOST_AXES:
        raise ValueError(f"{path} is damaged: expected 1 to {_MOST_AXES} axes; got {axes}")
    start = 4 + 4 * axes
    if len(content) < start:
        raise ValueError(f"{path} is cut off: {len(content)} bytes, and its header alone has {start}")
    dtype = np.dtype(_DTYPES[code])
    shape = tuple(np.frombuffer(content, ">u4", axes, 4).tolist())
    expected = start + math.prod(shape) * dtype.itemsize
    if packed.startswith(_GZIP) and expected > MOST:
        raise ValueError(f"{path}: shape {shape} needs {expected:,} bytes; at most {MOST:,} are unpacked of one file")
    content = _unpacked(path, packed, expected + 1)
    if len(content) != expected:
        wrong, more = ("cut off", "") if len(content) < expected else ("too long", " or more")
        raise ValueError(f"{path} is {wrong}: shape {shape} needs {expected} bytes; it has {len(content)}{more}")
    with as_damage(path, "is damaged"):
        array = np.frombuffer(content, dtype, offset=start).reshape(shape)
    array = backend.native(array)
    array.flags.writeable = False
    return array


def _unpacked(path: Path, content: bytes, most: int) -> bytes | bytearray:
    """At most so many bytes of what gzip packed: a small file can hold more than there is memory."""
    import gzip
    import io

    if not content.startswith(_GZIP):
        return content[:most]
    unpacked = bytearray()
    with as_damage(path, "is damaged or cut off", most), gzip.open(io.BytesIO(content)) as file:
        while len(unpacked) < most and (chunk := file.read(min(_CHUNK, most - len(unpacked)))):
            unpacked += chunk
    return unpacked
