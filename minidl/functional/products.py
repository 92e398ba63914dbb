"""Matrix products: matmul, dot, outer, and linear, the dense layer.

>>> import numpy as np, minidl.functional as F
>>> F.linear(np.array([1.0, 2.0]), weight=np.array([[3.0, 4.0], [5.0, 6.0]]), bias=np.array([0.5, 0.0]))
array([11.5, 17. ])
"""

from __future__ import annotations

import math

from minidl.autograd.function import Function
from minidl.errors import DTypeError, ShapeError
from minidl.functional.arithmetic import multiply
from minidl.functional.broadcasting import sum, unbroadcast
from minidl.functional.reshaping import array_like, flatten, reshape
from minidl.functional.shape import side_by_side
from minidl.types import Array, ArrayOrTensor, Gradients, TensorLike


class MatMul(Function):
    """Z = X Y, so dL/dX = dL/dZ Y^T and dL/dY = X^T dL/dZ."""

    saves_inputs = True
    reads = ((1,), (0,))
    __slots__ = ()

    def forward(self, x: Array, y: Array) -> Array:
        check_factors(x, y)
        return x @ y

    def backward(self, grad_out: ArrayOrTensor, x: ArrayOrTensor, y: ArrayOrTensor) -> Gradients:
        grad_z, rows, columns = as_matrices(grad_out, x, y)
        grad_x = grad_y = None
        if self.needs(0):
            grad_x = unbroadcast(grad_z @ columns.swapaxes(-1, -2), rows.shape).reshape(x.shape)
        if self.needs(1):
            grad_y = unbroadcast(rows.swapaxes(-1, -2) @ grad_z, columns.shape).reshape(y.shape)
        return grad_x, grad_y


def as_matrices(
    grad_out: ArrayOrTensor, x: ArrayOrTensor, y: ArrayOrTensor
) -> tuple[ArrayOrTensor, ArrayOrTensor, ArrayOrTensor]:
    """The three of a product of vectors as matrices, or stacks of them: a 1-d x is a row, and a 1-d y a column."""
    if x.ndim > 1 and y.ndim > 1:
        return grad_out, x, y
    rows = x.reshape((1, *x.shape)) if x.ndim == 1 else x
    columns = y.reshape((*y.shape, 1)) if y.ndim == 1 else y
    stack = grad_out.shape[: grad_out.ndim - (x.ndim > 1) - (y.ndim > 1)]
    return grad_out.reshape((*stack, rows.shape[-2], columns.shape[-1])), rows, columns


def matmul(x: TensorLike, y: TensorLike) -> ArrayOrTensor:
    """The matrix product x @ y as NumPy's: 1-d operands are vectors, further axes are batches and broadcast.

    (n, k) @ (k, m) is (n, m); (k,) @ (k, m) is (m,); (n, k) @ (k,) is (n,); (5, 1, n, k) @ (3, k, m) is (5, 3, n, m).

    Raises:
        ShapeError: the summed lengths differ, the batches do not broadcast, or an operand is a single number.
    """
    return MatMul()(x, y)


def check_factors(x: Array, y: Array) -> None:
    """Whether x @ y is a product.

    Raises:
        ShapeError: it is not.
    """
    if getattr(x, "ndim", 0) == 0 or getattr(y, "ndim", 0) == 0:
        raise ShapeError("expected operands with at least one axis; got a single number: use * for numbers")
    summed = -2 if y.ndim > 1 else 0
    if x.shape[-1] != y.shape[summed]:
        raise ShapeError(
            f"expected x.shape[-1] == y.shape[{summed}]; got {x.shape[-1]} != {y.shape[summed]} (x {x.shape}, "
            f"y {y.shape})"
        )


def dot(x: TensorLike, y: TensorLike) -> ArrayOrTensor:
    """x @ y of vectors and matrices, and x * y where one is a number, as `numpy.dot`.

    Raises:
        ShapeError: the summed lengths differ; or y has more than two axes, where `dot` means something else than @.
    """
    x, y = array_like(x), array_like(y)
    if x.ndim == 0 or y.ndim == 0:
        return multiply(x, y)
    if y.ndim > 2:
        raise ShapeError(f"dot: expected y with at most two axes; got {y.shape}: use x @ y or einsum")
    return matmul(x, y)


def outer(x: TensorLike, y: TensorLike) -> ArrayOrTensor:
    """Every element of x times every element of y: (n, m) for n and m of them, both flattened."""
    x, y = side_by_side([x, y])
    return multiply(reshape(flatten(x), (-1, 1)), flatten(y))


class Linear(Function):
    """Y = X W^T + b, so dL/dX = dL/dY W, dL/dW = (dL/dY)^T X and dL/db = dL/dY summed over the samples."""

    saves_inputs = True
    reads = ((1,), (0,), ())
    __slots__ = ()

    def forward(self, x: Array, weight: Array, bias: Array | None = None) -> Array:
        check_layer(x, weight, bias)
        product = x @ weight.T
        return product if bias is None else product + bias

    def backward(
        self, grad_out: ArrayOrTensor, x: ArrayOrTensor, weight: ArrayOrTensor, bias: ArrayOrTensor | None = None
    ) -> Gradients:
        out_features, in_features = weight.shape
        samples = math.prod(x.shape[:-1])  # all leading axes count samples
        rows = grad_out.reshape((samples, out_features))
        grad_x = grad_out @ weight if self.needs(0) else None
        grad_weight = rows.T @ x.reshape((samples, in_features)) if self.needs(1) else None
        if bias is None:
            return grad_x, grad_weight
        return grad_x, grad_weight, sum(rows, axis=0) if self.needs(2) else None


def linear(x: TensorLike, weight: TensorLike, bias: TensorLike = None) -> ArrayOrTensor:
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


def check_layer(x: Array, weight: Array, bias: Array | None) -> None:
    """Whether an input, a weight and a bias (or None) make a dense layer.

    Raises:
        ShapeError, DTypeError: they do not.
    """
    if weight.ndim != 2:
        raise ShapeError(f"expected a weight of shape (out_features, in_features); got {weight.shape}")
    shape = getattr(x, "shape", ())  # of a number ()
    if not shape or shape[-1] != weight.shape[1]:
        flat = ": nn.Flatten() makes rows of it" if math.prod(shape[1:]) == weight.shape[1] else ""
        raise ShapeError(
            f"expected an input of shape (..., in_features={weight.shape[1]}) for a weight of shape {weight.shape}; "
            f"got {shape}{flat}"
        )
    if x.dtype != weight.dtype or (bias is not None and bias.dtype != weight.dtype):
        raise DTypeError(one_dtype_expected(x, weight, bias))
    if bias is not None and bias.shape != weight.shape[:1]:
        raise ShapeError(f"expected a bias of shape {weight.shape[:1]}; got {bias.shape}")


def one_dtype_expected(x: Array, weight: Array, bias: Array | None) -> str:
    """What to say when a layer's input and parameters differ in dtype."""
    dtypes = ", ".join(str(array.dtype) for array in (x, weight, bias) if array is not None)
    return f"expected input, weight and bias of one dtype; got {dtypes}: for example x.astype({str(weight.dtype)!r})"
