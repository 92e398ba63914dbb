"""Matrix products on the CPU, shared out among the threads."""

from __future__ import annotations

import numpy as np

from minidl.fast.cpu import threads
from minidl.fast.cpu.sums import add_up
from minidl.fast.products import LinearByProduct, MatMulByProduct
from minidl.functional import products
from minidl.types import Array

WORTH = 1 << 24  # multiplications of a product below which waking another thread takes longer than it saves


def product(x: Array, y: Array, out: Array | None = None) -> Array:
    """The product x @ y of NumPy arrays, as `numpy.matmul` has it.

    One of large matrices is shared out among the threads, if minidl has taken over those of BLAS: each makes a part of
    the result's longer side: rows, of a part of x, or columns, of a part of y.
    """
    taken_over = threads.blas.taken or threads.take_over_blas()
    if not taken_over or x.ndim != 2 or y.ndim != 2 or x.size * y.shape[1] < WORTH:
        return x @ y if out is None else np.matmul(x, y, out=out)
    if out is None:
        out = np.empty((len(x), y.shape[1]), np.result_type(x, y))
    longer = max(out.shape)
    threads.shared_out(_some_rows if longer == len(out) else _some_columns, longer, threads.WORTH, x, y, out)
    return out


def _some_rows(start: int, stop: int, x: Array, y: Array, out: Array) -> None:
    np.matmul(x[start:stop], y, out=out[start:stop])


def _some_columns(start: int, stop: int, x: Array, y: Array, out: Array) -> None:
    np.matmul(x, y[:, start:stop], out=out[:, start:stop])


class MatMul(MatMulByProduct, products.MatMul):
    """Products of large matrices are shared out."""

    __slots__ = ()
    where = "on the CPU"
    product = staticmethod(product)

    def fits(self, x: Array, y: Array) -> bool:
        return type(x) is np.ndarray and type(y) is np.ndarray


class Linear(LinearByProduct, products.Linear):
    """Products of large matrices are shared out, and the bias is added in place."""

    __slots__ = ()
    where = "on the CPU"
    product = staticmethod(product)
    add_up = staticmethod(add_up)

    def fits(self, x: Array, weight: Array, bias: Array | None = None) -> bool:
        return type(x) is np.ndarray
