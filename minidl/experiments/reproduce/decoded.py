"""Small images out of a folder of files: decoded once, and kept as arrays in a cache folder.

The cache holds NAME-KEY.npy, the pixels, which all processes share in memory, and NAME-KEY.json, a checksum of them.
KEY is of the names and sizes of the files, so that a folder that has changed is decoded anew.
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import IO, Any

import numpy as np

from minidl.data import Dataset, ImageFolder
from minidl.errors import warn
from minidl.files.reading import read_json
from minidl.files.writing import write_atomically

ABOUT = {"shape": [int], "sha256": str}
_BLOCK = 2**24  # bytes that are hashed at a time


def decoded(folder: Path, cache: Path | None, name: str) -> Dataset:
    """The images of FOLDER/CLASS/*.jpg, all of one size, as bytes: (N, channels, height, width) uint8.

    Args:
        folder: the folder.
        cache: where the pixels are kept; None to decode them each time.
        name: what their file is called.

    Raises:
        FileNotFoundError, ValueError: as `ImageFolder`. A damaged cache is no error: it is said, and made again.
    """
    images = ImageFolder(folder)
    if cache is None:
        return images.load(progress=False)
    stem = cache / f"{name}-{_key(images)}"
    pixels = _kept(stem)
    if pixels is None:
        pixels = images.load(progress=False).inputs
        _keep(stem, pixels)
    if len(pixels) != len(images):
        raise ValueError(f"{stem}.npy holds {len(pixels)} images; there are {len(images)} in {folder}: delete it")
    return Dataset(pixels, images.labels, images.image_shape, images.classes)


def _key(images: ImageFolder) -> str:
    """12 letters that are others for other files."""
    digest = hashlib.sha256()
    for name in images.names:
        digest.update(f"{name} {(images.path / name).stat().st_size}\n".encode())
    return digest.hexdigest()[:12]


def _keep(stem: Path, pixels: Any) -> None:
    """Write the pixels, and then what they have to be."""

    def write(file: IO[bytes]) -> None:
        np.lib.format.write_array(file, pixels, allow_pickle=False)

    write_atomically(f"{stem}.npy", write)
    about = {"shape": list(pixels.shape), "sha256": _sha256(pixels)}
    write_atomically(f"{stem}.json", json.dumps(about).encode())


def _kept(stem: Path) -> Any | None:
    """The pixels, if they are there and undamaged."""
    try:
        about = read_json(f"{stem}.json", ABOUT, "is damaged")
        pixels = np.asarray(np.load(f"{stem}.npy", mmap_mode="r", allow_pickle=False))
        if list(pixels.shape) != about["shape"] or pixels.dtype != np.uint8 or _sha256(pixels) != about["sha256"]:
            raise ValueError(f"{stem}.npy is damaged")
    except FileNotFoundError:
        return None
    except (ValueError, EOFError) as error:
        warn(f"{error}: the images are decoded again")
        return None
    return pixels


def _sha256(pixels: Any) -> str:
    digest = hashlib.sha256()
    flat = pixels.reshape(-1)
    for start in range(0, len(flat), _BLOCK):
        digest.update(flat[start : start + _BLOCK])
    return digest.hexdigest()
