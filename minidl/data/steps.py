"""What all transforms are: a function of images and of a random generator; and what they ask of the images."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from minidl import backend
from minidl.checks import real
from minidl.data.dataset import is_whole
from minidl.errors import DTypeError, ShapeError, describe

Transform = Callable[[Any, Any], Any]  # (images, rng) -> images


def check_transform(value: Any, name: str) -> None:
    """Refuse what is no transform; `name` says whose it is."""
    if not callable(value) or isinstance(value, type):
        made = f": make one, {value.__name__}(...)" if isinstance(value, type) else ""
        raise TypeError(f"{name}: expected a transform, a function of (images, rng); got {value!r}{made}")


def transformed(images: Any, transform: Transform, rng: Any, empty: Callable[..., Any] = np.empty) -> Any:
    """What a transform makes of images, on the host, once it is known to be as many.

    One that has `into` is told where to write: into the array that empty(shape, dtype) makes.
    """
    images = backend.to_numpy(images)
    into = getattr(transform, "into", None)
    out = transform(images, rng) if into is None else into(empty, images, rng)
    if not isinstance(out, np.ndarray) or out.shape[:1] != images.shape[:1]:
        raise ShapeError(f"expected {transform!r} to return {len(images)} images, an array; got {describe(out)}")
    return out


def numbers(values: Any, name: str) -> tuple[float, ...]:
    """A number for each channel, or one for all, as a tuple."""
    return tuple(real(value, name) for value in np.atleast_1d(np.asarray(values)))


def pair(value: Any, name: str, minimum: int) -> tuple[int, int]:
    """(v, v) for a number v, or the pair itself."""
    both = tuple(value) if isinstance(value, (tuple, list)) else (value, value)
    if len(both) != 2 or not all(is_whole(v) and v >= minimum for v in both):
        raise ValueError(f"{name}: expected a whole number of at least {minimum}, or two of them; got {value!r}")
    return int(both[0]), int(both[1])


class Step:
    """Shows itself with its parameters, which are its attributes."""

    def __repr__(self) -> str:
        return f"{type(self).__name__}({', '.join(f'{name}={value!r}' for name, value in vars(self).items())})"


def size_of(images: Any, step: Step, anywhere: bool = False) -> tuple[int, int, int]:
    """(C, H, W) of images that are known to be images, on the host or anywhere."""
    if not (backend.is_array(images) if anywhere else isinstance(images, np.ndarray)):
        raise DTypeError(f"{step!r}: expected images as a NumPy array; got {describe(images)}")
    if images.ndim != 4:
        raise ShapeError(
            f"{step!r}: expected images (N, C, H, W); got shape {images.shape}. If they are rows of pixels, "
            f"Dataset(d.images, d.labels) has them in that shape"
        )
    return images.shape[1], images.shape[2], images.shape[3]


def room_in(shape: tuple[int, ...], size: tuple[int, int], step: Step) -> tuple[int, int]:
    """How many rows and columns images of a shape (N, C, H, W) have more than a window of `size`."""
    height, width = shape[2:]
    if height < size[0] or width < size[1]:
        raise ShapeError(
            f"{step!r}: expected images of at least {size[0]}x{size[1]}; got {height}x{width}. "
            f"ImageFolder(..., size=) brings files to a size"
        )
    return height - size[0], width - size[1]


def floating(images: Any) -> Any:
    """The dtype that is computed in: its own for floating images, float32 for integers."""
    if not backend.is_array(images) or images.dtype.kind not in "fuib":
        raise DTypeError(f"expected images as an array of numbers; got {describe(images)}")
    return images.dtype.newbyteorder("=") if images.dtype.kind == "f" else np.dtype(np.float32)


def drawing(rng: Any, step: Step) -> Any:
    """The generator, once it is known to be there."""
    if rng is None:
        raise ValueError(
            f"{step!r} draws at random and was given no generator: use it as Loader(..., transform=...), "
            f"or call it with (images, numpy.random.default_rng(seed))"
        )
    return rng
