"""The recipes' data: read once in a process, the validation part held out, and what a network is fed made of it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import lru_cache
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np

from minidl.data import Dataset, Mapped, Source, digits, mnist
from minidl.data.dataset import checksum, fingerprint
from minidl.data.transforms import ToFloat, Transform
from minidl.files.writing import path_of

HELD_OUT = 5_000  # of MNIST's training images, the last ones


@dataclass(frozen=True)
class Sets:
    """The three parts of a data set, as a recipe uses them.

    Attributes:
        name: which data they are, in words.
        train, validation, test: the examples as they are kept, mostly bytes.
        transform: what makes of them what the network is trained on; None if nothing does.
        looked_at: what makes of them what the network is tested on, if it is something else.
    """

    name: str
    train: Source
    validation: Source
    test: Source
    transform: Transform | None = None
    looked_at: Transform | None = None

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


READERS: dict[str, Callable[[Path | None, Path | None], Sets]] = {"mnist": read_mnist, "digits": read_digits}


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
