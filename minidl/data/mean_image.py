"""MeanImage: the average of the training images, subtracted from each; computed once and kept in a file."""

from __future__ import annotations

import os
import re
from contextlib import closing
from os import PathLike
from typing import Any

import numpy as np

from minidl import backend
from minidl.checks import whole
from minidl.data.ahead import in_order
from minidl.data.dataset import Source, check_source, checksum, fingerprint
from minidl.data.progress import Bar
from minidl.data.steps import Step, floating
from minidl.errors import DTypeError, ShapeError, describe
from minidl.files.arrays import load_arrays, save_arrays
from minidl.files.schema import FLOATS, Entry
from minidl.files.writing import check_writable, path_of

KIND = "mean image"
CHUNK = 256  # images that MeanImage.of looks at together


class MeanImage(Step):
    """x - mean, where mean is one whole image: the average of the training images, as Caffe's networks have it.

    `MeanImage.of(train)` computes it. Where images are cropped, it comes before the crop.

    Args:
        mean: an array of the shape of one image.
    """

    def __init__(self, mean: Any) -> None:
        self.mean = np.asarray(mean)
        if self.mean.dtype.kind != "f":
            raise DTypeError(f"MeanImage: expected an array of floating numbers as the mean; got {describe(mean)}")

    @classmethod
    def of(
        cls,
        source: Source,
        progress: bool | None = None,
        *,
        file: str | PathLike[str] | None = None,
        workers: int = 0,
    ) -> MeanImage:
        """The mean of all inputs of a source, added up in float64, a few hundred at a time.

        Args:
            progress: show a progress bar; None shows it in a terminal or a notebook, if it takes more than a second.
            file: where the mean is kept, an .npz. If there is one, the mean is read from it and nothing is computed. It
                knows the number of examples, their labels, names and size of an `ImageFolder`'s images, and the name of
                a function in a `Mapped`; pixels, or a function, that change under the same name it does not notice:
                delete it then.
            workers: how many threads read the images. The result is the same, bit for bit.

        Raises:
            ValueError: there is no example; or the file is damaged, or keeps the mean of other images.
            OSError: the file cannot be read or written.
        """
        check_source(source, "MeanImage: expected a Dataset")
        if len(source) == 0:
            raise ValueError("MeanImage: expected at least one example; the data set is empty")
        if file is not None and os.path.exists(path_of(file)):
            return cls(_kept(file, source))
        if file is not None:
            check_writable(file)

        def added_up(start: int) -> tuple[Any, int]:
            images, _ = source.take(np.arange(start, min(start + CHUNK, len(source))))
            return backend.to_numpy(images).sum(axis=0, dtype=np.float64), len(images)

        total: Any = 0.0
        with (
            Bar(progress, len(source), label="mean image") as bar,
            closing(
                in_order(
                    added_up, range(0, len(source), CHUNK), whole(workers, "MeanImage: workers", 0), "MeanImage.of"
                )
            ) as sums,
        ):
            for images, count in sums:
                total = total + images
                bar.advance(count)
        mean = cls(total / len(source))
        if file is not None:
            save_arrays(file, {"mean": mean.mean}, kind=KIND, meta={"images": _description(source)})
        return mean

    def __call__(self, images: Any, rng: Any = None) -> Any:
        dtype = floating(images)
        if images.shape[1:] != self.mean.shape:
            raise ShapeError(f"{self!r}: expected images of that shape, before any crop; got {images.shape}")
        xp = backend.module_of(images)
        return xp.subtract(images, xp.asarray(self.mean.astype(dtype)), dtype=dtype)

    def __repr__(self) -> str:
        return f"MeanImage(mean of shape {self.mean.shape})"


def _kept(file: str | PathLike[str], source: Source) -> Any:
    """The mean that a file keeps, once it is known to be that of this source."""
    arrays, meta = load_arrays(file, kind=KIND, schema={"mean": Entry(FLOATS)})
    if meta.get("images") != _description(source):
        raise ValueError(
            f"{path_of(file)}: keeps the mean of other images: their number, names, size or labels differ from those "
            f"of {source!r}. Delete it, or keep this mean in another file"
        )
    return arrays["mean"]


def _description(source: Source) -> str:
    """A checksum by which most other images are told from these without reading them."""
    seen = [str(len(source)), fingerprint(source)]
    inner: Any = source
    while True:
        # A function is told by its name: the address that Python shows is another one in every run.
        seen.append(re.sub(r" at 0x[0-9a-fA-F]+", "", repr(getattr(inner, "transform", None))))
        seen.append("\n".join([str(getattr(inner, "image_shape", None)), *getattr(inner, "names", [])]))
        if not hasattr(inner, "source"):
            return checksum(np.frombuffer("\0".join(seen).encode(), np.uint8))
        inner = inner.source
