"""Dataset: examples and what they should be turned into, side by side."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, NamedTuple

from minidl import backend
from minidl.errors import DTypeError, ShapeError, describe


@dataclass(frozen=True, eq=False)
class Dataset:
    """N examples: row i of `labels` belongs to row i of `inputs`.

    Attributes:
        inputs: (N, ...) NumPy (or CuPy) array, for the digits (N, 64) float32.
        labels: (N,) integer classes, or (N, ...) numbers to predict.
        image_shape: (channels, height, width) if an input is an image laid out as a row of pixels.

    Raises:
        DTypeError: one of the two is no array.
        ShapeError: they differ in N, or `image_shape` does not fit.
    """

    inputs: Any
    labels: Any
    image_shape: tuple[int, int, int] | None = None

    def __post_init__(self) -> None:
        for name, array in (("inputs", self.inputs), ("labels", self.labels)):
            if not backend.is_array(array):
                raise DTypeError(f"Dataset: expected a NumPy or CuPy array as {name}; got {describe(array)}")
            if array.ndim == 0:
                raise ShapeError(f"Dataset: expected {name} of shape (N, ...); got a single number, shape ()")
        if len(self.inputs) != len(self.labels):
            raise ShapeError(
                f"Dataset: expected one label for each input; got {len(self.inputs)} inputs of shape "
                f"{self.inputs.shape} and {len(self.labels)} labels of shape {self.labels.shape}"
            )
        if self.image_shape is not None:
            pixels = math.prod(self.image_shape)
            if len(self.image_shape) != 3 or self.inputs.shape[1:] != (pixels,):
                raise ShapeError(
                    f"Dataset: images of shape {self.image_shape} (channels, height, width) need inputs of "
                    f"shape (N, {pixels}); got {self.inputs.shape}"
                )

    def __len__(self) -> int:
        return len(self.inputs)

    @property
    def images(self) -> Any:
        """The inputs as (N, channels, height, width): a view, for convolutions and for looking at them."""
        if self.image_shape is None:
            raise ShapeError(
                "Dataset: these inputs are not known to be images; pass image_shape=(channels, height, width)"
            )
        return self.inputs.reshape(-1, *self.image_shape)

    def __repr__(self) -> str:
        return f"Dataset({len(self)} examples, inputs {self.inputs.shape[1:]} {self.inputs.dtype})"


class DataSplits(NamedTuple):
    """One set of examples in three parts that share none.

    Attributes:
        train: to learn from.
        validation: to choose rates and when to stop by.
        test: to report, and for nothing else.
    """

    train: Dataset
    validation: Dataset
    test: Dataset
