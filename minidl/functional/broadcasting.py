"""What broadcasting does to gradients, and to speed."""

from __future__ import annotations

from typing import Any

import numpy as np

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


def spread(a: Any, x: Any) -> Any:
    """`a`, which is to be broadcast over x (N, ...), as a whole sample of x if it is the same for all samples.

    Beside x (64, 32, 8, 8) NumPy meets an `a` of (32, 1, 1) in loops over 64 numbers, and of (1, 32, 8, 8) over 2048,
    which takes half the time. Whatever is not an array of NumPy's is returned as it is.
    """
    if type(x) is not np.ndarray or type(a) is not np.ndarray or x.ndim < 3 or (a.ndim == x.ndim and len(a) > 1):
        return a
    sample = np.empty_like(x[:1], dtype=a.dtype)  # its axes lie in memory as x's do
    sample[...] = a
    return sample
