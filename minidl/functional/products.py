"""Matrix products: matmul, outer, and linear, the dense layer."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from minidl.autograd.function import FIRST, SECOND, THIRD, Function
from minidl.errors import DTypeError, ShapeError
from minidl.fast.cpu.threads import product
from minidl.functional.arithmetic import multiply
from minidl.functional.broadcasting import unbroadcast
from minidl.functional.shape import flatten, reshape


class MatMul(Function):
    """Z = X Y, so dL/dX = dL/dZ Y^T and dL/dY = X^T dL/dZ."""

    saves_inputs = True
    __slots__ = ()

    def forward(self, x: Any, y: Any) -> Any:
        if np.ndim(x) == 0 or np.ndim(y) == 0:
            raise ShapeError("expected operands with at least one axis; got a single number: use * for numbers")
        summed = -2 if y.ndim > 1 else 0
        if x.shape[-1] != y.shape[summed]:
            raise ShapeError(
                f"expected x.shape[-1] == y.shape[{summed}]; got {x.shape[-1]} != {y.shape[summed]} (x {x.shape}, "
                f"y {y.shape})"
            )
        return product(x, y)

    def backward(self, grad_out: Any, x: Any, y: Any) -> Any:
        # A 1-d x is a row and a 1-d y a column; the axis they lack is put back, so that all are matrices.
        x_shape, y_shape, grad_shape = x.shape, y.shape, grad_out.shape
        if y.ndim == 1:
            y = y.reshape((*y_shape, 1))
            grad_shape = (*grad_shape, 1)
        if x.ndim == 1:
            x = x.reshape((1, *x_shape))
            grad_shape = (*grad_shape[:-1], 1, grad_shape[-1])
        grad_out = grad_out.reshape(grad_shape)
        grad_x = grad_y = None
        if self.needs(0):
            grad_x = unbroadcast(product(grad_out, y.swapaxes(-1, -2)), x.shape).reshape(x_shape)
        if self.needs(1):
            grad_y = unbroadcast(product(x.swapaxes(-1, -2), grad_out), y.shape).reshape(y_shape)
        return grad_x, grad_y


def matmul(x: Any, y: Any) -> Any:
    """The matrix product x @ y as NumPy's: 1-d operands are vectors, further axes are batches and broadcast.

    (n, k) @ (k, m) is (n, m); (k,) @ (k, m) is (m,); (n, k) @ (k,) is (n,); (5, 1, n, k) @ (3, k, m) is (5, 3, n, m).

    Raises:
        ShapeError: the summed lengths differ, the batches do not broadcast, or an operand is a single number.
    """
    return MatMul()(x, y)


def outer(x: Any, y: Any) -> Any:
    """Every element of x times every element of y: (n, m) for n and m of them, both flattened."""
    return multiply(reshape(flatten(x), (-1, 1)), flatten(y))


def one_dtype_expected(x: Any, weight: Any, bias: Any) -> str:
    """What to say when a layer's input and parameters differ in dtype."""
    dtypes = ", ".join(str(array.dtype) for array in (x, weight, bias) if array is not None)
    return f"expected input, weight and bias of one dtype; got {dtypes}: for example x.astype({str(weight.dtype)!r})"


class Linear(Function):
    """Y = X W^T + b, so dL/dX = dL/dY W, dL/dW = (dL/dY)^T X and dL/db = dL/dY summed over the samples."""

    saves_inputs = True
    __slots__ = ()

    def forward(self, x: Any, weight: Any, bias: Any = None) -> Any:
        if weight.ndim != 2:
            raise ShapeError(f"expected a weight of shape (out_features, in_features); got {weight.shape}")
        if x.ndim == 0 or x.shape[-1] != weight.shape[1]:
            raise ShapeError(
                f"expected an input of shape (..., in_features={weight.shape[1]}) for a weight of shape "
                f"{weight.shape}; got {x.shape}"
            )
        if x.dtype != weight.dtype or (bias is not None and bias.dtype != weight.dtype):
            raise DTypeError(one_dtype_expected(x, weight, bias))
        if bias is not None and bias.shape != weight.shape[:1]:
            raise ShapeError(f"expected a bias of shape {weight.shape[:1]}; got {bias.shape}")
        out = product(x, weight.T)
        if bias is not None:
            out += bias
        return out

    def backward(self, grad_out: Any, x: Any, weight: Any, bias: Any = None) -> Any:
        out_features, in_features = weight.shape
        samples = math.prod(x.shape[:-1])  # all leading axes count samples
        rows = grad_out.reshape((samples, out_features))
        grad_x = product(grad_out, weight) if self.needed & FIRST else None
        grad_weight = product(rows.T, x.reshape((samples, in_features))) if self.needed & SECOND else None
        if bias is None:
            return (grad_x, grad_weight)
        return grad_x, grad_weight, unbroadcast(rows, weight.shape[:1]) if self.needed & THIRD else None


def linear(x: Any, weight: Any, bias: Any = None) -> Any:
    """x @ weight.T + bias, the dense layer.

    Args:
        x: (..., in_features).
        weight: (out_features, in_features), as PyTorch keeps it.
        bias: (out_features,) or None.

    Returns:
        (..., out_features).

    Raises:
        ShapeError, DTypeError: the three do not fit together. They must have one dtype, as in PyTorch.
    """
    return Linear()(x, weight) if bias is None else Linear()(x, weight, bias)
