"""Softmax, its logarithm, and cross entropy of many numbers on the CPU: along the last axis, in blocks of rows.

The powers e^x are first taken as they are. Only where a sum of them shows that one was too large or too small, or was
no number, are they taken again of x less its maximum, as in the plain lines: to find the largest of 64 numbers and to
subtract it takes NumPy longer than their powers. What comes of it is that of the plain lines up to rounding; of few
numbers, where there is nothing to win, `probabilities.py` and `classification.py` have it bit for bit.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from minidl.fast.cpu import classification, probabilities
from minidl.fast.cpu.rows import blocks, row_sums, share_rows, spread
from minidl.fast.cpu.threads import workspace
from minidl.fast.versions import Faster
from minidl.functional import attention
from minidl.functional.axes import all_axes
from minidl.types import Array, Axis

MANY = 4096  # numbers of x
WHERE = f"on the CPU, along the last axis, float32 and float64, {MANY} numbers or more"
SMALLEST, LARGEST = 2.0**-20, 2.0**100  # between these no power in a sum was too large, and none that counts too small
FAR = 2.0**60  # the same of cross entropy, whose sums are divided by single powers


class Softmax(probabilities.Softmax):
    """The powers are divided in place; dL/dx is p (dL/dp - sum_j dL/dp_j p_j)."""

    __slots__ = ()
    where = WHERE

    def fits(self, x: Array) -> bool:
        return _fits(x, self.axis)

    def forward(self, x: Array) -> Array:
        self.axis = all_axes(self.axis, x.ndim)
        return _by_rows(_softmax, x)

    def backward(self, grad_out: Array, out: Array) -> Array:
        return _by_rows(_softmax_gradient, grad_out, out)


class AttentionWeights(Faster, attention.AttentionWeights):
    """The softmax, and 0 in rows that are -infinity throughout: all else in these would be NaN."""

    __slots__ = ()
    where = WHERE

    def fits(self, x: Array) -> bool:
        return _fits(x, self.axis)

    def forward(self, x: Array) -> Array:
        self.axis = all_axes(self.axis, x.ndim)
        p = _by_rows(_softmax, x)
        if np.isnan(p[..., 0]).any():
            p[(x == -math.inf).all(axis=-1)] = 0
        return p

    def backward(self, grad_out: Array, out: Array) -> Array:
        return _by_rows(_softmax_gradient, grad_out, out)


class LogSoftmax(probabilities.LogSoftmax):
    """The maximum is always subtracted: the logarithm of a large sum is rounded more coarsely than what it leaves of x.

    The powers are not kept: they are as large as the result, and made of it again in the backward.
    """

    __slots__ = ()
    where = WHERE

    def fits(self, x: Array) -> bool:
        return _fits(x, self.axis)

    def forward(self, x: Array) -> Array:
        self.axis = all_axes(self.axis, x.ndim)
        return _by_rows(_log_softmax, x)

    def backward(self, grad_out: Array, out: Array) -> Array:
        return _by_rows(_log_softmax_gradient, grad_out, out)


class CrossEntropy(classification.CrossEntropy):
    """`kept` has the powers, the sum of each row, and the power of its label.

    L = ln(S / e^x_y) with S = sum_j e^x_j, and the gradient at the label, p_y - 1, is (e^x_y - S) / S: nothing is lost
    where p_y is nearly 1.
    """

    __slots__ = ()
    where = WHERE.replace("along the last axis, ", "")

    def fits(self, x: Array) -> bool:
        return _fits(x, -1)

    def forward(self, x: Array) -> Array:
        places = np.arange(len(x)), self.labels
        powers = np.exp(x, order="C")
        sums, own = row_sums(powers), powers[places]
        if own.min() > 1 / FAR and sums.max() < FAR:
            losses = np.log1p((sums - own) / own)
        else:
            shifted = _less_maximum(x, powers)
            losses = -shifted[places]
            sums, own = row_sums(np.exp(shifted, out=powers)), powers[places]
            losses += np.log(sums)
        self.kept = powers, sums, own
        return losses.sum() / self.count

    def backward(self, grad_out: Array, x: Array) -> Array:
        powers, sums, own = self.kept
        share = grad_out / self.count / sums
        grad_x = powers * share[:, None]
        grad_x[np.arange(len(x)), self.labels] = share * (own - sums)
        return grad_x


def _fits(x: Array, axis: Axis) -> bool:
    floats = type(x) is np.ndarray and x.dtype.kind == "f" and x.dtype.itemsize >= 4 and x.size >= MANY
    return floats and all_axes(axis, x.ndim) == (x.ndim - 1,)


def _by_rows(work: Any, x: Array, *others: Array) -> Array:
    """A new array like x, which `work` fills; it is handed the rows of all arrays, shared out among the threads."""
    result, length = np.empty(x.shape, x.dtype), x.shape[-1]
    count = x.size // length
    matrices = [np.ascontiguousarray(a).reshape((count, -1)) for a in (x, *others, result)]
    share_rows(work, count, length, *matrices)
    return result


def _less_maximum(x: Array, out: Array) -> Array:
    """As the plain `less_maximum`, of rows, in `out`."""
    largest = x.max(axis=1, keepdims=True)
    np.subtract(x, largest, out=out)
    if (largest == math.inf).any():
        out[x == math.inf] = 0
    return out


def _powers(x: Array, out: Array) -> Array:
    """e^x of rows, or e^(x - max x), into `out`; and the sums."""
    sums = row_sums(np.exp(x, out=out))
    if not (sums.min() > SMALLEST and sums.max() < LARGEST):
        sums = row_sums(np.exp(_less_maximum(x, out), out=out))
    return sums


def _softmax(start: int, stop: int, x: Array, out: Array) -> None:
    for rows in blocks(start, stop, x.shape[1]):
        sums = _powers(x[rows], out[rows])
        out[rows] /= spread(sums, workspace("spread", out[rows].shape, x.dtype))


def _softmax_gradient(start: int, stop: int, grad_out: Array, p: Array, grad_x: Array) -> None:
    """p (g - sum_j g_j p_j)."""
    for rows in blocks(start, stop, p.shape[1]):
        out = grad_x[rows]
        sums = row_sums(np.multiply(grad_out[rows], p[rows], out=out))
        np.subtract(grad_out[rows], spread(sums, out), out=out)
        out *= p[rows]


def _log_softmax(start: int, stop: int, x: Array, out: Array) -> None:
    for rows in blocks(start, stop, x.shape[1]):
        shifted = _less_maximum(x[rows], out[rows])
        memory = workspace("spread", shifted.shape, x.dtype)
        sums = row_sums(np.exp(shifted, out=memory))
        shifted -= spread(np.log(sums), memory)


def _log_softmax_gradient(start: int, stop: int, grad_out: Array, logarithms: Array, grad_x: Array) -> None:
    """g - e^l sum_j g_j."""
    for rows in blocks(start, stop, logarithms.shape[1]):
        g, out = grad_out[rows], grad_x[rows]
        np.exp(logarithms[rows], out=out)
        out *= spread(row_sums(g), workspace("spread", out.shape, out.dtype))
        np.subtract(g, out, out=out)
