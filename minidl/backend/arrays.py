"""What arrays of NumPy and of CuPy do differently, each difference as one named function."""

from __future__ import annotations

import sys
from types import ModuleType
from typing import Any

import numpy as np

from minidl.backend import choice


def _cupy_if_loaded() -> Any:
    """CuPy, if some array can be one of its own. Nothing else loads it, so a CPU session never pays for it."""
    return sys.modules.get("cupy")


def is_array(value: object) -> bool:
    """Whether `value` is a NumPy or a CuPy array (NumPy scalars are not)."""
    if isinstance(value, np.ndarray):
        return True
    cupy = _cupy_if_loaded()
    return cupy is not None and isinstance(value, cupy.ndarray)


def module_of(*values: object) -> ModuleType:
    """The library, numpy or cupy, that the first array among `values` belongs to; numpy if none is an array."""
    for value in values:
        if type(value) is np.ndarray:
            return np
        cupy = _cupy_if_loaded()
        if cupy is not None and isinstance(value, cupy.ndarray):
            return cupy
    return np


def device_of(array: object) -> str:
    """'numpy' or 'cupy': where `array` lives."""
    return "numpy" if module_of(array) is np else "cupy"


def asarray(value: Any) -> Any:
    """`value` as an array: arrays as they are, everything else (numbers, NumPy scalars, lists) through NumPy."""
    return value if is_array(value) else np.asarray(value)


def to_numpy(array: Any) -> Any:
    """A NumPy array with the values of `array`: itself if it is one, else a copy brought from the device."""
    return array if isinstance(array, np.ndarray) else _cupy_if_loaded().asnumpy(array)


def to_device(array: Any, name: str) -> Any:
    """`array` on the backend `name` ('numpy' or 'cupy'), copied only if it has to move."""
    destination = choice.module(name)
    if device_of(array) == name:
        return array
    return to_numpy(array) if name == "numpy" else destination.asarray(array)


def share_memory(view: Any, array: Any) -> bool:
    """Whether `view` was made from `array` (or beside it, from one base) without copying."""
    if view is array:
        return True
    base = view.base
    return base is not None and (base is array or base is getattr(array, "base", None))


def scatter_add(target: Any, index: Any, values: Any) -> None:
    """target[index] += values, where a repeated index adds every time (plain `+=` would keep the last only)."""
    module_of(target).add.at(target, index, values)


def as_strided(array: Any, shape: tuple[int, ...], strides: tuple[int, ...]) -> Any:
    """A view of `array`'s memory with another shape and other strides (bytes); overlapping windows are such views."""
    return module_of(array).lib.stride_tricks.as_strided(array, shape=shape, strides=strides)


def synchronize(name: str) -> None:
    """Wait until everything asked of the device is done (a GPU computes behind the program's back)."""
    if name == "cupy":
        choice.module(name).cuda.Device().synchronize()


def memory_used(name: str) -> int:
    """Bytes now held by arrays on the device 'cupy'; 0 for 'numpy', which keeps no account."""
    return int(choice.module(name).get_default_memory_pool().used_bytes()) if name == "cupy" else 0
