"""Reductions along axes: sum, mean, var, max, min, logsumexp. Names and arguments are NumPy's.

`axis` is one axis, several, or None for all; negative ones count from the end; `keepdims=True` leaves the reduced
axes in place with length 1. An axis that is not there is an AxisError.

>>> import minidl as md
>>> x = md.tensor([[1.0, 5.0], [5.0, 2.0]], requires_grad=True)
>>> x.max().backward()  # the two largest share the gradient
>>> x.grad
Tensor([[0. , 0.5],
        [0.5, 0. ]])
"""

from __future__ import annotations

import math
from typing import Any

from minidl.autograd import Function
from minidl.backend import module_of
from minidl.functional.axes import Axis, all_axes
from minidl.functional.exponential import exp
from minidl.functional.precision import add_up, narrowed, widened
from minidl.functional.shape import broadcast_to


class _Reduction(Function):
    """Keeps which axes were reduced, so that a gradient can be spread over them again."""

    __slots__ = ("axis", "in_shape", "keepdims")

    def __init__(self, axis: Axis, keepdims: bool) -> None:
        self.axis: Any = axis
        self.keepdims = keepdims

    def look_at(self, x: Any) -> None:
        """Note x's shape, and `axis` as a tuple counted from the front (None stays: NumPy is fastest with it)."""
        self.in_shape = x.shape
        if self.axis is not None:
            self.axis = all_axes(self.axis, x.ndim)

    def restore_axes(self, reduced: Any) -> Any:
        """`reduced` (a result or its gradient) with the reduced axes back as length 1, ready to broadcast."""
        if self.keepdims:
            return reduced
        gone = range(len(self.in_shape)) if self.axis is None else self.axis
        return reduced.reshape(tuple(1 if i in gone else n for i, n in enumerate(self.in_shape)))

    def count(self) -> int:
        """How many numbers went into each result."""
        return math.prod(self.in_shape if self.axis is None else [self.in_shape[a] for a in self.axis])


class Sum(_Reduction):
    """s = sum of x_i, so ds/dx_i = 1."""

    __slots__ = ()

    def forward(self, x: Any) -> Any:
        self.look_at(x)
        return add_up(x, self.axis, self.keepdims)

    def backward(self, grad_out: Any) -> Any:
        return broadcast_to(self.restore_axes(grad_out), self.in_shape)


def sum(x: Any, axis: Axis = None, keepdims: bool = False) -> Any:
    """The sum over `axis`; 0 of no numbers."""
    return Sum(axis, keepdims)(x)


class Mean(_Reduction):
    """m = sum of x_i / n, so dm/dx_i = 1/n."""

    __slots__ = ()

    def forward(self, x: Any) -> Any:
        self.look_at(x)
        return narrowed(add_up(widened(x), self.axis, self.keepdims) / self.count(), x)

    def backward(self, grad_out: Any) -> Any:
        share = narrowed(widened(grad_out) / (self.count() or 1), grad_out)
        return broadcast_to(self.restore_axes(share), self.in_shape)


def mean(x: Any, axis: Axis = None, keepdims: bool = False) -> Any:
    """The arithmetic mean over `axis`; NaN of no numbers."""
    return Mean(axis, keepdims)(x)


class Var(_Reduction):
    """v = sum of (x_i - m)^2 / (n - ddof), so dv/dx_i = 2 (x_i - m) / (n - ddof)."""

    saves_inputs = True
    __slots__ = ("ddof",)

    def __init__(self, axis: Axis, keepdims: bool, ddof: int) -> None:
        super().__init__(axis, keepdims)
        self.ddof = ddof

    def forward(self, x: Any) -> Any:
        self.look_at(x)
        wide = widened(x)
        centred = wide - add_up(wide, self.axis, keepdims=True) / self.count()
        return narrowed(add_up(centred * centred, self.axis, self.keepdims) / self.freedom(), x)

    def backward(self, grad_out: Any, x: Any) -> Any:
        wide = widened(x)
        centred = wide - sum(wide, self.axis, keepdims=True) / self.count()
        scale = 2 / self.freedom() if self.freedom() else math.nan
        return narrowed(self.restore_axes(widened(grad_out)) * (scale * centred), x)

    def freedom(self) -> int:
        """The degrees of freedom; over 0 of them the variance is infinite, or NaN if all numbers are equal."""
        left = self.count() - self.ddof
        return left if left > 0 else 0


def var(x: Any, axis: Axis = None, keepdims: bool = False, ddof: int = 0) -> Any:
    """The variance over `axis`, divided by n - ddof (NumPy's default ddof=0; PyTorch's is 1).

    NaN or infinity, with a gradient of NaN, where n <= ddof: so few numbers have no such variance.
    """
    return Var(axis, keepdims, ddof)(x)


class _ReduceExtremum(_Reduction):
    """The extreme value along axes. Several equal ones share its gradient evenly."""

    saves_inputs = True
    saves_output = True
    __slots__ = ()

    def backward(self, grad_out: Any, x: Any, out: Any) -> Any:
        out = self.restore_axes(out)
        chosen = (x == out) | ((x != x) & (out != out))  # a NaN is what max and min return, but equals nothing
        share = widened(chosen.astype(grad_out.dtype))
        return narrowed(self.restore_axes(widened(grad_out)) * (share / sum(share, self.axis, keepdims=True)), x)


class Max(_ReduceExtremum):
    """m = max of x_i."""

    __slots__ = ()

    def forward(self, x: Any) -> Any:
        self.look_at(x)
        return x.max(axis=self.axis, keepdims=self.keepdims)


class Min(_ReduceExtremum):
    """m = min of x_i."""

    __slots__ = ()

    def forward(self, x: Any) -> Any:
        self.look_at(x)
        return x.min(axis=self.axis, keepdims=self.keepdims)


def max(x: Any, axis: Axis = None, keepdims: bool = False) -> Any:
    """The largest value over `axis` (NaN if one is NaN); equal largest ones share the gradient evenly.

    Raises:
        ShapeError: there are no numbers, so there is no largest.
    """
    return Max(axis, keepdims)(x)


def min(x: Any, axis: Axis = None, keepdims: bool = False) -> Any:
    """The smallest value over `axis` (NaN if one is NaN); equal smallest ones share the gradient evenly.

    Raises:
        ShapeError: there are no numbers, so there is no smallest.
    """
    return Min(axis, keepdims)(x)


class LogSumExp(_Reduction):
    """s = ln sum of e^x_i, so ds/dx_i = e^(x_i - s), the softmax. The maximum is taken out first: no overflow."""

    saves_inputs = True
    saves_output = True
    __slots__ = ()

    def forward(self, x: Any) -> Any:
        self.look_at(x)
        xp = module_of(x)
        wide = widened(x)
        if x.size == 0:
            return narrowed(xp.log(xp.exp(wide).sum(axis=self.axis, keepdims=self.keepdims)), x)
        peak = wide.max(axis=self.axis, keepdims=True)
        peak = xp.where(xp.isfinite(peak), peak, 0)  # inf - inf would be NaN
        total = xp.exp(wide - peak).sum(axis=self.axis, keepdims=self.keepdims)
        return narrowed(xp.log(total) + peak.reshape(total.shape), x)

    def backward(self, grad_out: Any, x: Any, out: Any) -> Any:
        return self.restore_axes(grad_out) * exp(x - self.restore_axes(out))


def logsumexp(x: Any, axis: Axis = None, keepdims: bool = False) -> Any:
    """ln(sum(exp(x))) over `axis`, without overflow; -infinity of no numbers."""
    return LogSumExp(axis, keepdims)(x)
