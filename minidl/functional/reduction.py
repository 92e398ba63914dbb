"""Reductions along axes: sum, mean, var, max, min, logsumexp. Names and arguments are NumPy's."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from minidl.autograd import Function
from minidl.backend import module_of
from minidl.functional.exponential import exp
from minidl.functional.shape import broadcast_to

Axis = int | Sequence[int] | None


class _Reduction(Function):
    """Keeps which axes were reduced, so that a gradient can be spread over them again."""

    __slots__ = ("axis", "in_shape", "keepdims")

    def __init__(self, axis: Axis, keepdims: bool) -> None:
        self.axis = axis if axis is None or isinstance(axis, int) else tuple(int(a) for a in axis)
        self.keepdims = keepdims

    def restore_axes(self, reduced: Any) -> Any:
        """`reduced` (a result or its gradient) with the reduced axes back as length 1, ready to broadcast."""
        if self.keepdims:
            return reduced
        ndim = len(self.in_shape)
        axes = range(ndim) if self.axis is None else (self.axis,) if isinstance(self.axis, int) else self.axis
        gone = {a % ndim for a in axes}
        return reduced.reshape(tuple(1 if i in gone else n for i, n in enumerate(self.in_shape)))

    def count(self) -> int:
        """How many numbers went into each result."""
        if self.axis is None:
            return math.prod(self.in_shape)
        axes = (self.axis,) if isinstance(self.axis, int) else self.axis
        return math.prod(self.in_shape[a] for a in axes)


class Sum(_Reduction):
    """s = sum of x_i, so ds/dx_i = 1."""

    __slots__ = ()

    def forward(self, x: Any) -> Any:
        self.in_shape = x.shape
        if x.dtype == np.float16:  # a running sum in float16 would stop growing at 2048
            return x.sum(axis=self.axis, keepdims=self.keepdims, dtype=np.float32).astype(np.float16)
        return x.sum(axis=self.axis, keepdims=self.keepdims)

    def backward(self, grad_out: Any) -> Any:
        return broadcast_to(self.restore_axes(grad_out), self.in_shape)


def sum(x: Any, axis: Axis = None, keepdims: bool = False) -> Any:
    """The sum over `axis` (one, several, or None for all)."""
    return Sum(axis, keepdims)(x)


class Mean(_Reduction):
    """m = sum of x_i / n, so dm/dx_i = 1/n."""

    __slots__ = ()

    def forward(self, x: Any) -> Any:
        self.in_shape = x.shape
        return x.mean(axis=self.axis, keepdims=self.keepdims)

    def backward(self, grad_out: Any) -> Any:
        return broadcast_to(self.restore_axes(grad_out) / (self.count() or 1), self.in_shape)


def mean(x: Any, axis: Axis = None, keepdims: bool = False) -> Any:
    """The arithmetic mean over `axis`."""
    return Mean(axis, keepdims)(x)


class Var(_Reduction):
    """v = sum of (x_i - m)^2 / (n - ddof), so dv/dx_i = 2 (x_i - m) / (n - ddof)."""

    saves_inputs = True
    __slots__ = ("ddof",)

    def __init__(self, axis: Axis, keepdims: bool, ddof: int) -> None:
        super().__init__(axis, keepdims)
        self.ddof = ddof

    def forward(self, x: Any) -> Any:
        self.in_shape = x.shape
        return x.var(axis=self.axis, keepdims=self.keepdims, ddof=self.ddof)

    def backward(self, grad_out: Any, x: Any) -> Any:
        centred = x - x.mean(axis=self.axis, keepdims=True)
        freedom = self.count() - self.ddof
        scale = 2 / freedom if freedom > 0 else math.nan
        return self.restore_axes(grad_out) * (scale * centred)


def var(x: Any, axis: Axis = None, keepdims: bool = False, ddof: int = 0) -> Any:
    """The variance over `axis`, divided by n - ddof (NumPy's default ddof=0; PyTorch's is 1)."""
    return Var(axis, keepdims, ddof)(x)


class _ReduceExtremum(_Reduction):
    """The extreme value along axes. Several equal ones share its gradient evenly."""

    saves_inputs = True
    saves_output = True
    __slots__ = ()

    def backward(self, grad_out: Any, x: Any, out: Any) -> Any:
        out = self.restore_axes(out)
        chosen = (x == out) | ((x != x) & (out != out))  # a NaN is what max and min return, but equals nothing
        share = chosen.astype(grad_out.dtype)
        return self.restore_axes(grad_out) * (share / share.sum(axis=self.axis, keepdims=True))


class Max(_ReduceExtremum):
    """m = max of x_i."""

    __slots__ = ()

    def forward(self, x: Any) -> Any:
        self.in_shape = x.shape
        return x.max(axis=self.axis, keepdims=self.keepdims)


class Min(_ReduceExtremum):
    """m = min of x_i."""

    __slots__ = ()

    def forward(self, x: Any) -> Any:
        self.in_shape = x.shape
        return x.min(axis=self.axis, keepdims=self.keepdims)


def max(x: Any, axis: Axis = None, keepdims: bool = False) -> Any:
    """The largest value over `axis`; equal largest ones share the gradient evenly."""
    return Max(axis, keepdims)(x)


def min(x: Any, axis: Axis = None, keepdims: bool = False) -> Any:
    """The smallest value over `axis`; equal smallest ones share the gradient evenly."""
    return Min(axis, keepdims)(x)


class LogSumExp(_Reduction):
    """s = ln sum of e^x_i, so ds/dx_i = e^(x_i - s), the softmax. The maximum is taken out first: no overflow."""

    saves_inputs = True
    saves_output = True
    __slots__ = ()

    def forward(self, x: Any) -> Any:
        xp = module_of(x)
        self.in_shape = x.shape
        if x.size == 0:  # there is no maximum to take out; ln 0 = -inf where an axis is empty
            return xp.full_like(x.sum(axis=self.axis, keepdims=self.keepdims), -math.inf)
        peak = x.max(axis=self.axis, keepdims=True)
        peak = xp.where(xp.isfinite(peak), peak, 0)  # inf - inf would be NaN
        total = xp.log(xp.exp(x - peak).sum(axis=self.axis, keepdims=True)) + peak
        return total if self.keepdims else total.reshape(x.sum(axis=self.axis).shape)

    def backward(self, grad_out: Any, x: Any, out: Any) -> Any:
        return self.restore_axes(grad_out) * exp(x - self.restore_axes(out))


def logsumexp(x: Any, axis: Axis = None, keepdims: bool = False) -> Any:
    """ln(sum(exp(x))) over `axis`, without overflow."""
    return LogSumExp(axis, keepdims)(x)
