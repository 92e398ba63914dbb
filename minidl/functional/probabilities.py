"""softmax and log_softmax.

>>> import numpy as np, minidl.functional as F
>>> F.softmax(np.array([1000.0, 1000.0, -1000.0]))
array([0.5, 0.5, 0. ])
"""

from __future__ import annotations

from typing import Any

from minidl.autograd.function import Function
from minidl.backend import module_of
from minidl.fast.gpu import kernels
from minidl.functional.axes import all_axes
from minidl.functional.exponential import exp
from minidl.functional.precision import narrowed, widened
from minidl.functional.reduction import sum


class _AlongAxis(Function):
    """An op along one axis, which is known once x is (`axis` is then a tuple: empty for a 0-d x)."""

    saves_output = True
    __slots__ = ("axis",)

    def __init__(self, axis: Any) -> None:
        self.axis = axis

    def is_rows(self, x: Any) -> bool:
        """Whether x is on a GPU and the axis is its last: there is one kernel then for all of forward, or backward."""
        self.axis = all_axes(self.axis, x.ndim)
        return kernels.on_device(x) and self.axis == (x.ndim - 1,)

    def shifted(self, x: Any) -> Any:
        """x less its maximum, in the dtype to compute with: the largest exponent is then 0, and none overflows."""
        wide = widened(x)
        return wide - wide.max(axis=self.axis, keepdims=True) if x.size else wide


class Softmax(_AlongAxis):
    """p_i = e^x_i / sum_j e^x_j, so dL/dx_i = p_i (dL/dp_i - sum_j dL/dp_j p_j).

    All are NaN where all x_i are -infinity, or one is infinity.
    """

    __slots__ = ()

    def forward(self, x: Any) -> Any:
        if self.is_rows(x):
            return kernels.softmax_rows(x)
        powers = module_of(x).exp(self.shifted(x))
        return narrowed(powers / powers.sum(axis=self.axis, keepdims=True), x)

    def backward(self, grad_out: Any, out: Any) -> Any:
        if self.is_rows(grad_out):
            return kernels.softmax_rows_gradient(grad_out, out)
        weighted = grad_out * out
        return weighted - out * sum(weighted, self.axis, keepdims=True)


def softmax(x: Any, axis: int = -1) -> Any:
    """e^x over its sum along `axis`: positive numbers that add up to 1."""
    return Softmax(axis)(x)


class LogSoftmax(_AlongAxis):
    """l_i = x_i - ln sum_j e^x_j, so dL/dx_i = dL/dl_i - e^l_i sum_j dL/dl_j."""

    __slots__ = ()

    def forward(self, x: Any) -> Any:
        if self.is_rows(x):
            return kernels.softmax_rows(x, logarithm=True)
        xp = module_of(x)
        shifted = self.shifted(x)
        return narrowed(shifted - xp.log(xp.exp(shifted).sum(axis=self.axis, keepdims=True)), x)

    def backward(self, grad_out: Any, out: Any) -> Any:
        if self.is_rows(grad_out):
            return kernels.softmax_rows_gradient(grad_out, out, logarithm=True)
        return grad_out - exp(out) * sum(grad_out, self.axis, keepdims=True)


def log_softmax(x: Any, axis: int = -1) -> Any:
    """ln(softmax(x)) along `axis`, computed without taking the logarithm of a tiny number."""
    return LogSoftmax(axis)(x)
