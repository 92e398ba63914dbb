"""Sigmoid and tanh on the CPU: the very steps of the plain lines, each in the memory of the one before."""

from __future__ import annotations

import numpy as np

from minidl.fast.cpu.numbers import ONE
from minidl.fast.versions import Faster
from minidl.functional import activation
from minidl.types import Array


class Sigmoid(Faster, activation.Sigmoid):
    """One new array each way."""

    __slots__ = ()
    where = "on the CPU"
    takes = np.ndarray

    def forward(self, x: Array) -> Array:
        one = ONE.get(x.dtype)
        if one is None or x.ndim == 0:
            return super().forward(x)
        out = np.negative(x)
        np.exp(out, out)
        np.add(out, one, out)
        return np.reciprocal(out, out)

    def backward(self, grad_out: Array, out: Array) -> Array:
        one = ONE.get(out.dtype)
        if one is None or out.ndim == 0:
            return super().backward(grad_out, out)
        slope = np.subtract(one, out)
        np.multiply(out, slope, slope)
        return np.multiply(grad_out, slope, slope)


class Tanh(Faster, activation.Tanh):
    """One new array in the backward."""

    __slots__ = ()
    where = "on the CPU"
    takes = np.ndarray

    def backward(self, grad_out: Array, out: Array) -> Array:
        one = ONE.get(out.dtype)
        if one is None or out.ndim == 0:
            return super().backward(grad_out, out)
        slope = np.multiply(out, out)
        np.subtract(one, slope, slope)
        return np.multiply(grad_out, slope, slope)
