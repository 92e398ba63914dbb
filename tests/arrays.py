"""The three conversions every test uses, so that it runs on each backend: `device`, `host`, `tensor`."""

from __future__ import annotations

from typing import Any

import numpy as np

import minidl as md
from minidl import backend

UNITS = 16  # in the last place, by which what a GPU computes may differ from what NumPy computes


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


def assert_same(ours: Any, expected: Any, units: int = UNITS) -> None:
    """On NumPy the very same values. On a device up to rounding: it adds up in another order, and its exponentials,
    powers and the like are a few units off in the last place; `units` of the largest value are allowed."""
    found, wanted = host(ours), host(expected)
    if backend.current() == "numpy":
        np.testing.assert_array_equal(found, wanted)
        return
    kinds = {array.dtype for array in (found, wanted) if array.dtype.kind == "f"}
    tolerance = units * max((float(np.finfo(kind).eps) for kind in kinds), default=0.0)
    scale = float(np.abs(wanted[np.isfinite(wanted)]).max(initial=0)) if kinds else 0.0
    np.testing.assert_allclose(found, wanted, rtol=tolerance, atol=tolerance * scale)
