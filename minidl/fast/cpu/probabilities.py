"""Softmax and its logarithm on the CPU, in one new array: what is infinite is looked for only where there is some."""

from __future__ import annotations

import math

import numpy as np

from minidl.fast.versions import Faster
from minidl.functional import probabilities
from minidl.functional.axes import all_axes
from minidl.types import Array, Axis


def less_maximum(x: Array, axis: Axis) -> Array:
    """As the plain one, in an array that nobody else has."""
    largest = x.max(axis=axis, keepdims=True)
    shifted = x - largest
    if (largest == math.inf).any():
        shifted[x == math.inf] = 0
    return shifted


class _InPlace(Faster):
    """The very steps of the plain lines."""

    __slots__ = ()
    where = "on the CPU, float32 and float64"
    axis: Axis  # the op's

    def fits(self, x: Array) -> bool:
        return type(x) is np.ndarray and x.dtype.kind == "f" and x.dtype.itemsize >= 4 and x.size > 0 < x.ndim


class Softmax(_InPlace, probabilities.Softmax):
    """The powers are divided in place."""

    __slots__ = ()

    def forward(self, x: Array) -> Array:
        self.axis = all_axes(self.axis, x.ndim)
        powers = less_maximum(x, self.axis)
        np.exp(powers, out=powers)
        powers /= powers.sum(axis=self.axis, keepdims=True)
        return powers


class LogSoftmax(_InPlace, probabilities.LogSoftmax):
    """The sum's logarithm is subtracted in place."""

    __slots__ = ()

    def forward(self, x: Array) -> Array:
        self.axis = all_axes(self.axis, x.ndim)
        shifted = less_maximum(x, self.axis)
        shifted -= np.log(np.exp(shifted).sum(axis=self.axis, keepdims=True))
        return shifted
