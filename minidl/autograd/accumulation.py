"""Gradients at their destination: added to a `.grad`, whose memory is shared with no other array."""

from __future__ import annotations

import threading
from collections.abc import Sequence

from minidl import backend
from minidl.autograd.variable import Variable
from minidl.errors import ShapeError, describe
from minidl.types import ArrayOrTensor

accumulation_lock = threading.Lock()  # two threads may add to the .grad of one shared weight


def accumulate(x: Variable, grad: ArrayOrTensor, handed_out: set[int]) -> None:
    """x.grad += grad, in memory that no other array shares."""
    if x._writes is not None and x._writes.stale is not None:
        x.shown()  # an error
    grad = own(grad, x, handed_out)
    with accumulation_lock:
        if x._grad is None:
            x._grad = grad if isinstance(grad, Variable) else x.wrap(grad)
        else:
            x._grad = x._grad + grad


def own(grad: ArrayOrTensor, x: Variable, handed_out: set[int]) -> ArrayOrTensor:
    """`grad` with memory of its own; copied only where it may be shared.

    A gradient may be shared because an op passes one array on to two inputs (Add), hands back a view (Reshape), or
    returns what the user gave it.

    Args:
        handed_out: the ids of arrays that are in use elsewhere; this one's is added.
    """
    array = grad._data if isinstance(grad, Variable) else grad
    if array.base is not None or array is x._data or id(array) in handed_out:
        grad = grad.copy()
        array = grad._data if isinstance(grad, Variable) else grad
    handed_out.add(id(array))
    return grad


def fitted(x: Variable, grad: ArrayOrTensor) -> ArrayOrTensor:
    """`grad` in the dtype of x (they differ where float32 met float64); its shape must be x's."""
    if not isinstance(grad, Variable):
        grad = backend.asarray(grad)
    if grad.shape != x._data.shape:
        raise ShapeError(f"a backward returned a gradient of shape {tuple(grad.shape)} for {describe(x)}")
    return grad if grad.dtype == x._data.dtype else grad.astype(x._data.dtype)


def ids_of(grads: Sequence[ArrayOrTensor]) -> set[int]:
    """The ids of arrays that are in use elsewhere, for `own`."""
    return {id(grad._data if isinstance(grad, Variable) else grad) for grad in grads}
