"""The recipes' data: read once in a process, the validation part held out, and what a network is fed made of it."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import lru_cache
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np

from minidl.data import Dataset, ImageFolder, Mapped, Source, cifar10, digits, mnist
from minidl.data.dataset import checksum, fingerprint
from minidl.data.transforms import (
    CenterCrop,
    Compose,
    MeanImage,
    Normalize,
    RandomCrop,
    RandomHorizontalFlip,
    ToFloat,
    Transform,
)
from minidl.experiments.reproduce.decoded import decoded
from minidl.files.writing import path_of

HELD_OUT = 5_000  # of MNIST's training images, the last ones
WORKERS = 2  # threads that read ImageNet's files


@dataclass(frozen=True)
class Sets:
    """The three parts of a data set, as a recipe uses them.

    Attributes:
        name: which data they are, in words.
        train, validation, test: the examples as they are kept, mostly bytes.
        transform: what makes of them what the network is trained on; None if nothing does.
        looked_at: what makes of them what the network is tested on, if it is something else.
        workers: threads that make batches ahead; the batches are the same for any number.
    """

    name: str
    train: Source
    validation: Source
    test: Source
    transform: Transform | None = None
    looked_at: Transform | None = None
    workers: int = 0

    @property
    def classes(self) -> int:
        """How many there are."""
        return len(self.train.classes or ())

    def shown(self, part: Source, examples: int = 0) -> Source:
        """A part as the network is tested on it; with `examples` so many of it, evenly spaced."""
        if examples and examples < len(part):
            part = Subset(part, np.linspace(0, len(part) - 1, examples).round().astype(np.int64))
        transform = self.looked_at or self.transform
        return part if transform is None else Mapped(part, transform)

    def fingerprint(self) -> str:
        """A checksum by which other data are told from these."""
        parts = [fingerprint(part) for part in (self.train, self.validation, self.test)]
        return checksum(np.array(parts))


class Subset:
    """Some examples of a source, as a source."""

    def __init__(self, source: Source, chosen: Any) -> None:
        self.source, self.chosen = source, chosen
        self.labels, self.classes = source.labels[chosen], source.classes

    def __len__(self) -> int:
        return len(self.chosen)

    def take(self, indices: Any) -> tuple[Any, Any]:
        """Those of them with the numbers `indices`."""
        return self.source.take(self.chosen[indices])


def read_mnist(folder: Path | None, cache: Path | None) -> Sets:
    """MNIST as bytes; the network sees x/256, as Caffe's does."""
    train, validation, test = map(_bytes, mnist(root=folder, validation=HELD_OUT))
    return Sets("MNIST", train, validation, test, transform=ToFloat(1 / 256))


def _bytes(part: Dataset) -> Dataset:
    return replace(part, inputs=np.rint(part.inputs * 255).astype(np.uint8))


def read_digits(folder: Path | None, cache: Path | None) -> Sets:
    """The digits that come with minidl, with their own validation part."""
    return Sets("the 8x8 digits that come with minidl", *digits())


