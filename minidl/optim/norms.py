"""The Euclidean norm of gradients that may be very small or very large, without waiting for the device."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import Any

import numpy as np

from minidl.backend import hypot, module_of
from minidl.fast.gpu import kernels

BLOCK = 1 << 16  # elements squared at a time: they and their squares stay in the processor's cache
DEVICE_BLOCK = 1 << 20  # and on a GPU, where a block is a few launches, so that no large array has to be made


def l2_norm(arrays: Sequence[Any]) -> Any:
    """||a||_2 over all elements of `arrays` together: a 0-d float64 number on their device.

    Computed in float64, so no square of a float16 or float32 element underflows (1e-25 in float32 has the square
    1e-50, which float32 cannot hold) or overflows; float64 elements are divided by the largest of them first.
    The parts are joined by hypot, which does neither. NaN and infinity stay visible. No arrays, or empty ones: 0.
    """
    if arrays and kernels.on_device(arrays[0]) and kernels.kernels_for(*arrays):
        return kernels.norm_of(arrays)
    return joined([norm for array in arrays for norm in _norms_of_blocks(array)], module_of(*arrays))


def joined(norms: Sequence[Any], xp: Any = np) -> Any:
    """The norm of parts from the norm of each, by hypot: no square underflows or overflows. Of none: 0 of `xp`'s."""
    if not norms:
        return xp.zeros((), dtype=np.float64)
    return functools.reduce(hypot, norms)


def _norms_of_blocks(array: Any) -> list[Any]:
    xp = module_of(array)
    flat, size = array.reshape(-1), BLOCK if xp is np else DEVICE_BLOCK
    return [_norm_of_block(flat[start : start + size], xp) for start in range(0, flat.size, size)]


def _norm_of_block(block: Any, xp: Any) -> Any:
    """Squared and summed by the array library, not by BLAS, whose threads make a dot product of this size slower than
    the step it belongs to, and its last bits depend on how many they are.
    """
    if block.dtype != np.float64:
        return xp.sqrt(xp.square(block, dtype=np.float64).sum())
    largest = abs(block).max()
    scale = xp.where((largest > 0) & (largest < np.inf), largest, 1.0)
    return scale * xp.sqrt(xp.square(block / scale).sum())
