"""Transforms: what happens to a batch of images on its way to the network.

A transform is a function of images (N, C, H, W) and of a random generator that returns the new images, in a new array
or a view: it never writes into those it is given. Any function will do; those here can be combined:

    from minidl.data import transforms as T

    mean = T.MeanImage.of(train)
    augment = T.Compose([mean, T.RandomCrop(227), T.RandomHorizontalFlip()])
    loader = Loader(train, batch_size=128, transform=augment, workers=2)
    evaluate(model, Mapped(test, T.Compose([mean, T.CenterCrop(227)])))

What computes with the pixels (`ToFloat`, `Normalize`, `MeanImage`) gives float32 for integers and keeps a floating
dtype; what moves them (crops, flips) keeps every dtype. So cropping before computing is the cheaper order.

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
from minidl.data.dataset import Source, check_source, is_whole
from minidl.data.progress import Bar
from minidl.errors import DTypeError, ShapeError, describe
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

Transform = Callable[[Any, Any], Any]  # (images, rng) -> images
CHUNK = 256  # images that MeanImage.of looks at together


def check_transform(value: Any, name: str) -> None:
    """Refuse what is no transform; `name` says whose it is."""
    if not callable(value) or isinstance(value, type):
        made = f": make one, {value.__name__}(...)" if isinstance(value, type) else ""
        raise TypeError(f"{name}: expected a transform, a function of (images, rng); got {value!r}{made}")


def transformed(images: Any, transform: Transform, rng: Any) -> Any:
    """What a transform makes of images, on the host, once it is known to be as many."""
    out = transform(backend.to_numpy(images), rng)
    if not isinstance(out, np.ndarray) or out.shape[:1] != images.shape[:1]:
        raise ShapeError(f"expected {transform!r} to return {len(images)} images, an array; got {describe(out)}")
    return out


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


def numbers(values: Any, name: str) -> tuple[float, ...]:
    """A number for each channel, or one for all, as a tuple."""
    return tuple(real(value, name) for value in np.atleast_1d(np.asarray(values)))


def pair(value: Any, name: str, minimum: int) -> tuple[int, int]:
    """(v, v) for a number v, or the pair itself."""
    both = tuple(value) if isinstance(value, (tuple, list)) else (value, value)
    if len(both) != 2 or not all(is_whole(v) and v >= minimum for v in both):
        raise ValueError(f"{name}: expected a whole number of at least {minimum}, or two of them; got {value!r}")
    return int(both[0]), int(both[1])


class _Step:
    """Shows itself with its parameters, which are its attributes."""

    def __repr__(self) -> str:
        return f"{type(self).__name__}({', '.join(f'{name}={value!r}' for name, value in vars(self).items())})"


class Compose(_Step):
    """One transform after the other."""

    def __init__(self, transforms: Sequence[Transform]) -> None:
        self.transforms = list(transforms)
        for transform in self.transforms:
            check_transform(transform, "Compose")

    def __call__(self, images: Any, rng: Any = None) -> Any:
        for transform in self.transforms:
            images = transform(images, rng)
        return images


class ToFloat(_Step):
    """x * scale as floating numbers; 1/255, the default, brings bytes into 0 to 1. Takes arrays of any shape."""

    scale = Setting(real)

    def __init__(self, scale: float = 1 / 255) -> None:
        self.scale = scale

    def __call__(self, images: Any, rng: Any = None) -> Any:
        return backend.module_of(images).multiply(images, self.scale, dtype=_floating(images))


class Normalize(_Step):
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
        dtype, channels = _floating(images), _size(images, self, anywhere=True)[0]
        for values in (self.mean, self.std):
            if len(values) not in (1, channels):
                raise ShapeError(f"{self!r}: expected images of {len(values)} channels; got shape {images.shape}")
        xp = backend.module_of(images)
        mean, std = (xp.asarray(np.array(values, dtype)[:, None, None]) for values in (self.mean, self.std))
        out = xp.subtract(images, mean, dtype=dtype)
        out /= std
        return out


class MeanImage(_Step):
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
    def of(cls, source: Source, progress: bool | None = None) -> MeanImage:
        """The mean of all inputs of a source, added up in float64, a few hundred at a time.

        Args:
            progress: show a progress bar; None shows it in a terminal or a notebook, if it takes more than a second.
        """
        check_source(source, "MeanImage: expected a Dataset")
        if len(source) == 0:
            raise ValueError("MeanImage: expected at least one example; the data set is empty")
        total: Any = 0.0
        with Bar(progress, len(source), label="mean image") as bar:
            for start in range(0, len(source), CHUNK):
                images, _ = source.take(np.arange(start, min(start + CHUNK, len(source))))
                total = total + backend.to_numpy(images).sum(axis=0, dtype=np.float64)
                bar.advance(len(images))
        return cls(total / len(source))

    def __call__(self, images: Any, rng: Any = None) -> Any:
        dtype = _floating(images)
        if images.shape[1:] != self.mean.shape:
            raise ShapeError(f"{self!r}: expected images of that shape, before any crop; got {images.shape}")
        xp = backend.module_of(images)
        return xp.subtract(images, xp.asarray(self.mean.astype(dtype)), dtype=dtype)

    def __repr__(self) -> str:
        return f"MeanImage(mean of shape {self.mean.shape})"


class CenterCrop(_Step):
    """The middle of every image, a view; where it cannot be exact, one pixel nearer to the top and the left.

    Args:
        size: of what is left: a number, or (height, width).
    """

    size = Setting(pair, 1)

    def __init__(self, size: int | tuple[int, int]) -> None:
        self.size = size

    def __call__(self, images: Any, rng: Any = None) -> Any:
        top, left = (extra // 2 for extra in _room(images, self.size, self))
        height, width = self.size
        return images[:, :, top : top + height, left : left + width]


class RandomCrop(_Step):
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
        _size(images, self)
        if any(self.padding):
            images = np.pad(images, [(0, 0), (0, 0), *((border, border) for border in self.padding)])
        room, n = _room(images, self.size, self), len(images)
        top, left = (_drawing(rng, self).integers(0, extra + 1, size=n) for extra in room)
        windows = np.lib.stride_tricks.sliding_window_view(images, self.size, axis=(2, 3))
        return windows[np.arange(n), :, top, left]  # (N, C, places, places, height, width): one place each


class RandomHorizontalFlip(_Step):
    """Every image by chance mirrored left to right.

    Args:
        p: the probability.
    """

    p = Setting(share)

    def __init__(self, p: float = 0.5) -> None:
        self.p = p

    def __call__(self, images: Any, rng: Any = None) -> Any:
        _size(images, self)
        mirrored = _drawing(rng, self).random(len(images)) < self.p
        out = images.copy()
        out[mirrored] = images[mirrored, :, :, ::-1]
        return out


def on_host_and_anywhere(transform: Transform) -> tuple[Transform | None, Transform | None]:
    """A transform in two: what has to run on the host, and the last steps, if they may run on any device."""
    steps = transform.transforms if type(transform) is Compose else [transform]
    cut = len(steps)
    while cut > 0 and type(steps[cut - 1]) in (ToFloat, Normalize, MeanImage):
        cut -= 1
    if cut == len(steps):
        return transform, None
    return Compose(steps[:cut]) if cut else None, Compose(steps[cut:])


def _size(images: Any, step: _Step, anywhere: bool = False) -> tuple[int, int, int]:
    """(C, H, W) of images that are known to be images, on the host or anywhere."""
    if not (backend.is_array(images) if anywhere else isinstance(images, np.ndarray)):
        raise DTypeError(f"{step!r}: expected images as a NumPy array; got {describe(images)}")
    if images.ndim != 4:
        raise ShapeError(
            f"{step!r}: expected images (N, C, H, W); got shape {images.shape}. If they are rows of pixels, "
            f"Dataset(d.images, d.labels) has them in that shape"
        )
    return images.shape[1], images.shape[2], images.shape[3]


def _room(images: Any, size: tuple[int, int], step: _Step) -> tuple[int, int]:
    """How many rows and columns the images have more than a window of `size`."""
    _, height, width = _size(images, step)
    if height < size[0] or width < size[1]:
        raise ShapeError(f"{step!r}: expected images of at least {size[0]}x{size[1]}; got {height}x{width}")
    return height - size[0], width - size[1]


def _floating(images: Any) -> Any:
    """The dtype that is computed in: its own for floating images, float32 for integers."""
    if not backend.is_array(images) or images.dtype.kind not in "fuib":
        raise DTypeError(f"expected images as an array of numbers; got {describe(images)}")
    return images.dtype if images.dtype.kind == "f" else np.dtype(np.float32)


def _drawing(rng: Any, step: _Step) -> Any:
    if rng is None:
        raise ValueError(
            f"{step!r} draws at random and was given no generator: use it as Loader(..., transform=...), "
            f"or call it with (images, numpy.random.default_rng(seed))"
        )
    return rng


def __getattr__(name: str) -> Any:
    raise missing_name(__name__, name)


def __dir__() -> list[str]:
    return __all__


add_examples(globals(), "transforms")
