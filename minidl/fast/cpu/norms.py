"""The Euclidean norm on the CPU, block by block."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from minidl.fast.versions import Faster
from minidl.optim import norms
from minidl.optim.norms import joined, norm_of_one
from minidl.types import Array

BLOCK = 1 << 16  # elements that are squared at a time: they and their squares stay in the processor's cache


class L2Norm(Faster, norms.L2Norm):
    """Squared and added up block by block, so that no square goes to memory.

    NumPy does both, and not BLAS: its threads make a dot product of this size slower than the step it belongs to, and
    its last bits depend on how many threads there are.
    """

    where = "on the CPU"

    @staticmethod
    def fits(norm: Any, arrays: Sequence[Array]) -> bool:
        return type(arrays[0]) is np.ndarray

    @staticmethod
    def of(arrays: Sequence[Array]) -> Array:
        if len(arrays) == 1 and arrays[0].size <= BLOCK:
            return norm_of_one(arrays[0])
        flat = [array.reshape(-1) for array in arrays]
        blocks = [x[start : start + BLOCK] for x in flat for start in range(0, max(1, x.size), BLOCK)]
        return joined([norm_of_one(block) for block in blocks])
