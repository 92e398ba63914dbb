"""Windows: crops and mirrorings of a batch that are decided first and done afterwards, each pixel moved once.

One after the other, subtracting a mean image, cropping and mirroring write three batches, and most of their time goes
into the memory they need. Here each step only says where it looks, and then every image is read once and written once.
The numbers are the same, bit for bit, since what is computed of a pixel does not depend on when it is moved.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np


class Windows:
    """The part of each image that is left, and whether it is mirrored; at first all of it, as it is.

    Attributes:
        size: (height, width) of every part.
        top, left: (N,) where it begins in the image.
        mirrored: (N,) whether it is turned left to right.
    """

    def __init__(self, images: Any) -> None:
        self._images = images
        self.size: tuple[int, int] = images.shape[2:]
        self.top, self.left = np.zeros((2, len(images)), np.int64)
        self.mirrored = np.zeros(len(images), bool)

    @property
    def shape(self) -> tuple[int, ...]:
        """(N, C, height, width) of what is left."""
        return (*self._images.shape[:2], *self.size)

    def crop(self, top: Any, left: Any, size: tuple[int, int]) -> None:
        """Keep windows of `size` that begin at `top` and `left` of what is seen: (N,) numbers, or one for all."""
        behind = self.size[1] - size[1] - left  # in a mirrored image the left edge lies on the right
        self.top = self.top + top
        self.left = self.left + np.where(self.mirrored, behind, left)
        self.size = size

    def mirror(self, which: Any) -> None:
        """Turn those images left to right for which `which`, (N,) truth values, is true."""
        self.mirrored = self.mirrored ^ which

    def pixels(self, mean: Any = None, empty: Callable[..., Any] = np.empty) -> Any:
        """(N, C, height, width) what is seen, less the same window of `mean`, an image of the size all have at first.

        Args:
            mean: (C, H, W) in the dtype that is wanted; None subtracts nothing and keeps the images' dtype.
            empty: makes the array that is returned, as `numpy.empty(shape, dtype)` does.
        """
        dtype = self._images.dtype if mean is None else mean.dtype
        out = empty(self.shape, dtype)
        turning = np.empty(self.shape[1:], dtype)  # one image is turned while it lies in the processor's cache
        height, width = self.size
        for i, (top, left, mirrored) in enumerate(zip(self.top, self.left, self.mirrored, strict=True)):
            window = np.s_[:, top : top + height, left : left + width]
            target = turning if mirrored else out[i]
            target[...] = self._images[i][window]
            if mean is not None:
                target -= mean[window]
            if mirrored:
                out[i] = turning[:, :, ::-1]
        return out
