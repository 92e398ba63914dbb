"""Dataset: examples and what they should be turned into, side by side; and what else can be handed out: a Source."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import numpy as np

from minidl import backend
from minidl.checks import yes_or_no
from minidl.errors import DTypeError, ShapeError, describe


class Source(Protocol):
    """N examples that can be asked for by number: what a `Loader` hands out and `evaluate` goes through.

    A `Dataset` has them all in memory; a class with these four may as well read a file when it is asked for it.

    Attributes:
        labels: all labels, (N,) int64 classes or (N, ...) numbers to predict, an array.
        classes: the names of the classes, so that label k is `classes[k]`; None where there are none.
    """

    @property
    def labels(self) -> Any: ...

    @property
    def classes(self) -> tuple[str, ...] | None: ...

    def __len__(self) -> int: ...

    def take(self, indices: Any) -> tuple[Any, Any]:
        """The inputs and labels of the examples `indices`, (n,) integers, as new arrays. Threads call it at once."""
        ...


def check_source(value: Any, expected: str) -> None:
    """Refuse what is no Source: a TypeError that begins with `expected`, such as "Loader: expected a Dataset"."""
    missing = [name for name in ("__len__", "labels", "classes", "take") if not hasattr(value, name)]
    if missing and hasattr(value, "dataset"):
        raise TypeError(f"{expected}; got {describe(value)}: give what it hands out, its .dataset")
    if missing and isinstance(value, DataSplits):
        raise TypeError(f"{expected}; got DataSplits, which are three: give one, .train, .validation or .test")
    if missing:
        raise TypeError(
            f"{expected}; got {describe(value)}: wrap it, Dataset(inputs, labels); or make it a source of data, "
            f"for which it lacks {', '.join(missing)}"
        )


@dataclass(frozen=True, eq=False)
class Dataset:
    """N examples: row i of `labels` belongs to row i of `inputs`.

        image, label = digits.train[0]              # len(digits.train) examples
        images, labels = digits.train[:10]
        for image, label in digits.train: ...

    Attributes:
        inputs: (N, ...) NumPy (or CuPy) array, for the digits (N, 64) float32.
        labels: (N,) integer classes, or (N, ...) numbers to predict.
        image_shape: (channels, height, width) if an input is an image, of that shape or laid out as a row of pixels.
        classes: the names of the classes, so that label k is `classes[k]`; None if they have none.

    Raises:
        DTypeError: one of the two is no array.
        ShapeError: they differ in N, or `image_shape` does not fit.
        TypeError: `classes` is no tuple of names.
    """

    inputs: Any
    labels: Any
    image_shape: tuple[int, int, int] | None = None
    classes: tuple[str, ...] | None = None

    def __post_init__(self) -> None:
        for name, array in (("inputs", self.inputs), ("labels", self.labels)):
            if not backend.is_array(array):
                remark = ": give its .data" if hasattr(array, "requires_grad") else ""
                remark = ": np.array(...) makes one" if isinstance(array, (list, tuple)) else remark
                raise DTypeError(f"Dataset: expected a NumPy or CuPy array as {name}; got {describe(array)}{remark}")
            if array.ndim == 0:
                raise ShapeError(f"Dataset: expected {name} of shape (N, ...); got a single number, shape ()")
        if len(self.inputs) != len(self.labels):
            raise ShapeError(
                f"Dataset: expected one label for each input; got {len(self.inputs)} inputs of shape "
                f"{self.inputs.shape} and {len(self.labels)} labels of shape {self.labels.shape}"
            )
        if self.image_shape is not None:
            pixels = math.prod(self.image_shape)
            if len(self.image_shape) != 3 or self.inputs.shape[1:] not in ((pixels,), self.image_shape):
                raise ShapeError(
                    f"Dataset: images of shape {self.image_shape} (channels, height, width), unless they have it, "
                    f"need inputs of shape (N, {pixels}); got {self.inputs.shape}"
                )
        if self.classes is not None and not (
            isinstance(self.classes, tuple) and all(isinstance(name, str) for name in self.classes)
        ):
            raise TypeError(f"Dataset: expected classes as a tuple of names; got {self.classes!r}")

    def __len__(self) -> int:
        return len(self.inputs)

    def __getitem__(self, index: Any) -> tuple[Any, Any]:
        """The input and the label of example `index`; of a slice or an array of indices the inputs and the labels.

        What comes is a view wherever NumPy gives one: nothing is copied.

        Raises:
            IndexError: there is no such example.
            TypeError: it is no index.
        """
        if isinstance(index, (str, float, tuple, type(None))):
            raise TypeError(f"Dataset: expected the number of an example, a slice or an array; got {index!r}")
        return self.inputs[index], self.labels[index]

    def __iter__(self) -> Iterator[tuple[Any, Any]]:
        """(input, label) of each example in turn. For batches in a new order every epoch, use a `Loader`."""
        return zip(self.inputs, self.labels, strict=True)

    def __init_subclass__(cls) -> None:
        super().__init_subclass__()
        if "__getitem__" in vars(cls) and "take" not in vars(cls):
            raise TypeError(
                f"{cls.__name__}.__getitem__ would make no example: a Loader asks for a batch at once, take(indices). "
                f"If all examples fit into memory make arrays of them, Dataset(inputs, labels); else write a class "
                f"without this base that has __len__, labels, classes and take(indices)"
            )

    def take(self, indices: Any) -> tuple[Any, Any]:
        """The inputs and labels of the examples `indices`, (n,) integers: copies, on the device of the data."""
        chosen = backend.to_device(backend.asarray(indices), backend.device_of(self.inputs))
        return self.inputs[chosen], self.labels[chosen]

    def to(self, device: str) -> Dataset:
        """The same examples on 'numpy' or 'cupy', copied only if they have to move."""
        inputs, labels = backend.to_device(self.inputs, device), backend.to_device(self.labels, device)
        return replace(self, inputs=inputs, labels=labels)

    def split(self, *counts: int, seed: int = 0) -> tuple[Dataset, ...]:
        """Parts that share no example, drawn at random; what the counts leave over is in none.

        train, validation = mnist.train.split(50_000, 10_000)
        """
        if not all(is_whole(count) and count >= 0 for count in counts) or sum(counts) > len(self):
            raise ValueError(
                f"Dataset: expected counts that add up to at most {len(self)}, whole numbers of examples as in "
                f"split(100, 50); got {counts}"
            )
        parts = np.split(random_order(len(self), seed), np.cumsum(counts))[:-1]
        return tuple(replace(self, inputs=inputs, labels=labels) for inputs, labels in map(self.take, parts))

    def laid_out(self, flat: bool) -> Dataset:
        """The same images as rows of pixels, (N, C H W), or as (N, channels, height, width); nothing is copied."""
        images = self.images
        return replace(self, inputs=images.reshape(len(images), math.prod(images.shape[1:])) if flat else images)

    @property
    def images(self) -> Any:
        """The inputs as (N, channels, height, width): a view, for convolutions and for looking at them."""
        if self.image_shape is None:
            raise ShapeError(
                "Dataset: these inputs are not known to be images; pass image_shape=(channels, height, width)"
            )
        return self.inputs.reshape(-1, *self.image_shape)

    def __repr__(self) -> str:
        return f"Dataset({len(self)} examples, inputs {self.inputs.shape[1:]} {self.inputs.dtype})"


class DataSplits(NamedTuple):
    """One set of examples in three parts that share none.

    Attributes:
        train: to learn from.
        validation: to choose rates and when to stop by.
        test: to report, and for nothing else.
    """

    train: Dataset
    validation: Dataset
    test: Dataset


def splits(name: str, train: Dataset, test: Dataset, validation: int, flat: bool) -> DataSplits:
    """The three parts of `md.data.NAME`, the last `validation` training examples held out; nothing is copied."""
    yes_or_no(flat, f"md.data.{name}: flat")
    if not is_whole(validation) or not 0 <= validation < len(train):
        most = len(train) - 1
        raise ValueError(f"md.data.{name}: expected validation as a number from 0 to {most}; got {validation!r}")
    cut = len(train) - validation
    first, last = (
        replace(train, inputs=train.inputs[part], labels=train.labels[part]) for part in (slice(cut), slice(cut, None))
    )
    return DataSplits(*(part.laid_out(flat) for part in (first, last, test)))


def check_labels(file: Path, labels: Any, classes: tuple[str, ...]) -> None:
    """Refuse labels that name no class: a ValueError with the file and the place."""
    if labels.max(initial=0) >= len(classes):
        i = int(labels.argmax())
        raise ValueError(f"{file}: expected labels from 0 to {len(classes) - 1}; got {labels[i]} as label {i}")


def fingerprint(source: Source) -> str:
    """A checksum by which other examples are told from these: over the labels and, of a Dataset, a few of the inputs.

    Another source may have to read files for its inputs.
    """
    while not isinstance(source, Dataset) and hasattr(source, "source"):  # a source of another's examples, as Mapped
        source = source.source
    labels = source.labels if backend.is_array(source.labels) else np.asarray(source.labels)
    inputs = [source.inputs] if isinstance(source, Dataset) else []
    return checksum(labels, 2**20) + "".join(checksum(array, 64) for array in inputs)


def checksum(array: Any, rows: int = 2**20) -> str:
    """16 letters that are others for other elements, dtypes and shapes; of a longer array over about so many rows."""
    import hashlib

    step = max(1, len(array) // rows) if array.ndim else 1
    seen = np.ascontiguousarray(backend.to_numpy(array[::step] if step > 1 else array))
    digest = hashlib.sha256(f"{array.dtype} {tuple(array.shape)} ".encode())
    digest.update(repr(seen.tolist()).encode() if seen.dtype.hasobject else seen.tobytes())
    return digest.hexdigest()[:16]


def random_order(n: int, *seed: int) -> Any:
    """(n,) the numbers below n in a random order, which depends on `seed` and not on the version of NumPy."""
    # Sorting by random keys: NumPy promises that a bit generator's raw numbers never change, but does not promise it
    # of `permutation`.
    keys = np.random.PCG64(np.random.SeedSequence(seed)).random_raw(n)
    return np.argsort(keys, kind="stable")


def is_whole(value: object) -> bool:
    """Whether `value` is an integer, Python's or NumPy's, and no truth value."""
    return isinstance(value, (int, np.integer)) and not isinstance(value, bool)
