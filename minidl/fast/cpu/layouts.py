"""A copy that brings the channels of images together, where that would take the cache apart.

The channels of a pixel of (N, C, H, W) lie H*W numbers apart. Where that is 4 KiB, as in images of 32x32 pixels in
float32, or another large power of two, they all belong into the same few lines of the processor's first cache: each
drives another out before its neighbours, which came with it, are read. A copy then takes six times as long as one of
images of 30x30 pixels. So the channels are first copied to where they lie a little further apart.
"""

from __future__ import annotations

import numpy as np

from minidl.fast.cpu.threads import workspace
from minidl.types import Array, DType

WAY = 4096  # bytes after which addresses belong into the same lines of the first cache
CACHE = 8 * WAY  # bytes that it holds
LINE = 64  # bytes
SOME = 1 << 18  # bytes that are copied at a time


def copy_together(x: Array, out: Array) -> None:
    """out[...] = x for images (N, H, W, C), where the channels may lie apart in x and lie together in `out`."""
    if not collides(x) or out.strides[-1] != out.itemsize:
        out[...] = x
        return
    _, height, width, channels = x.shape
    band = min(height, max(1, SOME // (channels * width * x.itemsize)))
    apart = workspace("apart", (channels, band * width + LINE // x.itemsize), x.dtype)
    for image, target in zip(x, out, strict=True):
        for first in range(0, height, band):
            rows = slice(first, min(first + band, height))
            pixels = apart[:, : (rows.stop - first) * width].reshape((channels, -1, width))  # a view
            pixels[...] = image[rows].transpose(2, 0, 1)
            target[rows] = pixels.transpose(1, 2, 0)


def together(x: Array, dtype: DType) -> Array:
    """Images (N, H, W, C) in this order in memory and in this dtype; x itself where it is so."""
    if x.dtype == dtype and x.flags.c_contiguous:
        return x
    out = np.empty(x.shape, dtype)
    copy_together(x, out)
    return out


def collides(x: Array) -> bool:
    """Whether the lines of the channels of a pixel of x (N, H, W, C) do not all fit where they belong in the cache.

    Of numbers that lie s bytes apart, s being 2^k times an odd number and 2^k at least a line, WAY / 2^k lines of each
    way are used.
    """
    stride = abs(x.strides[-1])
    power = min(stride & -stride, WAY)
    return power >= LINE and x.shape[-1] * power > CACHE and x.size > 0
