"""Tensor's methods that are named as NumPy's: x.sum(), x.reshape(2, 3). Each is a call into `minidl.functional`."""

from __future__ import annotations

from typing import Any, Self

import numpy as np

from minidl import backend
from minidl import functional as F
from minidl.tensors.array import ArrayOfTensor


class NumPyMethods(ArrayOfTensor):
    """The part of Tensor that computes with all of the array, by the names that NumPy's arrays have for it."""

    __slots__ = ()

    @property
    def T(self) -> Self:  # noqa: N802 - NumPy's name
        """The axes reversed."""
        return F.transpose(self)

    def sum(self, axis: Any = None, keepdims: bool = False) -> Self:
        """The sum over `axis`."""
        return F.sum(self, axis, keepdims)

    def mean(self, axis: Any = None, keepdims: bool = False) -> Self:
        """The mean over `axis`."""
        return F.mean(self, axis, keepdims)

    def cumsum(self, axis: int | None = None) -> Self:
        """The running sum along `axis`, or of all elements flattened."""
        return F.cumsum(self, axis)

    def var(self, axis: Any = None, keepdims: bool = False, ddof: int = 0) -> Self:
        """The variance over `axis`, divided by n - ddof."""
        return F.var(self, axis, keepdims, ddof)

    def max(self, axis: Any = None, keepdims: bool = False) -> Self:
        """The largest value over `axis`; equal ones share the gradient."""
        return F.max(self, axis, keepdims)

    def min(self, axis: Any = None, keepdims: bool = False) -> Self:
        """The smallest value over `axis`; equal ones share the gradient."""
        return F.min(self, axis, keepdims)

    def argmax(self, axis: int | None = None) -> Self:
        """Where the largest value is (the first of equal ones); integers, without gradient."""
        return self.wrap(backend.asarray(self.shown().argmax(axis=axis)))

    def argmin(self, axis: int | None = None) -> Self:
        """Where the smallest value is (the first of equal ones); integers, without gradient."""
        return self.wrap(backend.asarray(self.shown().argmin(axis=axis)))

    def any(self, axis: Any = None) -> Self:
        """Whether some element is true."""
        return self.wrap(backend.asarray(self.shown().any(axis=axis)))

    def all(self, axis: Any = None) -> Self:
        """Whether every element is true."""
        return self.wrap(backend.asarray(self.shown().all(axis=axis)))

    def reshape(self, *shape: Any) -> Self:
        """Under another shape: reshape(2, 3), reshape((2, 3)), reshape(-1)."""
        return F.reshape(self, shape[0] if len(shape) == 1 else shape)

    def flatten(self, start_axis: int = 0) -> Self:
        """The axes from `start_axis` on merged into one."""
        return F.flatten(self, start_axis)

    def transpose(self, *axes: Any) -> Self:
        """The axes in another order: transpose(), transpose(1, 0, 2), transpose((1, 0, 2))."""
        if len(axes) == 1 and not isinstance(axes[0], (int, np.integer)):
            axes = axes[0]
        return F.transpose(self, axes or None)

    def swapaxes(self, axis1: int, axis2: int) -> Self:
        """Two axes exchanged."""
        return F.swapaxes(self, axis1, axis2)

    def clip(self, low: Any = None, high: Any = None) -> Self:
        """Limited to [low, high]."""
        return F.clip(self, low, high)
