"""Softmax and its logarithm along the last axis on a GPU: one launch each way (`kernels/rows.py`)."""

from __future__ import annotations

from typing import ClassVar

from minidl.fast.gpu import kernels
from minidl.fast.versions import Faster
from minidl.functional import probabilities
from minidl.functional.axes import all_axes
from minidl.types import Array, Axis


class _OfRows(Faster):
    """The axis is the last: a row of numbers that lie side by side."""

    __slots__ = ()
    where = "on a GPU, along the last axis"
    logarithm: ClassVar[bool]
    axis: Axis  # the op's

    def fits(self, x: Array) -> bool:
        return kernels.on_device(x) and all_axes(self.axis, x.ndim) == (x.ndim - 1,)

    def forward(self, x: Array) -> Array:
        self.axis = all_axes(self.axis, x.ndim)  # type: ignore[misc]  # a slot of the op
        return kernels.softmax_rows(x, logarithm=self.logarithm)

    def backward(self, grad_out: Array, out: Array) -> Array:
        return kernels.softmax_rows_gradient(grad_out, out, logarithm=self.logarithm)


class Softmax(_OfRows, probabilities.Softmax):
    """The kernels' own form."""

    __slots__ = ()
    logarithm = False


class LogSoftmax(_OfRows, probabilities.LogSoftmax):
    """The kernels are told to take the logarithm."""

    __slots__ = ()
    logarithm = True
