"""Reductions along axes: mean, var, std, max, min, ptp, prod, logsumexp, norm; and cumsum. All are named as in NumPy.

`axis` is one axis, several, or None for all; negative ones count from the end; `keepdims=True` leaves the reduced
axes in place with length 1. An axis that is not there is an AxisError. `sum` is in broadcasting.py: the gradient of
every op that broadcasts is a sum.

>>> import minidl as md
>>> x = md.tensor([[1.0, 5.0], [5.0, 2.0]], requires_grad=True)
>>> x.max().backward()  # the two largest share the gradient
>>> x.grad
Tensor([[0. , 0.5],
        [0.5, 0. ]])
"""

from __future__ import annotations

import math
from typing import Any, Never

import numpy as np

from minidl.autograd.function import Function
from minidl.autograd.variable import Variable
from minidl.backend import at_hand, module_of, power
from minidl.checks import yes_or_no
from minidl.functional.arithmetic import absolute, sign, subtract
from minidl.functional.axes import all_axes, one_axis
from minidl.functional.broadcasting import Reduction, repeated, sum
from minidl.functional.masking import masked
from minidl.functional.precision import HALF, narrowed, widened
from minidl.functional.probabilities import Softmax
from minidl.functional.reshaping import array_like, flatten, reshape
from minidl.functional.selection import where
from minidl.functional.shape import astype, concatenate, pad, transpose
from minidl.habits.answers import unknown_option
from minidl.types import Array, ArrayOrTensor, Axis, Gradients, TensorLike


class Mean(Reduction):
    """m = sum of x_i / n, so dm/dx_i = 1/n."""

    __slots__ = ()

    def forward(self, x: Array) -> Array:
        self.note_shapes(x)
        return narrowed(self.add_up(widened(x), self.axis, self.keepdims) / self.count(), x)

    def backward(self, grad_out: ArrayOrTensor) -> Gradients:
        share = narrowed(widened(grad_out) / (self.count() or 1), grad_out)
        return repeated(share.reshape(self.kept_shape), self.in_shape)


def mean(x: TensorLike, axis: Axis = None, keepdims: bool = False, **unknown: Never) -> ArrayOrTensor:
    """The arithmetic mean over `axis`; NaN of no numbers. Of integers it is float64."""
    if unknown:
        raise unknown_option("F.mean(x)", unknown)
    return Mean(axis, keepdims)(x)


class Var(Reduction):
    """v = sum of (x_i - m)^2 / (n - ddof) with the mean m, so dv/dx_i = 2 (x_i - m) / (n - ddof)."""

    saves_inputs = True
    __slots__ = ("ddof",)

    def __init__(self, axis: Axis, keepdims: bool, ddof: int) -> None:
        super().__init__(axis, keepdims)
        self.ddof = ddof

    def forward(self, x: Array) -> Array:
        self.note_shapes(x)
        wide = widened(x)
        centred = wide - self.add_up(wide, self.axis, keepdims=True) / self.count()
        return narrowed(self.add_up(centred * centred, self.axis, self.keepdims) / self.freedom(), x)

    def backward(self, grad_out: ArrayOrTensor, x: ArrayOrTensor) -> Gradients:
        wide = widened(x)
        centred = wide - sum(wide, self.axis, keepdims=True) / self.count()
        scale = 2 / self.freedom() if self.freedom() else math.nan
        return narrowed(widened(grad_out).reshape(self.kept_shape) * (scale * centred), x)

    def freedom(self) -> int:
        """The degrees of freedom; over 0 of them the variance is infinite, or NaN if all numbers are equal."""
        left = self.count() - self.ddof
        return left if left > 0 else 0


def var(x: TensorLike, axis: Axis = None, keepdims: bool = False, ddof: int = 0, **unknown: Never) -> ArrayOrTensor:
    """The variance over `axis`, divided by n - ddof (NumPy's default ddof=0; PyTorch's is 1).

    NaN or infinity, with a gradient of NaN, where n <= ddof: so few numbers have no such variance.
    """
    if unknown:
        raise unknown_option("F.var(x)", unknown)
    return Var(axis, keepdims, ddof)(x)


