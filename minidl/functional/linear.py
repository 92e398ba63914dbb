"""Matrix products: matmul, and linear, the dense layer."""

from __future__ import annotations

from typing import Any

from minidl.autograd import Function
from minidl.errors import DTypeError, ShapeError
from minidl.functional.broadcasting import unbroadcast


class MatMul(Function):
    """Z = X Y, so dL/dX = dL/dZ Y^T and dL/dY = X^T dL/dZ."""

    saves_inputs = True
    __slots__ = ()

    def forward(self, x: Any, y: Any) -> Any:
        if x.ndim == 0 or y.ndim == 0:
            raise ShapeError("matmul needs operands with at least one axis; use * for numbers")
        if x.shape[-1] != y.shape[-2 if y.ndim > 1 else 0]:
            raise ShapeError(
                f"expected x.shape[-1] == y.shape[{-2 if y.ndim > 1 else 0}]; got {x.shape[-1]} != "
                f"{y.shape[-2 if y.ndim > 1 else 0]} (x {x.shape}, y {y.shape})"
            )
        return x @ y

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
            grad_x = unbroadcast(grad_out @ y.swapaxes(-1, -2), x.shape).reshape(x_shape)
        if self.needs(1):
            grad_y = unbroadcast(x.swapaxes(-1, -2) @ grad_out, y.shape).reshape(y_shape)
        return grad_x, grad_y


def matmul(x: Any, y: Any) -> Any:
    """The matrix product x @ y as NumPy's: 1-d operands are vectors, further axes are batches and broadcast."""
    return MatMul()(x, y)


class Linear(Function):
    """Y = X W^T + b, so dL/dX = dL/dY W, dL/dW = (dL/dY)^T X and dL/db = dL/dY summed over the samples."""

    saves_inputs = True
    __slots__ = ()

    def forward(self, x: Any, weight: Any, bias: Any = None) -> Any:
        if weight.ndim != 2:
            raise ShapeError(f"expected a weight of shape (out_features, in_features); got {weight.shape}")
        if x.ndim == 0 or x.shape[-1] != weight.shape[1]:
            raise ShapeError(
                f"expected an input of shape (..., in_features={weight.shape[1]}) for a weight of shape {weight.shape}; "
                f"got {x.shape}"
            )
        if x.dtype != weight.dtype:
            raise DTypeError(
                f"expected input and weight of one dtype; got {x.dtype} and {weight.dtype}: x.astype({weight.dtype})"
            )
        if bias is not None and bias.shape != weight.shape[:1]:
            raise ShapeError(f"expected a bias of shape {weight.shape[:1]}; got {bias.shape}")
        out = x @ weight.T
        return out if bias is None else out + bias

    def backward(self, grad_out: Any, x: Any, weight: Any, bias: Any = None) -> Any:
        out_features, in_features = weight.shape
        rows = grad_out.reshape((grad_out.size // max(out_features, 1), out_features))
        grad_x = (grad_out @ weight) if self.needs(0) else None
        grad_weight = rows.T @ x.reshape((x.size // max(in_features, 1), in_features)) if self.needs(1) else None
        if bias is None:
            return (grad_x, grad_weight)
        return grad_x, grad_weight, rows.sum(axis=0) if self.needs(2) else None


def linear(x: Any, weight: Any, bias: Any = None) -> Any:
    """x @ weight.T + bias, the dense layer.

    Args:
        x: (..., in_features).
        weight: (out_features, in_features), as PyTorch keeps it.
        bias: (out_features,) or None.
    """
    return Linear()(x, weight) if bias is None else Linear()(x, weight, bias)