def read_cifar10(folder: Path | None, cache: Path | None) -> Sets:
    """CIFAR-10 as bytes less the mean image of the training images: the original, or a folder of JPEGs.

    Held out are the last 500 training images of each class.
    """
    try:
        everything, _, test = map(_bytes, cifar10(root=folder))
        name = "CIFAR-10"
    except FileNotFoundError as error:
        place = _image_folder(folder, ("cifar10-jpeg", "cifar10"), ("train", "test"))
        if place is None:
            layout = "DIR/cifar10-jpeg/train/CLASS/NAME.jpg and DIR/cifar10-jpeg/test/CLASS/NAME.jpg"
            raise FileNotFoundError(f"{error}. Or let --data DIR name a folder of images, {layout}") from error
        everything, test = (decoded(place / part, cache, f"cifar10-{part}") for part in ("train", "test"))
        name = "CIFAR-10, recompressed as JPEG"
    train, validation = without_last(everything, max(1, len(everything) // (10 * len(everything.classes or ()))))
    return Sets(name, train, validation, test, MeanImage.of(train, progress=False))


def read_imagenet32(folder: Path | None, cache: Path | None) -> Sets:
    """200 classes of ImageNet at 32x32, each channel with mean 0 and variance 1; in training mirrored and shifted.

    Held out are the last 50 training images of each class.
    """
    place = _image_folder(folder, ("tiny-imagenet-32",), ("train", "val"))
    if place is None:
        raise FileNotFoundError(
            f"found no images of 32x32 pixels in {_where(folder)}: let --data DIR name a folder with "
            f"DIR/tiny-imagenet-32/train/CLASS/NAME.JPEG and DIR/tiny-imagenet-32/val/CLASS/NAME.JPEG. They are "
            f"those of Tiny ImageNet (http://cs231n.stanford.edu/tiny-imagenet-200.zip), halved in size"
        )
    everything, test = (decoded(place / part, cache, f"imagenet32-{part}") for part in ("train", "val"))
    train, validation = without_last(everything, max(1, len(everything) // (10 * len(everything.classes or ()))))
    sample = everything.inputs[:: max(1, len(everything) // 20_000)].astype(np.float64)
    normal = Normalize(sample.mean(axis=(0, 2, 3)).round(3).tolist(), sample.std(axis=(0, 2, 3)).round(3).tolist())
    augmented = Compose([normal, RandomCrop(32, padding=4), RandomHorizontalFlip()])
    return Sets("200 classes of ImageNet at 32x32", train, validation, test, augmented, normal)


def read_imagenet(folder: Path | None, cache: Path | None) -> Sets:
    """ImageNet out of its files: the mean image subtracted; in training a random 227x227 of 256x256, and mirrored.

    Held out are the last hundredth, at least one, of the training images of each class.
    """
    place = _image_folder(folder, ("imagenet",), ("train", "val"))
    if place is None:
        raise FileNotFoundError(
            f"found no ImageNet in {_where(folder)}: let --data DIR name a folder with "
            f"DIR/imagenet/train/CLASS/NAME.JPEG and DIR/imagenet/val/CLASS/NAME.JPEG. It comes from "
            f"https://www.image-net.org, after registration"
        )
    everything, test = (ImageFolder(place / part, size=256) for part in ("train", "val"))
    train, validation = without_last(everything, max(1, len(everything) // (100 * len(everything.classes))))
    file = None if cache is None else cache / "imagenet-mean.npz"
    mean = MeanImage.of(train, file=file, workers=WORKERS)
    augmented = Compose([mean, RandomCrop(227), RandomHorizontalFlip()])
    return Sets("ImageNet", train, validation, test, augmented, Compose([mean, CenterCrop(227)]), workers=WORKERS)


def without_last(source: Source, count: int) -> tuple[Subset, Subset]:
    """The source without the last `count` examples of each class, and these."""
    labels = np.asarray(source.labels)
    by_class = np.argsort(labels, kind="stable")
    ends = np.cumsum(np.bincount(labels))
    last = np.zeros(len(labels), bool)
    for start, end in zip([0, *ends[:-1]], ends, strict=True):
        last[by_class[max(start, end - count) : end]] = True
    return Subset(source, np.flatnonzero(~last)), Subset(source, np.flatnonzero(last))


def _image_folder(folder: Path | None, names: tuple[str, ...], parts: tuple[str, ...]) -> Path | None:
    """The folder that has these parts: one of those names in `folder`, or that itself."""
    chosen = folder or os.environ.get("MINIDL_DATA")
    root = Path(path_of(chosen)) if chosen else None
    places = [] if root is None else [*(root / name for name in names), root]
    return next((place for place in places if all((place / part).is_dir() for part in parts)), None)


def _where(folder: Path | None) -> str:
    return str(folder or os.environ.get("MINIDL_DATA") or "$MINIDL_DATA, which is not set")


READERS: dict[str, Callable[[Path | None, Path | None], Sets]] = {
    "mnist": read_mnist,
    "digits": read_digits,
    "cifar10": read_cifar10,
    "imagenet32": read_imagenet32,
    "imagenet": read_imagenet,
}


def read(data: str, folder: str | PathLike[str] | None = None, cache: str | PathLike[str] | None = None) -> Sets:
    """The data of a recipe. A process keeps what it has read last.

    Args:
        data: its name in `READERS`.
        folder: where the data lie (`--data`); None for $MINIDL_DATA and the user's cache.
        cache: where decoded images may be kept; None decodes them again.

    Raises:
        FileNotFoundError: they are not there. The message says where they come from.
        ValueError: they are damaged, or something else.
    """
    return _read(data, *(None if path is None else Path(path_of(path)).absolute() for path in (folder, cache)))


@lru_cache(maxsize=1)
def _read(data: str, folder: Path | None, cache: Path | None) -> Sets:
    return READERS[data](folder, cache)
