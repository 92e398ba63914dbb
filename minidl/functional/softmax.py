"""softmax and log_softmax."""

from __future__ import annotations

from typing import Any

from minidl.autograd import Function
from minidl.backend import module_of
from minidl.functional.exponential import exp


class Softmax(Function):
    """p_i = e^x_i / sum_j e^x_j, so dL/dx_i = p_i (dL/dp_i - sum_j dL/dp_j p_j)."""

    saves_output = True
    __slots__ = ("axis",)

    def __init__(self, axis: int) -> None:
        self.axis = axis

    def forward(self, x: Any) -> Any:
        if x.size == 0:
            return x.copy()
        shifted = module_of(x).exp(x - x.max(axis=self.axis, keepdims=True))  # the largest exponent is 0
        return shifted / shifted.sum(axis=self.axis, keepdims=True)

    def backward(self, grad_out: Any, out: Any) -> Any:
        weighted = grad_out * out
        return weighted - out * weighted.sum(axis=self.axis, keepdims=True)


def softmax(x: Any, axis: int = -1) -> Any:
    """e^x over its sum along `axis`: positive numbers that add up to 1."""
    return Softmax(axis)(x)


class LogSoftmax(Function):
    """l_i = x_i - ln sum_j e^x_j, so dL/dx_i = dL/dl_i - e^l_i sum_j dL/dl_j."""

    saves_output = True
    __slots__ = ("axis",)

    def __init__(self, axis: int) -> None:
        self.axis = axis

    def forward(self, x: Any) -> Any:
        if x.size == 0:
            return x.copy()
        xp = module_of(x)
        shifted = x - x.max(axis=self.axis, keepdims=True)
        return shifted - xp.log(xp.exp(shifted).sum(axis=self.axis, keepdims=True))

    def backward(self, grad_out: Any, out: Any) -> Any:
        return grad_out - exp(out) * grad_out.sum(axis=self.axis, keepdims=True)


def log_softmax(x: Any, axis: int = -1) -> Any:
    """ln(softmax(x)) along `axis`, computed without taking the logarithm of a tiny number."""
    return LogSoftmax(axis)(x)
