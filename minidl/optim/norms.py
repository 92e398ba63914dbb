"""The Euclidean norm of gradients that may be very small or very large, without waiting for the device."""

from __future__ import annotations

import functools
from collections.abc import Sequence

import numpy as np

from minidl.autograd.versions import Versioned, chosen
from minidl.backend import hypot, module_of
from minidl.types import Array


class L2Norm(Versioned):
    """||a||_2 = sqrt(sum of a_i^2) over all elements of some arrays together."""

    @staticmethod
    def of(arrays: Sequence[Array]) -> Array:
        """The norm: a 0-d float64 number on the arrays' device."""
        return joined([norm_of_one(a) for a in arrays])


def norm_of_one(a: Array) -> Array:
    """sqrt(sum of a_i^2) in float64, which holds the square of every float16 and float32 number.

    float64 numbers are divided by the largest of them first, because it does not hold the squares of all of those.
    """
    xp = module_of(a)
    if a.size == 0:
        return xp.zeros((), dtype=np.float64)
    if a.dtype != np.float64:
        return xp.sqrt(xp.square(a, dtype=np.float64).sum())
    largest = abs(a).max()
    scale = xp.where((largest > 0) & (largest < np.inf), largest, 1.0)
    return scale * xp.sqrt(xp.square(a / scale).sum())


def joined(norms: Sequence[Array]) -> Array:
    """The norm of several parts together from the norm of each, sqrt(n_1^2 + n_2^2 + ...). Of no parts it is 0."""
    return functools.reduce(hypot, norms) if norms else np.zeros(())


def l2_norm(arrays: Sequence[Array]) -> Array:
    """||a||_2 over all elements of `arrays` together: a 0-d float64 number on their device. Of no arrays it is 0.

    No square underflows or overflows: 1e-25 in float32 has the square 1e-50, which float32 cannot hold. Infinity and
    NaN stay visible. Nothing waits for the device.
    """
    return chosen(L2Norm, arrays).of(arrays) if arrays else np.zeros(())
