"""Choosing by a mask on the CPU, without a branch for each number."""

from __future__ import annotations

import numpy as np

from minidl.fast.versions import Faster
from minidl.functional import masking
from minidl.types import Array


class Masked(Faster, masking.Masked):
    """The mask cuts the bits of the numbers."""

    __slots__ = ()
    where = "on the CPU, float dtypes"

    def fits(self, x: Array) -> bool:
        return type(x) is np.ndarray and x.dtype.kind == "f" and x.dtype.itemsize in (2, 4, 8)

    def forward(self, x: Array) -> Array:
        return zero_outside(self.mask, x)


def zero_outside(mask: Array, x: Array) -> Array:
    """x where the boolean `mask` holds and exactly 0 elsewhere, also where x is infinite or NaN.

    The two must broadcast to x's shape, and x be of 2, 4 or 8 bytes a number. NumPy's `where` guesses at every element
    which side comes next and is ten times slower than a product on a mask without pattern. So the mask becomes numbers
    whose bits are all 1 or all 0, and cuts the bits of x.
    """
    bits = np.dtype(f"i{x.dtype.itemsize}")
    return ((-mask.view(np.int8)).astype(bits) & x.view(bits)).view(x.dtype)