class Std(Var):
    """s = sqrt(v) with the variance v, so ds/dx_i = (x_i - m) / ((n - ddof) s), taken for 0 where s = 0."""

    saves_output = True
    __slots__ = ()

    def forward(self, x: Array) -> Array:
        return module_of(x).sqrt(Var.forward(self, x))

    def backward(self, grad_out: ArrayOrTensor, x: ArrayOrTensor, out: ArrayOrTensor) -> Gradients:  # type: ignore[override]
        share = where(out == 0, 0, grad_out / (2 * where(out == 0, 1, out)))
        return Var.backward(self, share, x)


def std(x: TensorLike, axis: Axis = None, keepdims: bool = False, ddof: int = 0, **unknown: Never) -> ArrayOrTensor:
    """The standard deviation over `axis`, the root of `var` (NumPy's default ddof=0; PyTorch's is 1).

    Where all numbers are equal the gradient, which does not exist, is taken for 0, as in PyTorch.
    """
    if unknown:
        raise unknown_option("F.std(x)", unknown)
    return Std(axis, keepdims, ddof)(x)


class _ReduceExtremum(Reduction):
    """The extreme value along axes. Several equal ones share its gradient evenly."""

    saves_inputs = True
    saves_output = True
    __slots__ = ()

    def backward(self, grad_out: ArrayOrTensor, x: ArrayOrTensor, out: ArrayOrTensor) -> Gradients:
        out = out.reshape(self.kept_shape)
        chosen = (x == out) | ((x != x) & (out != out))  # a NaN is what max and min return, but equals nothing
        share = widened(chosen.astype(grad_out.dtype))
        parts = widened(grad_out).reshape(self.kept_shape) * (share / sum(share, self.axis, keepdims=True))
        return narrowed(masked(parts, chosen), x)  # an infinite gradient times a share of 0 would be NaN


class Max(_ReduceExtremum):
    """m = max of x_i."""

    __slots__ = ()

    def forward(self, x: Array) -> Array:
        self.note_shapes(x)
        return x.max(axis=self.axis, keepdims=self.keepdims)


class Min(_ReduceExtremum):
    """m = min of x_i."""

    __slots__ = ()

    def forward(self, x: Array) -> Array:
        self.note_shapes(x)
        return x.min(axis=self.axis, keepdims=self.keepdims)


def max(x: TensorLike, axis: Axis = None, keepdims: bool = False, **unknown: Never) -> ArrayOrTensor:
    """The largest value over `axis` (NaN if one is NaN); equal largest ones share the gradient evenly.

    Raises:
        TypeError: a second array stands where the axis should: `maximum` compares two.
        ShapeError: there are no numbers, so there is no largest.
    """
    if unknown:
        raise unknown_option("F.max(x)", unknown)
    _refuse_two("max", axis)
    return Max(axis, keepdims)(x)


def min(x: TensorLike, axis: Axis = None, keepdims: bool = False, **unknown: Never) -> ArrayOrTensor:
    """The smallest value over `axis` (NaN if one is NaN); equal smallest ones share the gradient evenly.

    Raises:
        TypeError: a second array stands where the axis should: `minimum` compares two.
        ShapeError: there are no numbers, so there is no smallest.
    """
    if unknown:
        raise unknown_option("F.min(x)", unknown)
    _refuse_two("min", axis)
    return Min(axis, keepdims)(x)


def _refuse_two(name: str, axis: Any) -> None:
    """Refuse a second array in the place of the axis."""
    if getattr(axis, "ndim", 0) > 0:
        raise TypeError(f"F.{name} takes an axis after x; for two arrays, element by element: write F.{name}imum(x, y)")


def ptp(x: TensorLike, axis: Axis = None, keepdims: bool = False, **unknown: Never) -> ArrayOrTensor:
    """The largest value less the smallest over `axis` ("peak to peak").

    Raises:
        ShapeError: there are no numbers.
    """
    if unknown:
        raise unknown_option("F.ptp(x)", unknown)
    return subtract(max(x, axis, keepdims), min(x, axis, keepdims))


