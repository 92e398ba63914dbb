"""Names for what a signature means.

Arrays are NumPy's or CuPy's, which no type checker can tell apart: to it most of these are Any.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypeAlias

import numpy as np

Array: TypeAlias = Any  # a raw array, NumPy's or CuPy's
TensorLike: TypeAlias = Any  # a Tensor, a raw array, a number, or nested lists of numbers: what an op can be called on
ArrayOrTensor: TypeAlias = Any  # what a backward is handed and returns: raw arrays, or Tensors under create_graph=True
Gradients: TypeAlias = Any  # what a backward returns: one ArrayOrTensor, or a tuple with one for each input
Shape: TypeAlias = tuple[int, ...]  # the lengths of the axes
ShapeLike: TypeAlias = int | Sequence[int]  # how a user may write a shape
Axis: TypeAlias = int | Sequence[int] | None  # one axis, several, or all
DTypeLike: TypeAlias = Any  # what numpy.dtype takes: np.float32, "float32"
DType: TypeAlias = np.dtype[Any]
ArrayModule: TypeAlias = Any  # the module numpy or cupy, usually called xp
