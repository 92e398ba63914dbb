"""layer_norm and group_norm on the CPU: blocks of rows that stay in the cache, and sums by BLAS.

A row is what is normalised together; its m and 1 / s are kept for the backward. x - m is made once more there, block by
block: to read it back from memory would take longer. m is subtracted before anything is squared, since
mean(x^2) - m^2 would cancel where m is large.

With c = x - m the sums of the backward are products with vectors, and z is not needed:

    sum_j dL/dz_ij z_ij = sum_j (dL/dy c)_ij w_j / s_i          dL/dw_j = sum_i (dL/dy c)_ij / s_i
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from minidl.fast.cpu.rows import blocks, row_products, row_sums, share_rows, spread, times_vector
from minidl.fast.cpu.threads import workspace
from minidl.fast.versions import Faster
from minidl.functional import normalization
from minidl.functional.precision import narrowed, widened
from minidl.types import Array, Gradients

FAR = 4  # times s: a mean farther from 0 than that is made more exact


class Standardize(Faster, normalization.Standardize):
    """Each run of numbers of a row has one weight: the pixels of a channel in group_norm, or a row without weights.

    A row (runs, numbers) and its weights (runs,) are what the work is done with; `kept` is m and 1 / s of all rows.
    """

    __slots__ = ()
    where = "on the CPU, over the last axes"

    def fits(self, x: Array, weight: Array | None, bias: Array | None) -> bool:
        return type(x) is np.ndarray and x.size > 0 and self.axis == tuple(range(self.axis[0], x.ndim))

    def forward(self, x: Array, weight: Array | None, bias: Array | None) -> Array:
        wide, (rows, runs) = _in_order(x), _rows_and_runs(x, self.axis[0], weight if bias is None else bias)
        y, (m, scale) = np.empty_like(wide), np.empty((2, rows), wide.dtype)
        w, b = (None if a is None else np.resize(widened(a), (rows, runs)) for a in (weight, bias))
        shape = (rows, runs, -1)
        _share(_standardize, wide.reshape(shape), y.reshape(shape), m, scale, w, b, self.eps)
        return self.checked(y, m, scale, x, weight, bias)

    def checked(self, y: Array, m: Array, scale: Array, x: Array, weight: Array | None, bias: Array | None) -> Array:
        """y, unless numbers are NaN or too large for their squares: there the plain lines are right."""
        self.kept = (m, scale) if (scale > 0).all() else None
        return normalization.Standardize.forward(self, x, weight, bias) if self.kept is None else narrowed(y, x)

    def backward(self, grad_out: Array, x: Array, weight: Array | None, bias: Array | None) -> Gradients:
        if self.kept is None:
            return normalization.Standardize.backward(self, grad_out, x, weight, bias)
        wide, (rows, runs) = _in_order(x), _rows_and_runs(x, self.axis[0], weight if bias is None else bias)
        grad_x, (products, sums) = np.empty_like(wide), np.empty((2, rows, runs), wide.dtype)
        w = None if weight is None else np.resize(widened(weight), (rows, runs))
        shape = (rows, runs, -1)
        matrices = wide.reshape(shape), _in_order(grad_out).reshape(shape), grad_x.reshape(shape)
        _share(_gradient, *matrices, *self.kept, w, products, sums)
        grad_weight, grad_bias = (_of_weights(*pair, x) for pair in ((products, weight), (sums, bias)))
        return narrowed(grad_x, x), grad_weight, grad_bias


class StandardizeColumns(Standardize):
    """Each number of a row has a weight of its own, the same for all rows: layer_norm."""

    __slots__ = ()
    where = "on the CPU, over the last axes, with a weight for each number"

    def fits(self, x: Array, weight: Array | None, bias: Array | None) -> bool:
        own = weight is not None and weight.shape == x.shape[self.axis[0] :]
        return own and Standardize.fits(self, x, weight, bias)

    def forward(self, x: Array, weight: Array | None, bias: Array | None) -> Array:
        assert weight is not None
        wide, shape = _in_order(x), (-1, weight.size)
        y, (m, scale) = np.empty_like(wide), np.empty((2, x.size // weight.size), wide.dtype)
        w, b = (None if a is None else widened(a).reshape(-1) for a in (weight, bias))
        _share(_standardize_columns, wide.reshape(shape), y.reshape(shape), m, scale, w, b, self.eps)
        return self.checked(y, m, scale, x, weight, bias)

    def backward(self, grad_out: Array, x: Array, weight: Array | None, bias: Array | None) -> Gradients:
        if self.kept is None:
            return normalization.Standardize.backward(self, grad_out, x, weight, bias)
        assert weight is not None
        wide, shape, w = _in_order(x), (-1, weight.size), widened(weight).reshape(-1)
        grad_x = np.empty_like(wide)
        matrices = wide.reshape(shape), _in_order(grad_out).reshape(shape), grad_x.reshape(shape)
        parts = _share(_gradient_columns, *matrices, *self.kept, w)
        products, sums = np.sum(parts, axis=0).astype(x.dtype)
        return narrowed(grad_x, x), products.reshape(weight.shape), sums.reshape(weight.shape)


def _in_order(x: Array) -> Array:
    return np.ascontiguousarray(widened(x))


def _rows_and_runs(x: Array, first: int, weight: Array | None) -> tuple[int, int]:
    """How many rows there are, of the axes from `first` on, and how many weights each has."""
    rows, last = math.prod(x.shape[:first]), first  # from axis `last` on a weight is shared
    if weight is not None:
        last = x.ndim
        while last > first and weight.shape[last - 1 - x.ndim] == 1:
            last -= 1
    return rows, math.prod(x.shape[first:last])


def _of_weights(a: Array, weight: Array | None, x: Array) -> Array | None:
    """What each row adds to the gradient of its weights, added up for those that are the same."""
    if weight is None:
        return None
    return a.reshape((-1, *weight.shape)).sum(axis=0, dtype=np.float64).astype(x.dtype)


def _share(work: Any, x: Array, *operands: Any) -> list[Any]:
    """`work` on parts of the rows of x, shared out among the threads."""
    return share_rows(work, len(x), x[0].size, x, *operands)


# ---- rows (runs, numbers), with one weight for each run


def _standardize(
    start: int, stop: int, x: Array, y: Array, means: Array, scales: Array, w: Array | None, b: Array | None, eps: float
) -> None:
    """y = w (x - m) / s + b, and m and 1 / s."""
    length = x[0].size
    for rows in blocks(start, stop, length):
        c = y[rows]
        m, scale = _centred(x[rows].reshape((-1, length)), c.reshape((-1, length)), eps)
        means[rows], scales[rows] = m, scale
        memory = workspace("spread", c.shape, x.dtype)
        c *= spread(scale[:, None] if w is None else scale[:, None] * w[rows], memory)
        if b is not None:
            c += spread(b[rows], memory)


def _gradient(
    start: int,
    stop: int,
    x: Array,
    grad: Array,
    grad_x: Array,
    means: Array,
    scales: Array,
    w: Array | None,
    products: Array,
    sums: Array,
) -> None:
    """dL/dx, and the sums over each run of dL/dy z and of dL/dy."""
    length = x[0].size
    for rows in blocks(start, stop, length):
        g, out, scale = grad[rows], grad_x[rows], scales[rows, None]
        c = workspace("centred", (len(g), length), x.dtype)
        np.subtract(x[rows].reshape(c.shape), means[rows, None], out=c)
        along = products[rows] = row_products(g, c.reshape(g.shape)) * scale
        shift = sums[rows] = row_sums(g)
        if w is not None:
            along, shift, scale = along * w[rows], shift * w[rows], scale * w[rows]
        np.multiply(g, spread(scale, out), out=out)
        s = scales[rows, None]
        c *= s * s * along.sum(axis=1, keepdims=True) / length
        c += s * shift.sum(axis=1, keepdims=True) / length
        out -= c.reshape(out.shape)


def _centred(x: Array, c: Array, eps: float) -> tuple[Array, Array]:
    """x - m of rows into c; m and 1 / s.

    A sum of many numbers is rounded many times, and m with it; the mean of x - m says by how much. It matters where the
    numbers of a row lie close together and far from 0, since z is then off by more than its own rounding.
    """
    m = row_sums(x) / x.shape[1]
    scale = _less_mean(x, m, c, eps)
    far = abs(m) * scale > FAR
    if far.any():
        m += np.where(far, row_sums(c) / x.shape[1], 0)  # no row's numbers hang on what the others are
        scale = _less_mean(x, m, c, eps)
    return m, scale


def _less_mean(x: Array, m: Array, c: Array, eps: float) -> Array:
    """x - m of rows into c; 1 / s."""
    np.subtract(x, m[:, None], out=c)
    return 1 / np.sqrt(row_products(c, c) / x.shape[1] + eps)


# ---- rows (length,), with one weight for each number


def _standardize_columns(
    start: int, stop: int, x: Array, y: Array, means: Array, scales: Array, w: Array, b: Array | None, eps: float
) -> None:
    """As `_standardize`, with w and b of a row."""
    for rows in blocks(start, stop, x.shape[1]):
        c = y[rows]
        means[rows], scale = _centred(x[rows], c, eps)
        scales[rows] = scale
        c *= scale[:, None]
        c *= w
        if b is not None:
            c += b


def _gradient_columns(
    start: int, stop: int, x: Array, grad: Array, grad_x: Array, means: Array, scales: Array, w: Array
) -> Array:
    """dL/dx, and what these rows add to dL/dw and dL/db, (2, length)."""
    length = x.shape[1]
    sums = np.zeros((2, length))
    for rows in blocks(start, stop, length):
        g, out, scale = grad[rows], grad_x[rows], scales[rows]
        c = workspace("centred", g.shape, x.dtype)
        np.subtract(x[rows], means[rows, None], out=c)
        products = np.multiply(g, c, out=out)
        sums += scale @ products, np.ones(len(g), x.dtype) @ g
        along, shift = scale * times_vector(products, w), times_vector(g, w)
        c *= (scale * along / length)[:, None]
        c += (shift / length)[:, None]
        np.multiply(g, w, out=out)
        out -= c
        out *= scale[:, None]
    return sums
