"""MNIST and Fashion-MNIST: 70,000 grey images of 28x28 pixels in ten classes."""

from __future__ import annotations

from os import PathLike
from pathlib import Path

import numpy as np

from minidl.data.dataset import Dataset, DataSplits, check_labels, splits
from minidl.data.fetch import Published, locate, reading
from minidl.data.idx import read_idx

_DIGITS = tuple("0123456789")
_CLOTHES = (
    "T-shirt/top", "Trouser", "Pullover", "Dress", "Coat", "Sandal", "Shirt", "Sneaker", "Bag", "Ankle boot"
)  # fmt: skip
_NAMES = ("train-images-idx3-ubyte", "train-labels-idx1-ubyte", "t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte")
_BEGINNINGS = {  # the first training labels: the files of the two have the same names and shapes
    "mnist": [5, 0, 4, 1, 9, 2, 1, 3, 1, 4],
    "fashion_mnist": [9, 0, 0, 3, 0, 2, 7, 2, 5, 5],
}


def _published(homes: tuple[str, ...], *sums: tuple[str, int]) -> list[Published]:
    files = zip(_NAMES, sums, strict=True)
    return [Published(f"{name}.gz", homes, md5, size, name, _also(name)) for name, (md5, size) in files]


def _also(name: str) -> tuple[str, ...]:
    """What the file called `name` becomes elsewhere: 7-Zip and Kaggle write a dot, and make a folder around it."""
    dotted = name.replace("-idx", ".idx")
    return f"{name}/{name}", f"{name}/{dotted}", dotted, f"{dotted}.gz"


_MNIST = _published(
    (
        "https://ossci-datasets.s3.amazonaws.com/mnist/",
        "https://storage.googleapis.com/cvdf-datasets/mnist/",
        "http://yann.lecun.com/exdb/mnist/",
    ),
    ("f68b3c2dcbeaaa9fbdd348bbdeb94873", 9_912_422),
    ("d53e105ee54ea40749a09fcbcd1e9432", 28_881),
    ("9fb629c4189551a2d022fa330f9573f3", 1_648_877),
    ("ec29112dd5afa0611ce80d1b7f02629c", 4_542),
)
_FASHION = _published(
    (
        "http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/",
        "https://raw.githubusercontent.com/zalandoresearch/fashion-mnist/master/data/fashion/",
        "https://storage.googleapis.com/tensorflow/tf-keras-datasets/",
    ),
    ("8d4fb7e6c68d591d4c3dfef9ec88bf0d", 26_421_880),
    ("25c81989df183df01b3e8a0aad5dffbe", 29_515),
    ("bef4ecab320f06d8554ea6380940ec79", 4_422_102),
    ("bb300cfdad3c16e7a12a480ee83cd310", 5_148),
)


def mnist(
    root: str | PathLike[str] | None = None, download: bool = False, validation: int = 0, flat: bool = False
) -> DataSplits:
    """Handwritten digits: 60,000 images to train, 10,000 to test.

    Inputs are (N, 1, 28, 28) float32 from 0 (paper) to 1 (ink), the bytes of the file divided by 255; labels are (N,)
    int64. In memory the whole takes 220 MB.

    MNIST has no official validation part. With `validation=5000` the last 5,000 training images are that part, and no
    longer in the training part; without it the validation part is there and empty.

    Source: Y. LeCun, L. Bottou, Y. Bengio, P. Haffner, Gradient-based learning applied to document recognition, 1998.

    Args:
        root: the folder with the four files (as published, .gz, or unpacked, also as 7-Zip or Kaggle name them,
            `train-images.idx3-ubyte`), or with a folder `mnist` of them, or `MNIST/raw`, where torchvision puts them.
            Without it they are looked for in $MINIDL_DATA and in the folder `minidl/mnist` of the user's cache.
        download: fetch what is missing (12 MB).
        validation: how many training images to hold out.
        flat: make a row of 784 pixels of each image, (N, 784), as a network of dense layers takes it.

    Raises:
        FileNotFoundError: files are missing and `download` is False.
        ConnectionError: they could not be downloaded.
        ValueError: a file is damaged or of something else, or there are not that many images to hold out.
    """
    return _read("mnist", _MNIST, _DIGITS, "MNIST", root, download, validation, flat)


def fashion_mnist(
    root: str | PathLike[str] | None = None, download: bool = False, validation: int = 0, flat: bool = False
) -> DataSplits:
    """Pieces of clothing, a harder replacement for MNIST: 60,000 images to train, 10,000 to test.

    Arguments, parts and errors are those of `mnist`. The four files have the same names too, so they need a folder of
    their own, `fashion_mnist`; 31 MB are downloaded.

    Source: H. Xiao, K. Rasul, R. Vollgraf, arXiv:1708.07747.
    """
    return _read("fashion_mnist", _FASHION, _CLOTHES, "FashionMNIST", root, download, validation, flat)


def _read(
    name: str,
    files: list[Published],
    classes: tuple[str, ...],
    torchvision: str,
    root: str | PathLike[str] | None,
    download: bool,
    validation: int,
    flat: bool,
) -> DataSplits:
    layouts = (f"{torchvision}/raw", torchvision, "raw")
    train_images, train_labels, test_images, test_labels = locate(name, files, root, download, layouts)
    with reading(name, root):
        train = _pair(train_images, train_labels, classes)
        test = _pair(test_images, test_labels, classes)
    for other, beginning in _BEGINNINGS.items():
        if other != name and train.labels[: len(beginning)].tolist() == beginning:
            raise ValueError(f"md.data.{name}: the files in {train_labels.parent} are those of md.data.{other}")
    return splits(name, train, test, validation, flat)


def _pair(image_file: Path, label_file: Path, classes: tuple[str, ...]) -> Dataset:
    """The images of one file with the labels of the other."""
    images, labels = read_idx(image_file), read_idx(label_file)
    if images.dtype != np.uint8 or images.shape[1:] != (28, 28):
        raise ValueError(
            f"{image_file}: expected images of shape (N, 28, 28), uint8; got {images.shape}, {images.dtype}"
        )
    if labels.dtype != np.uint8 or labels.shape != images.shape[:1]:
        raise ValueError(
            f"{label_file}: expected a label for each of the {len(images)} images of {image_file.name}, uint8; got "
            f"shape {labels.shape}, {labels.dtype}"
        )
    check_labels(label_file, labels, classes)
    inputs = images[:, None].astype(np.float32)
    inputs /= 255
    return Dataset(inputs, labels.astype(np.int64), image_shape=(1, 28, 28), classes=classes)