def prod(x: TensorLike, axis: Axis = None, keepdims: bool = False, **unknown: Never) -> ArrayOrTensor:
    """The product over `axis`; 1 of no numbers. Of narrow integers it is int64 or uint64, as NumPy's.

    Halves are multiplied with each other until one number is left: the gradient, the product of all others, is then
    right also where some numbers are 0.
    """
    if unknown:
        raise unknown_option("F.prod(x)", unknown)
    keepdims = yes_or_no(keepdims, "prod: keepdims")
    x = array_like(x)
    if x.dtype.kind in "biu":
        x = astype(x, np.uint64 if x.dtype.kind == "u" else np.int64)
    axes = all_axes(axis, x.ndim)
    left = [i for i in range(x.ndim) if i not in axes]
    kept = [1 if i in axes else n for i, n in enumerate(x.shape)]
    count = math.prod(x.shape[i] for i in axes)
    factors = reshape(transpose(x, [*axes, *left]), (count, *[x.shape[i] for i in left]))
    if count == 0:
        factors = pad(factors, [(1, 0), *[(0, 0)] * len(left)], constant_values=1)
    while factors.shape[0] > 1:
        half = factors.shape[0] // 2
        odd = [factors[2 * half :]] if factors.shape[0] % 2 else []
        factors = concatenate([factors[:half] * factors[half : 2 * half], *odd])
    return reshape(factors, kept if keepdims else [x.shape[i] for i in left])


class LogSumExp(Reduction):
    """s = ln sum of e^x_i, so ds/dx_i = e^(x_i - s), the softmax. The maximum is taken out first: no overflow."""

    saves_inputs = True
    __slots__ = ()

    def forward(self, x: Array) -> Array:
        self.note_shapes(x)
        xp = module_of(x)
        wide = widened(x)
        if x.size == 0:
            return narrowed(xp.log(self.add_up(xp.exp(wide), self.axis, self.keepdims)), x)
        peak = wide.max(axis=self.axis, keepdims=True)
        peak = xp.where(xp.isfinite(peak), peak, 0)  # inf - inf would be NaN
        total = self.add_up(xp.exp(wide - peak), self.axis, self.keepdims)
        return narrowed(xp.log(total) + peak.reshape(total.shape), x)

    def backward(self, grad_out: ArrayOrTensor, x: ArrayOrTensor) -> Gradients:
        return grad_out.reshape(self.kept_shape) * Softmax(self.axis)(x)


def logsumexp(x: TensorLike, axis: Axis = None, keepdims: bool = False, **unknown: Never) -> ArrayOrTensor:
    """ln(sum(exp(x))) over `axis`, without overflow; -infinity of no numbers."""
    if unknown:
        raise unknown_option("F.logsumexp(x)", unknown)
    return LogSumExp(axis, keepdims)(x)


class Norm(Reduction):
    """n = (sum of |x_i|^p)^(1/p), so dn/dx_i = sign(x_i) (|x_i| / n)^(p-1), which for p = 2 is x_i / n.

    That is computed as m (sum of (|x_i| / m)^p)^(1/p) with the largest |x_i| for m: no power overflows or vanishes.
    Where n = 0 the gradient is taken for 0, and for p < 1 also where x_i = 0 (it is infinite there), as in PyTorch.
    Beside an infinite x_i the slope of a finite one is the limit, 0 for p > 1; several infinite ones share it evenly.
    """

    saves_inputs = True
    saves_output = True
    __slots__ = ("p",)

    def __init__(self, p: float, axis: Axis, keepdims: bool) -> None:
        super().__init__(axis, keepdims)
        self.p = p

    def forward(self, x: Array) -> Array:
        self.note_shapes(x)
        xp = module_of(x)
        size = abs(widened(x))
        if x.size == 0:
            return self.add_up(size, self.axis, self.keepdims).astype(x.dtype)
        peak = size.max(axis=self.axis, keepdims=True)
        peak = xp.where((peak > 0) & (peak < math.inf), peak, 1)
        total = self.add_up(power(size / peak, self.p), self.axis, self.keepdims)
        return narrowed(peak.reshape(total.shape) * power(total, 1 / self.p), x)

    def backward(self, grad_out: ArrayOrTensor, x: ArrayOrTensor, out: ArrayOrTensor) -> Gradients:
        direction, norm = widened(x), widened(out).reshape(self.kept_shape)
        if not _divides(out):
            direction = _direction(direction, self.axis)
            norm = Norm(self.p, self.axis, True)(direction)
        ratio = direction / where(norm == 0, 1, norm)
        if self.p == 2:
            slope = masked(ratio, norm != 0)
        else:
            there = direction != 0
            ratio = where(there, ratio, 1)
            slope = masked(sign(ratio) * absolute(ratio) ** (self.p - 1), there)
        return narrowed(widened(grad_out).reshape(self.kept_shape) * slope, x)


