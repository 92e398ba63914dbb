"""Tensor's methods that are named as NumPy's: x.sum(), x.reshape(2, 3). Each is a call into `minidl.functional`.

An option that PyTorch calls otherwise, such as `dim`, is answered there with the name it has here.
"""

from __future__ import annotations

from typing import Any, Never, Self

import numpy as np

from minidl import functional as F
from minidl.errors import ShapeError, describe, warn
from minidl.tensors.array import ArrayOfTensor


class NumPyMethods(ArrayOfTensor):
    """The part of Tensor that computes with all of the array, by the names that NumPy has for it."""

    __slots__ = ()

    # ---- along axes

    def sum(self, axis: Any = None, keepdims: bool = False, **unknown: Never) -> Self:
        """The sum over `axis`."""
        return F.sum(self, axis, keepdims, **unknown)

    def prod(self, axis: Any = None, keepdims: bool = False, **unknown: Never) -> Self:
        """The product over `axis`."""
        return F.prod(self, axis, keepdims, **unknown)

    def mean(self, axis: Any = None, keepdims: bool = False, **unknown: Never) -> Self:
        """The mean over `axis`."""
        return F.mean(self, axis, keepdims, **unknown)

    def var(self, axis: Any = None, keepdims: bool = False, ddof: int = 0, **unknown: Never) -> Self:
        """The variance over `axis`, divided by n - ddof."""
        return F.var(self, axis, keepdims, ddof, **unknown)

    def std(self, axis: Any = None, keepdims: bool = False, ddof: int = 0, **unknown: Never) -> Self:
        """The standard deviation over `axis`: the root of `var`."""
        return F.std(self, axis, keepdims, ddof, **unknown)

    def max(self, axis: Any = None, keepdims: bool = False, **unknown: Never) -> Self:
        """The largest value over `axis`; equal ones share the gradient."""
        return F.max(self, axis, keepdims, **unknown)

    def min(self, axis: Any = None, keepdims: bool = False, **unknown: Never) -> Self:
        """The smallest value over `axis`; equal ones share the gradient."""
        return F.min(self, axis, keepdims, **unknown)

    def argmax(self, axis: int | None = None, keepdims: bool = False, **unknown: Never) -> Self:
        """Where the largest value is (the first of equal ones); integers, without gradient."""
        return F.argmax(self, axis, keepdims, **unknown)

    def argmin(self, axis: int | None = None, keepdims: bool = False, **unknown: Never) -> Self:
        """Where the smallest value is (the first of equal ones); integers, without gradient."""
        return F.argmin(self, axis, keepdims, **unknown)

    def argsort(self, axis: int | None = -1, **unknown: Never) -> Self:
        """The places of the values in the order of their size; integers, without gradient."""
        return F.argsort(self, axis, **unknown)

    def any(self, axis: Any = None, keepdims: bool = False, **unknown: Never) -> Self:
        """Whether some element is true."""
        return F.any(self, axis, keepdims, **unknown)

    def all(self, axis: Any = None, keepdims: bool = False, **unknown: Never) -> Self:
        """Whether every element is true."""
        return F.all(self, axis, keepdims, **unknown)

    def cumsum(self, axis: int | None = None, **unknown: Never) -> Self:
        """The running sum along `axis`, or of all elements flattened."""
        return F.cumsum(self, axis, **unknown)

    def repeat(self, repeats: Any, axis: int | None = None) -> Self:
        """Each number `repeats` times, one after the other; `F.tile` repeats the whole."""
        return F.repeat(self, repeats, axis)

    def take(self, indices: Any, axis: int | None = None) -> Self:
        """What is at `indices` along `axis`, or in all elements flattened."""
        return F.take(self, indices, axis)

    # ---- shapes

    @property
    def T(self) -> Self:  # noqa: N802 - NumPy's name
        """The axes reversed."""
        return F.transpose(self)

    def reshape(self, *shape: Any) -> Self:
        """Under another shape: reshape(2, 3), reshape((2, 3)), reshape(-1)."""
        return F.reshape(self, shape[0] if len(shape) == 1 else shape)

    def flatten(self, start_axis: int = 0, end_axis: int = -1, **unknown: Never) -> Self:
        """The axes `start_axis` to `end_axis` merged into one."""
        return F.flatten(self, start_axis, end_axis, **unknown)

    def ravel(self) -> Self:
        """All numbers in one row."""
        return F.flatten(self)

    def squeeze(self, axis: Any = None, **unknown: Never) -> Self:
        """Without the axes of length 1, or without those that are named."""
        return F.squeeze(self, axis, **unknown)

    def transpose(self, *axes: Any) -> Self:
        """The axes in another order: transpose(), transpose(1, 0, 2), transpose((1, 0, 2))."""
        if len(axes) == 2:
            self._explain_pair(axes)
        if len(axes) == 1 and not isinstance(axes[0], (int, np.integer)):
            axes = axes[0]
        return F.transpose(self, axes or None)

    def _explain_pair(self, axes: tuple[int, int]) -> None:
        """Say it where two axes are named that are to be exchanged, as in PyTorch, and not an order of all axes."""
        exchange = f"x.swapaxes({axes[0]}, {axes[1]})"
        if self.ndim > 2:
            raise ShapeError(
                f"transpose takes the order of all {self.ndim} axes of {describe(self)}; got {axes}. To exchange two "
                f"write {exchange}"
            )
        if self.ndim == 2 and axes in ((0, 1), (-2, -1)):
            warn(
                f"x.transpose{axes} changes nothing: it is the order of all axes, as in NumPy. Write x.T or {exchange}"
            )

    def swapaxes(self, axis1: int, axis2: int) -> Self:
        """Two axes exchanged."""
        return F.swapaxes(self, axis1, axis2)

    # ---- matrices

    def dot(self, other: Any) -> Self:
        """self @ other; times it, if it is a number."""
        return F.dot(self, other)

    def diagonal(self, offset: int = 0, axis1: int = 0, axis2: int = 1) -> Self:
        """The diagonal of the matrix on two axes, as the last axis."""
        return F.diagonal(self, offset, axis1, axis2)

    def trace(self, offset: int = 0, axis1: int = 0, axis2: int = 1) -> Self:
        """The sum of the diagonal."""
        return F.trace(self, offset, axis1, axis2)

    # ---- each element

    def clip(self, low: Any = None, high: Any = None, **unknown: Never) -> Self:
        """Limited to [low, high]."""
        return F.clip(self, low, high, **unknown)

    def round(self, decimals: int = 0) -> Self:
        """With so many digits after the point."""
        return F.round(self, decimals)

    def abs(self) -> Self:
        """|x|."""
        return F.abs(self)

    def exp(self) -> Self:
        """e ** x."""
        return F.exp(self)

    def log(self) -> Self:
        """The natural logarithm."""
        return F.log(self)

    def sqrt(self) -> Self:
        """The square root."""
        return F.sqrt(self)

    def square(self) -> Self:
        """x * x."""
        return F.square(self)

    def sin(self) -> Self:
        """The sine."""
        return F.sin(self)

    def cos(self) -> Self:
        """The cosine."""
        return F.cos(self)

    def tanh(self) -> Self:
        """The hyperbolic tangent."""
        return F.tanh(self)

    def sigmoid(self) -> Self:
        """1 / (1 + e ** -x)."""
        return F.sigmoid(self)

    def relu(self) -> Self:
        """max(x, 0)."""
        return F.relu(self)
