"""The Euclidean norm on a GPU: one launch for all arrays of one dtype."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from minidl.fast.gpu import kernels
from minidl.fast.versions import Faster
from minidl.optim import norms
from minidl.optim.norms import joined
from minidl.types import Array


class L2Norm(Faster, norms.L2Norm):
    """The kernel of `kernels/norms.cu`, which loses no square either, of float64 numbers too."""

    where = "on a GPU"

    @staticmethod
    def fits(norm: Any, arrays: Sequence[Array]) -> bool:
        return all(kernels.on_device(array) for array in arrays)

    @staticmethod
    def of(arrays: Sequence[Array]) -> Array:
        by_dtype: dict[str, list[Array]] = {}
        for array in arrays:
            by_dtype.setdefault(array.dtype.char, []).append(array)
        return joined([kernels.norm_of(alike) for alike in by_dtype.values()])
