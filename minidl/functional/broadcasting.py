"""What broadcasting does to gradients."""

from __future__ import annotations

from typing import Any


def unbroadcast(grad: Any, shape: tuple[int, ...]) -> Any:
    """Sum `grad` over the axes along which an input of `shape` was repeated.

    Broadcasting copies one number to many places; each copy contributes to the loss, so the contributions add up.
    `grad` is a raw array or a Tensor.
    """
    if grad.shape == shape:
        return grad
    added = grad.ndim - len(shape)
    stretched = [added + i for i, n in enumerate(shape) if n == 1 and grad.shape[added + i] != 1]
    grad = grad.sum(axis=(*range(added), *stretched), keepdims=True)
    return grad.reshape(shape)
