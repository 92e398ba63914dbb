"""Matrix products on a GPU: also while a step is captured, which CuPy refuses."""

from __future__ import annotations

import math

import numpy as np

from minidl.backend import module_of
from minidl.fast.gpu import capturing
from minidl.fast.gpu.sums import add_up
from minidl.fast.products import LinearByProduct, MatMulByProduct
from minidl.functional import products
from minidl.types import Array


def product(x: Array, y: Array, out: Array | None = None) -> Array:
    """The product x @ y of arrays of the device, as `numpy.matmul` has it.

    While a step is captured it is asked of cuBLAS directly (`fast/graph/cublas.py`). Where a stack of matrices x meets
    one matrix y, all rows of the stack are one matrix: CuPy would copy y for each matrix of the stack.
    """
    if x.ndim > 2 and y.ndim == 2 and out is None:
        rows = product(x.reshape((math.prod(x.shape[:-1]), x.shape[-1])), y)
        return rows.reshape((*x.shape[:-1], y.shape[1]))
    captured = capturing.current.get()
    if captured is not None:
        return captured.products.product(x, y, out)
    return x @ y if out is None else module_of(x).matmul(x, y, out=out)


class MatMul(MatMulByProduct, products.MatMul):
    """Stacks of rows as one matrix; cuBLAS itself while a step is captured."""

    __slots__ = ()
    where = "on a GPU"
    product = staticmethod(product)

    def fits(self, x: Array, y: Array) -> bool:
        return module_of(x) is not np and module_of(y) is not np


class Linear(LinearByProduct, products.Linear):
    """Stacks of rows as one matrix; cuBLAS itself while a step is captured."""

    __slots__ = ()
    where = "on a GPU"
    product = staticmethod(product)
    add_up = staticmethod(add_up)

    def fits(self, x: Array, weight: Array, bias: Array | None = None) -> bool:
        return module_of(x) is not np and module_of(weight) is not np
