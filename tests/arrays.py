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


def assert_same(ours: Any, expected: Any, what: str = "", terms: Any = 0) -> None:
    """On NumPy bit for bit the same. On a device up to `UNITS` of the largest value: it adds up in another order, its
    exponentials and powers are a few units off in the last place, and one of the two may come from one kernel.

    Where large `terms` were added up to a small result, what is lost is a part of the largest term.
    """
    found, wanted = host(ours), host(expected)
    if backend.current() == "numpy":
        np.testing.assert_array_equal(found, wanted, what)
        return
    units = max((UNITS * float(np.finfo(x.dtype).eps) for x in (found, wanted) if x.dtype.kind == "f"), default=0.0)
    largest = max(float(np.abs(x).max(initial=0, where=np.isfinite(x))) for x in (wanted, host(terms)))
    np.testing.assert_allclose(found, wanted, rtol=units, atol=units * largest, err_msg=what)
