"""Matrix products on the CPU, shared out among the threads."""

from __future__ import annotations

import numpy as np

from minidl.fast.cpu import threads
from minidl.fast.cpu.sums import add_up
from minidl.fast.products import LinearByProduct, MatMulByProduct
from minidl.functional import products
from minidl.functional.products import check_layer
from minidl.types import Array, Gradients

WORTH = 1 << 24  # multiplications of a product below which waking another thread takes longer than it saves


def product(x: Array, y: Array) -> Array:
    """The product x @ y of NumPy arrays, as `numpy.matmul` has it.

    A large one is shared out among the threads, if minidl has taken over those of BLAS. Of two matrices each makes a
    part of the result's longer side: rows, of a part of x, or columns, of a part of y. If there is one y for a stack of
    matrices x, their rows are those of one matrix; and of two stacks each thread makes the products of some.
    """
    taken_over = threads.blas.taken or threads.take_over_blas()
    if not taken_over or x.ndim < 2 or y.ndim < 2 or x.size * y.shape[-1] <= WORTH:
        return x @ y
    one_for_all = y.ndim == 2 and (x.ndim == 2 or x.flags.c_contiguous)
    if not one_for_all and (x.ndim != y.ndim or x.shape[:-2] != y.shape[:-2]):
        return x @ y
    out = np.empty((*x.shape[:-1], y.shape[-1]), np.result_type(x, y))
    if one_for_all:
        rows, results = x.reshape((-1, x.shape[-1])), out.reshape((-1, out.shape[-1]))
        longer = max(results.shape)
        work = _some_rows if longer == len(results) else _some_columns
        threads.shared_out(work, longer, 1, rows, y, results, least=0)
    else:
        threads.shared_out(_some_of_stacks, len(x), 1, x, y, out, least=0)
    return out


def _some_rows(start: int, stop: int, x: Array, y: Array, out: Array) -> None:
    np.matmul(x[start:stop], y, out=out[start:stop])


def _some_columns(start: int, stop: int, x: Array, y: Array, out: Array) -> None:
    np.matmul(x, y[:, start:stop], out=out[:, start:stop])


def _some_of_stacks(start: int, stop: int, x: Array, y: Array, out: Array) -> None:
    np.matmul(x[start:stop], y[start:stop], out=out[start:stop])


class MatMul(MatMulByProduct, products.MatMul):
    """Products of large matrices are shared out."""

    __slots__ = ()
    where = "on the CPU"
    takes = np.ndarray
    product = staticmethod(product)


class Linear(LinearByProduct, products.Linear):
    """Products of large matrices are shared out, the bias is added in place, and a wide layer is turned."""

    __slots__ = ()
    where = "on the CPU"
    takes = np.ndarray
    product = staticmethod(product)
    add_up = staticmethod(add_up)

    def forward(self, x: Array, weight: Array, bias: Array | None = None) -> Array:
        check_layer(x, weight, bias)
        units = len(weight)
        if 4 * len(x) <= units and is_wide(x, units):
            turned = product(weight, x.T).T
            return np.array(turned, order="C") if bias is None else np.add(turned, bias, order="C")
        alone = x.size * units < WORTH and threads.blas.taken
        out = x @ weight.T if alone else product(x, weight.T)
        if bias is not None:
            out += bias
        return out

    def backward(self, grad_out: Array, x: Array, weight: Array, bias: Array | None = None) -> Gradients:
        if x.ndim != 2 or x.size * len(weight) >= WORTH or not threads.blas.taken:
            return super().backward(grad_out, x, weight, bias)
        needed = self.needed
        grad_x = grad_out @ weight if needed & 1 else None
        grad_weight = grad_out.T @ x if needed & 2 else None
        if bias is None:
            return grad_x, grad_weight
        return grad_x, grad_weight, add_up(grad_out, (0,)) if needed & 4 else None


def is_wide(x: Array, units: int) -> bool:
    """Whether W x^T is faster than x W^T, its transpose, for a layer of many units.

    Of two factors BLAS lays out one for wide vector registers, which takes long for a large matrix that is read across:
    in x W^T that is W, in W x^T it is x. For 256 units and 64 samples of 784 numbers the first takes 1.2 times as long,
    for 1,024 units and 8 samples 2.4 times (OpenBLAS, float32; in float64 there is no such difference).
    """
    return x.ndim == 2 and x.dtype.itemsize == 4 and x.shape[1] >= 128 and len(x) > 1 and 4 * len(x) <= units
