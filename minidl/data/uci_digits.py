"""digits: the handwritten digits that come with minidl."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from minidl.checks import yes_or_no
from minidl.data.dataset import Dataset, DataSplits
from minidl.files.arrays import load_arrays
from minidl.files.schema import UNSIGNED, WHOLE, Entry

CLASSES = 10
SPLITS = ("train", "validation", "test")
_FILE = Path(__file__).with_name("digits.npz")
_COUNTS = (178, 182, 177, 183, 181, 182, 181, 179, 174, 180)  # images of a 0, a 1, ... as UCI publishes them
_BRIGHTEST = 16
_ARRAYS = {
    "images": Entry(UNSIGNED, (sum(_COUNTS), 8, 8)),
    "labels": Entry(UNSIGNED, (sum(_COUNTS),)),
    "train": Entry(WHOLE, ("n",)),
    "validation": Entry(WHOLE, ("m",)),
    "test": Entry(WHOLE, ("k",)),
}


def digits(flat: bool = True) -> DataSplits:
    """1,797 handwritten digits of 8x8 pixels: 1,077 to train, 360 to validate, 360 to test.

    Inputs are (N, 64) float32 from 0 (paper) to 1 (ink), row by row, or with `flat=False` (N, 1, 8, 8), as a
    convolutional network takes them; labels are (N,) int64 from 0 to 9. The split is
    fixed and stored with the images; each class has its share in each part to within one image. Within a part the
    images keep the order of the source, in which one writer's digits stand together: shuffle them (`Loader` does).

    Source: Optical Recognition of Handwritten Digits, E. Alpaydin and C. Kaynak, 1998, UCI Machine Learning
    Repository, CC BY 4.0. DIGITS.md beside this file says more.

    Args:
        flat: whether an image is a row of 64 pixels, for a network of dense layers.

    Raises:
        ValueError: the installed file is damaged, or `flat` is neither True nor False.
    """
    yes_or_no(flat, "md.data.digits: flat")
    return DataSplits(*(part.laid_out(flat) for part in read_digits(_FILE)))


def read_digits(path: Path) -> DataSplits:
    """The digits out of one file, checked: shapes, values, counts of each class, each image in one part."""
    arrays, _ = load_arrays(path, kind="digits", schema=_ARRAYS)
    images, labels = arrays["images"], arrays["labels"]
    parts = {name: arrays[name].astype(np.int64) for name in SPLITS}
    total = len(images)
    for wrong, expected in (
        (images.max(initial=0) > _BRIGHTEST, f"pixels from 0 to {_BRIGHTEST}"),
        (
            tuple(np.bincount(np.minimum(labels, CLASSES).astype(np.int64), minlength=CLASSES)) != _COUNTS,
            f"classes with {_COUNTS} images",
        ),
        (
            not np.array_equal(np.sort(np.concatenate(list(parts.values()))), np.arange(total)),
            "every image in exactly one part",
        ),
    ):
        if wrong:
            raise ValueError(f"{path} is not the digits: expected {expected}")

    inputs = images.reshape(total, 64).astype(np.float32) / _BRIGHTEST
    targets = labels.astype(np.int64)

    def part(name: str) -> Any:
        chosen = parts[name]
        return Dataset(inputs[chosen], targets[chosen], image_shape=(1, 8, 8), classes=tuple("0123456789"))

    return DataSplits(*(part(name) for name in SPLITS))
