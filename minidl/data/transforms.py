"""Transforms: what happens to a batch of images on its way to the network.

A transform is a function of images (N, C, H, W) and of a random generator that returns the new images, in a new array
or a view: it never writes into those it is given. Any function will do; those here can be combined:

    from minidl.data import transforms as T

    mean = T.MeanImage.of(train, file="mean-image.npz")
    augment = T.Compose([mean, T.RandomCrop(227), T.RandomHorizontalFlip()])
    loader = Loader(train, batch_size=128, transform=augment, workers=2)
    evaluate(model, Mapped(test, T.Compose([mean, T.CenterCrop(227)])))

What computes with the pixels (`ToFloat`, `Normalize`, `MeanImage`) gives float32 for integers and keeps a floating
dtype; what moves them (crops, flips) keeps every dtype. So cropping before computing is the cheaper order, and costs
nothing more where `Compose` does a mean image and the moves after it in one pass.

What moves pixels works on NumPy arrays, before a batch goes to the device. Steps that compute work on either, and where
they come last the Loader lets a GPU do them: the images then travel as bytes, a quarter of the floats, and the numbers
are the same.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from minidl import backend
from minidl.checks import real, share
from minidl.data.dataset import Source, check_source
from minidl.data.mean_image import MeanImage
from minidl.data.steps import (
    Step,
    Transform,
    check_transform,
    drawing,
    floating,
    numbers,
    pair,
    room_in,
    size_of,
    transformed,
)
from minidl.data.windows import Windows
from minidl.errors import ShapeError
from minidl.examples.reading import add_examples
from minidl.habits.answers import missing_name
from minidl.settings import Setting

__all__ = [
    "CenterCrop",
    "Compose",
    "Mapped",
    "MeanImage",
    "Normalize",
    "RandomCrop",
    "RandomHorizontalFlip",
    "ToFloat",
    "Transform",
]


class Mapped:
    """A source whose inputs have gone through a transform that draws nothing at random: for evaluation.

    Args:
        source: where the examples come from.
        transform: called with (inputs, None) at every `take`.
    """

    def __init__(self, source: Source, transform: Transform) -> None:
        check_source(source, "Mapped: expected a Dataset")
        check_transform(transform, "Mapped")
        self.source = source
        self.transform = transform

    @property
    def labels(self) -> Any:
        return self.source.labels

    @property
    def classes(self) -> tuple[str, ...] | None:
        return self.source.classes

    def __len__(self) -> int:
        return len(self.source)

    def take(self, indices: Any) -> tuple[Any, Any]:
        """The transformed inputs and the labels of the examples `indices`."""
        inputs, labels = self.source.take(indices)
        return transformed(inputs, self.transform, None), labels

    def __repr__(self) -> str:
        return f"Mapped({self.source!r}, {self.transform!r})"


class Compose(Step):
    """One transform after the other.

    If it begins with a mean image, crops and flips, these are done in one pass over the pixels, with the same result.
    """

    def __init__(self, transforms: Sequence[Transform]) -> None:
        self.transforms = list(transforms)
        for transform in self.transforms:
            check_transform(transform, "Compose")

    def __call__(self, images: Any, rng: Any = None) -> Any:
        return self.into(np.empty, images, rng)

    def into(self, empty: Callable[..., Any], images: Any, rng: Any = None) -> Any:
        """As a call; what one pass makes, if nothing comes after it, lies in the array that `empty` makes for it."""
        done = _in_one_pass(self.transforms, images, rng is not None)
        if done:
            images = _one_pass(self.transforms[:done], images, rng, empty if done == len(self.transforms) else np.empty)
        for transform in self.transforms[done:]:
            images = transform(images, rng)
        return images


class ToFloat(Step):
    """x * scale as floating numbers; 1/255, the default, brings bytes into 0 to 1. Takes arrays of any shape."""

    scale = Setting(real)

    def __init__(self, scale: float = 1 / 255) -> None:
        self.scale = scale

    def __call__(self, images: Any, rng: Any = None) -> Any:
        return backend.module_of(images).multiply(images, self.scale, dtype=floating(images))


class Normalize(Step):
    """(x - mean[c]) / std[c] for every channel c.

    Args:
        mean, std: a number for each channel, or one for all.
    """

    mean = Setting(numbers)
    std = Setting(numbers)

    def __init__(self, mean: float | Sequence[float], std: float | Sequence[float]) -> None:
        self.mean = mean
        self.std = std
        self.check_settings()

    def check_settings(self) -> None:
        """Refuse to divide by 0."""
        if not all(s > 0 for s in self.std):
            raise ValueError(f"Normalize: expected std above 0; got {', '.join(f'{s:g}' for s in self.std)}")

    def __call__(self, images: Any, rng: Any = None) -> Any:
        dtype, channels = floating(images), size_of(images, self, anywhere=True)[0]
        for values in (self.mean, self.std):
            if len(values) not in (1, channels):
                raise ShapeError(f"{self!r}: expected images of {len(values)} channels; got shape {images.shape}")
        xp = backend.module_of(images)
        mean, std = (xp.asarray(np.array(values, dtype)[:, None, None]) for values in (self.mean, self.std))
        out = xp.subtract(images, mean, dtype=dtype)
        out /= std
        return out


class CenterCrop(Step):
    """The middle of every image, a view; where it cannot be exact, one pixel nearer to the top and the left.

    Args:
        size: of what is left: a number, or (height, width).
    """

    size = Setting(pair, 1)

    def __init__(self, size: int | tuple[int, int]) -> None:
        self.size = size

    def __call__(self, images: Any, rng: Any = None) -> Any:
        size_of(images, self)
        top, left = self.place(images.shape)
        height, width = self.size
        return images[:, :, top : top + height, left : left + width]

    def place(self, shape: tuple[int, ...], rng: Any = None) -> tuple[int, int]:
        """Where the window begins, from the top and from the left, in images of a shape (N, C, H, W)."""
        down, right = room_in(shape, self.size, self)
        return down // 2, right // 2


class RandomCrop(Step):
    """A window of every image, each at a place of its own that is drawn at random; all places are equally likely.

    Args:
        size: of the window: a number, or (height, width).
        padding: zeros put around the image first: a number, or one above and below and one left and right.
    """

    size = Setting(pair, 1)
    padding = Setting(pair, 0)

    def __init__(self, size: int | tuple[int, int], padding: int | tuple[int, int] = 0) -> None:
        self.size = size
        self.padding = padding

    def __call__(self, images: Any, rng: Any = None) -> Any:
        size_of(images, self)
        if any(self.padding):
            images = np.pad(images, [(0, 0), (0, 0), *((border, border) for border in self.padding)])
        top, left = self.place(images.shape, rng)
        windows = np.lib.stride_tricks.sliding_window_view(images, self.size, axis=(2, 3))
        return windows[np.arange(len(images)), :, top, left]  # (N, C, places, places, height, width): one place each

    def place(self, shape: tuple[int, ...], rng: Any) -> tuple[Any, Any]:
        """(N,) where each window begins, from the top and from the left, in images of a shape (N, C, H, W)."""
        down, right = room_in(shape, self.size, self)
        draw = drawing(rng, self).integers
        return draw(0, down + 1, size=shape[0]), draw(0, right + 1, size=shape[0])


class RandomHorizontalFlip(Step):
    """Every image by chance mirrored left to right.

    Args:
        p: the probability.
    """

    p = Setting(share)

    def __init__(self, p: float = 0.5) -> None:
        self.p = p

    def __call__(self, images: Any, rng: Any = None) -> Any:
        size_of(images, self)
        mirrored = self.which(images.shape, rng)
        out = images.copy()
        out[mirrored] = images[mirrored, :, :, ::-1]
        return out

    def which(self, shape: tuple[int, ...], rng: Any) -> Any:
        """(N,) whether each of the images of a shape (N, C, H, W) is mirrored."""
        return drawing(rng, self).random(shape[0]) < self.p


def _in_one_pass(steps: Sequence[Transform], images: Any, may_draw: bool) -> int:
    """How many of the first steps are done in one pass; 0 if one is done as it stands, or refuses the images."""
    if not isinstance(images, np.ndarray) or images.ndim != 4:
        return 0
    if images.dtype.kind not in "fuib" or not images.dtype.isnative:
        return 0
    size, count = images.shape[2:], 0
    if steps and type(steps[0]) is MeanImage and images.shape[1:] == steps[0].mean.shape:
        count = 1
    for step in steps[count:]:
        if type(step) is RandomHorizontalFlip and may_draw:
            count += 1
        elif type(step) is CenterCrop or (type(step) is RandomCrop and may_draw and not any(step.padding)):
            if size[0] < step.size[0] or size[1] < step.size[1]:
                break
            size, count = step.size, count + 1
        else:
            break
    return count if count > 1 else 0


def _one_pass(steps: Sequence[Transform], images: Any, rng: Any, empty: Callable[..., Any]) -> Any:
    """What the steps, of which `_in_one_pass` has said that it can be, make of the images one after the other."""
    mean, windows = None, Windows(images)
    for step in steps:
        if isinstance(step, MeanImage):
            mean = step.mean.astype(floating(images))
        elif isinstance(step, RandomHorizontalFlip):
            windows.mirror(step.which(windows.shape, rng))
        elif isinstance(step, (CenterCrop, RandomCrop)):
            top, left = step.place(windows.shape, rng)
            windows.crop(top, left, step.size)
    return windows.pixels(mean, empty)


def on_host_and_anywhere(transform: Transform) -> tuple[Transform | None, Transform | None]:
    """A transform in two: what has to run on the host, and the last steps, if they may run on any device."""
    steps = transform.transforms if type(transform) is Compose else [transform]
    cut = len(steps)
    while cut > 0 and type(steps[cut - 1]) in (ToFloat, Normalize, MeanImage):
        cut -= 1
    if cut == len(steps):
        return transform, None
    return Compose(steps[:cut]) if cut else None, Compose(steps[cut:])


def __getattr__(name: str) -> Any:
    raise missing_name(__name__, name)


def __dir__() -> list[str]:
    return __all__


add_examples(globals(), "transforms")
