"""What broadcasting does to gradients."""

from __future__ import annotations

from typing import Any

from minidl.backend import is_array
from minidl.functional.precision import add_up


def unbroadcast(grad: Any, shape: tuple[int, ...]) -> Any:
    """Sum `grad` over the axes along which an input of `shape` was repeated.

    Broadcasting copies one number to many places; each copy contributes to the loss, so the contributions add up.
    `grad` is a raw array or a Tensor. For grad of shape (5, 3, 4) and shape (3, 1): summed over axes 0 and 2.
    """
    if grad.shape == shape:
        return grad
    added = grad.ndim - len(shape)
    stretched = [added + i for i, n in enumerate(shape) if n == 1 and grad.shape[added + i] != 1]
    axes, keep = (*range(added), *stretched), bool(stretched)
    grad = add_up(grad, axes, keep) if is_array(grad) else grad.sum(axis=axes, keepdims=keep)
    return grad.reshape(shape) if keep else grad