def _divides(norm: ArrayOrTensor) -> bool:
    """Whether norms, as they are, are known to be exact enough to divide by: finite, and not of few digits."""
    values = norm._data if isinstance(norm, Variable) else norm
    if not at_hand(values) or values.dtype == HALF:
        return False
    exact = (values >= np.finfo(values.dtype).tiny) & (values < math.inf)
    return bool((exact | (values == 0)).all())


def _direction(x: ArrayOrTensor, axis: Axis) -> ArrayOrTensor:
    """x over its largest |x_i|, which changes no slope of a norm. Beside an infinite x_i a finite one is 0."""
    if x.size == 0:
        return x
    values = x._data if isinstance(x, Variable) else x
    xp = module_of(values)
    size = abs(values)
    peak = size.max(axis=axis, keepdims=True)
    scaled = x / xp.where((peak > 0) & (peak < math.inf), peak, 1)
    return where(peak == math.inf, xp.where(size == math.inf, xp.sign(values), 0), scaled)


def norm(x: TensorLike, ord: Any = None, axis: Axis = None, keepdims: bool = False, **unknown: Never) -> ArrayOrTensor:
    """The length of the vectors along `axis`, as `numpy.linalg.norm`; float64 of integers.

    Args:
        x: any shape.
        ord: None or 2: the root of the sum of squares; 1: the sum of |x|; any other p > 0: the sum of |x|^p to the
            power 1/p; inf and -inf: the largest and the smallest |x|. Over two axes, and for a matrix without `axis`:
            None or 'fro', the Frobenius norm.
        axis: one axis, several for the norm of all their elements, or None for all elements.
        keepdims: leave the reduced axes in place with length 1.

    Raises:
        ValueError: another `ord`. Over two axes a number names a matrix norm in NumPy; there are none here.
        ShapeError: the inf or -inf norm of no numbers.
    """
    if unknown:
        raise unknown_option("F.norm(x)", unknown)
    x = array_like(x)
    matrix = len(all_axes(axis, x.ndim)) == 2
    if matrix and ord not in (None, "fro"):
        raise ValueError(
            f"norm: over two axes there is the Frobenius norm only, ord None or 'fro'; got {ord!r}. For the norm of "
            f"all elements use norm(x.flatten(), {ord!r})"
        )
    if x.dtype.kind != "f":
        x = astype(x, np.float64)
    if ord is None or (matrix and ord == "fro"):
        return Norm(2, axis, keepdims)(x)
    if not isinstance(ord, (int, float, np.number)) or not (ord > 0 or ord == -math.inf):
        raise ValueError(f"norm: expected ord as None, inf, -inf or a number above 0; got {ord!r}")
    if math.isinf(ord):
        return (max if ord > 0 else min)(absolute(x), axis, keepdims)
    if ord == 1:
        return sum(absolute(x), axis, keepdims)
    return Norm(float(ord), axis, keepdims)(x)


class CumSum(Function):
    """s_i = x_0 + ... + x_i along an axis, so dL/dx_i = dL/ds_i + dL/ds_(i+1) + ...: the same sum from the far end."""

    __slots__ = ("axis",)

    def __init__(self, axis: int) -> None:
        self.axis = axis

    def forward(self, x: Array) -> Array:
        self.axis = one_axis(self.axis, x.ndim)
        if x.dtype.kind != "f":
            return x.cumsum(axis=self.axis)
        total = x.cumsum(axis=self.axis, dtype=np.float64)  # in float16 it would stop growing at 2048
        return total.astype(x.dtype, copy=False)

    def backward(self, grad_out: ArrayOrTensor) -> Gradients:
        from_the_end = (*(slice(None),) * self.axis, slice(None, None, -1))
        return cumsum(grad_out[from_the_end], self.axis)[from_the_end]


def cumsum(x: TensorLike, axis: int | None = None, **unknown: Never) -> ArrayOrTensor:
    """The sum of everything up to and with each element along `axis`; without one, of x flattened."""
    if unknown:
        raise unknown_option("F.cumsum(x)", unknown)
    x = array_like(x)
    if axis is None or x.ndim == 0:
        return CumSum(axis or 0)(flatten(x))
    return CumSum(axis)(x)
