"""Data sets, how they are handed out, and what happens to them on the way: Dataset, Loader, transforms."""

from typing import Any

from minidl.data import transforms
from minidl.data.cifar import cifar10
from minidl.data.dataset import Dataset, DataSplits, Source
from minidl.data.folder import ImageFolder
from minidl.data.loader import Loader
from minidl.data.mnist_family import fashion_mnist, mnist
from minidl.data.synthetic import blobs, moons, spirals, xor
from minidl.data.text import characters
from minidl.data.transforms import Mapped
from minidl.data.uci_digits import digits
from minidl.examples.reading import add_examples
from minidl.habits.answers import missing_name

__all__ = [
    "DataSplits",
    "Dataset",
    "ImageFolder",
    "Loader",
    "Mapped",
    "Source",
    "blobs",
    "characters",
    "cifar10",
    "digits",
    "fashion_mnist",
    "mnist",
    "moons",
    "spirals",
    "transforms",
    "xor",
]


def __getattr__(name: str) -> Any:
    raise missing_name(__name__, name)


def __dir__() -> list[str]:
    return __all__


add_examples(globals(), "data")
