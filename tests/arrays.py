"""The three conversions every test uses, so that it runs on each backend: `device`, `host`, `tensor`."""

from __future__ import annotations

from typing import Any

import numpy as np

import minidl as md
from minidl import backend


def device(array: Any) -> Any:
    """A copy of the array (or list, or number) as a raw array of the backend under test; its dtype is kept."""
    return backend.to_device(np.array(array), backend.current())


def host(value: Any) -> Any:
    """A NumPy copy of a Tensor's or a raw array's values."""
    array = value._data if isinstance(value, md.Tensor) else value
    return np.array(backend.to_numpy(array) if backend.is_array(array) else array)


def tensor(array: Any, requires_grad: bool = False) -> md.Tensor:
    """A Tensor with a copy of the values, on the backend under test; its dtype is kept."""
    return md.Tensor(device(array), requires_grad)
