"""Moving tensors to another device or dtype, all of them or none: what `Module.to` does."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from minidl import backend
from minidl.errors import DTypeError
from minidl.tensors.tensor import Tensor
from minidl.types import Array, DTypeLike


def move(tensors: Sequence[Tensor], device: Any, dtype: DTypeLike) -> None:
    """Move tensors and their gradients to `device`, and the floating ones to `dtype`; None leaves either as it is.

    Raises:
        DeviceError, DTypeError: there is no such device, or the dtype is not floating; nothing was moved.
        MemoryError: the memory does not suffice; nothing was moved.
    """
    if dtype is None and _is_dtype(device):
        device, dtype = None, device
    if device is not None:
        backend.module(device)  # raises if there is none
    if dtype is not None and np.dtype(dtype).kind != "f":
        raise DTypeError(f"to: expected a floating dtype for the parameters; got {np.dtype(dtype)}")
    moved = [
        (_moved(x._data, device, dtype), None if x.grad is None else Tensor(_moved(x.grad._data, device, dtype)))
        for x in tensors
    ]
    for x, (data, grad) in zip(tensors, moved, strict=True):
        if data is not x._data:
            x.data = data
        x.grad = grad


def _moved(array: Array, device: str | None, dtype: DTypeLike) -> Array:
    if dtype is not None and array.dtype.kind == "f":
        array = array.astype(np.dtype(dtype).newbyteorder("="), copy=False)
    return array if device is None else backend.to_device(array, device)


def _is_dtype(value: Any) -> bool:
    """Whether what was given as the device is a dtype, such as np.float64 or 'float64'."""
    try:
        return value is not None and np.dtype(value) is not None
    except TypeError:
        return False
