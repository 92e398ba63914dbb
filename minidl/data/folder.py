"""ImageFolder: the images in a folder or archive, one folder a class, read when they are asked for."""

from __future__ import annotations

import io
import math
from collections.abc import Iterator
from contextlib import contextmanager
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np

from minidl.data.archive import members_of
from minidl.data.dataset import Dataset, is_whole
from minidl.data.progress import Bar
from minidl.errors import ShapeError
from minidl.files.reading import as_damage, naming
from minidl.files.writing import path_of

KINDS = (".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".bmp", ".gif", ".webp", ".tif", ".tiff", ".ppm", ".pgm")
_MODES = {1: "L", 3: "RGB"}  # Pillow's words


class ImageFolder:
    """Images laid out as CLASS/NAME.jpg or CLASS/anything/NAME.jpg; an image is decoded when it is asked for.

        photographs = ImageFolder("photographs/train", size=32)
        for inputs, labels in Loader(photographs, batch_size=128): ...
        dataset = photographs.load()            # or all of them in memory

    The folder may lie in an archive, and the path then goes on inside it: "photographs.tar/train". Nothing is unpacked
    to the disk. Out of a .zip or an uncompressed .tar images are read one at a time; a compressed .tar cannot be read
    out of order, so that its images (as they are, not decoded) are all taken into memory at the start. Links are
    followed in folders, and refused in archives, as are sparse files in a .tar and LZMA in a .zip. Files of other kinds
    than images are passed over.

    A picture is taken as its pixels lie in the file: not turned as its EXIF data say, without its transparency (the
    colour below shows), and the first only of a file that holds several.

    Attributes:
        classes: the names of the class folders, sorted.
        labels: (N,) int64, the class of each image. Images are sorted by class and then by name.
        names: the path of each image inside the folder.
        image_shape: (channels, height, width) of every image.

    Args:
        path: the folder, an archive (.zip, .tar, .tar.gz, .tar.bz2, .tar.xz), or a folder in one.
        size: side length, or (height, width), that every image is brought to: scaled until it just covers that, then
            cut to it around the middle. None leaves images as they are; they must then be all of one size.
        channels: 3 for red, green, blue; 1 for grey.

    Raises:
        FileNotFoundError: there is no such folder or archive.
        ValueError: there are no images in class folders, or a class has none; size or channels cannot be; the archive
            is damaged; all images lie a folder too deep; or (`take`, `load`) an image cannot be decoded, is no regular
            file, or has more than 256 MiB. The message names it.
        OSError: the folder or archive, or (`take`, `load`) an image, cannot be read.
        MemoryError: there is too little memory. A note names the file.
        ShapeError: (`take`, `load`) images differ in size and `size` is None.
    """

    def __init__(self, path: str | PathLike[str], size: int | tuple[int, int] | None = None, channels: int = 3) -> None:
        if not is_whole(channels) or channels not in _MODES:
            raise ValueError(f"ImageFolder: expected channels=3 (red, green, blue) or 1 (grey); got {channels!r}")
        sides = size if size is None or isinstance(size, tuple) else (size, size)
        if sides is not None and not (len(sides) == 2 and all(is_whole(side) and side > 0 for side in sides)):
            raise ValueError(f"ImageFolder: expected size as pixels, a number or (height, width); got {size!r}")
        self.path = Path(path_of(path)).absolute()  # images are read later, when the program may be in another folder
        self._channels = channels
        self._sides = sides
        self._places, folders, self._read = members_of(self.path, _is_image)
        self.names = sorted(self._places, key=lambda name: name.split("/"))
        if not self.names:
            raise ValueError(
                f"{self.path}: expected images ({', '.join(KINDS)}) in a folder for each class, as in CLASS/NAME.jpg; "
                f"found none"
            )
        classes, labels = np.unique([name.split("/")[0] for name in self.names], return_inverse=True)
        self.classes: tuple[str, ...] = tuple(classes.tolist())
        self.labels: Any = labels.astype(np.int64)
        self._refuse_other_layouts(folders)
        if sides is None:
            sides = self._decoded(0).shape[1:]
        self.image_shape = (channels, *sides)

    def _refuse_other_layouts(self, folders: set[str]) -> None:
        """A class without images would be left out, and all classes after it would get other numbers."""
        if empty := sorted(folder for folder in folders.difference(self.classes) if _is_visible(folder)):
            raise ValueError(f"{self.path}: expected images in every class folder; {', '.join(empty)} has none")
        if len(self.classes) == 1 and all(name.count("/") > 1 for name in self.names):
            raise ValueError(
                f"{self.path}: expected a folder for each class; got a single one, in whose folders all images lie, as "
                f"{self.names[0]}: if those are the classes, the path is {self.path / self.classes[0]}"
            )

    def __len__(self) -> int:
        return len(self.names)

    def take(self, indices: Any) -> tuple[Any, Any]:
        """The images `indices`, (n,) integers, as (n, channels, height, width) uint8, and their labels (n,) int64."""
        chosen = np.arange(len(self))[indices]
        inputs = np.empty((len(chosen), *self.image_shape), np.uint8)
        for row, i in enumerate(chosen):
            inputs[row] = self._image(i)
        return inputs, self.labels[chosen]

    def load(self, progress: bool | None = None) -> Dataset:
        """All images in memory, uint8.

        Args:
            progress: show a progress bar; None shows it in a terminal or a notebook, if it takes more than a second.
        """
        with naming(self.path, len(self) * math.prod(self.image_shape)):
            inputs = np.empty((len(self), *self.image_shape), np.uint8)
        with Bar(progress, len(self), label=f"reading {self.path.name}") as bar:
            for i in range(len(self)):
                inputs[i] = self._image(i)
                bar.advance()
        return Dataset(inputs, self.labels.copy(), self.image_shape, self.classes)

    def _image(self, i: int) -> Any:
        """Image i, (channels, height, width) uint8, of the size all have."""
        image = self._decoded(i)
        if image.shape != self.image_shape:
            raise ShapeError(
                f"{self.path / self.names[i]} (image {i}) is of shape {image.shape} (channels, height, width) and the "
                f"first of {self.image_shape}: pass size=, to which all are brought"
            )
        return image

    def _decoded(self, i: int) -> Any:
        """Image i, (channels, height, width) uint8, scaled if `size` was given."""
        from PIL import Image, UnidentifiedImageError

        path = self.path / self.names[i]
        with _advising(), as_damage(path, f"(image {i}) cannot be decoded"):
            content = self._read(self._places[self.names[i]])
            try:
                with Image.open(io.BytesIO(content)) as image:
                    if image.mode[0] in "IF":
                        raise ValueError(f"expected 8 bits a channel; got Pillow's mode {image.mode}")
                    with naming(path, math.prod(image.size) * self._channels):
                        picture = image.convert(_MODES[self._channels])
            except UnidentifiedImageError as error:
                raise ValueError("it is no image") from error
            except OSError as error:
                if "out of memory" in str(error):  # what Pillow's decoders make of it
                    raise MemoryError(str(error)) from error
                raise
        if self._sides is not None:
            picture = _fitted(picture, *self._sides)
        pixels = np.asarray(picture)
        return pixels[None] if pixels.ndim == 2 else pixels.transpose(2, 0, 1)

    def __repr__(self) -> str:
        return f"ImageFolder({len(self)} images {self.image_shape} uint8, {len(self.classes)} classes, {self.path})"


@contextmanager
def _advising() -> Iterator[None]:
    """A ValueError raised inside gets a note that says what to do about the file."""
    try:
        yield
    except ValueError as error:
        error.add_note("Replace the file, or delete it: the others do not need it")
        raise


def _fitted(picture: Any, height: int, width: int) -> Any:
    """The largest middle part that has the proportions of height x width, scaled to that size."""
    from PIL import Image

    if picture.size == (width, height):
        return picture
    scale = min(picture.width / width, picture.height / height)
    left, top = (picture.width - scale * width) / 2, (picture.height - scale * height) / 2
    box = (left, top, left + scale * width, top + scale * height)
    return picture.resize((width, height), Image.Resampling.BILINEAR, box)


def _is_visible(name: str) -> bool:
    return not name.startswith((".", "__MACOSX"))


def _is_image(name: str) -> bool:
    """Whether this is the name of an image in a class folder."""
    *folders, file = name.split("/")
    return bool(folders) and file.lower().endswith(KINDS) and all(map(_is_visible, [*folders, file]))
