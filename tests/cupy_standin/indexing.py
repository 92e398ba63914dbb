"""Reading and writing elements, where a GPU differs most from NumPy."""

from __future__ import annotations

from typing import Any

import numpy as np

from tests.cupy_standin.counting import synchronize

_order = np.random.default_rng(0)


def host_index(index: Any, array: Any) -> tuple[Any, ...]:
    """A device index for the NumPy `array`, as a tuple that gives an array also for a single element.

    In an index array an integer out of range wraps around, as on a GPU, which raises no error. A boolean index waits
    for the device, which must count how many there are.
    """
    parts = [_on_host(part) for part in (index if isinstance(index, tuple) else (index,))]
    parts = [int(part) if _is_number(part) else part for part in parts]  # 0.5 is 0, and "1" is 1
    if any(_is_mask(part) for part in parts):
        synchronize("boolean index")
    if not any(part is Ellipsis for part in parts):
        parts.append(Ellipsis)
    used = sum(_axes_of(part) for part in parts)
    axis = 0
    for i, part in enumerate(parts):
        if isinstance(part, np.ndarray) and not _is_mask(part) and axis < array.ndim and array.shape[axis]:
            parts[i] = part % array.shape[axis]
        axis += array.ndim - used if part is Ellipsis else _axes_of(part)
    return tuple(parts)


def store(array: Any, index: tuple[Any, ...], value: Any) -> None:
    """array[index] = value. Where the index names a place twice it is undefined which value stays, as on a GPU."""
    with np.errstate(all="ignore"):
        if np.ndim(value) and any(isinstance(part, np.ndarray) and not _is_mask(part) for part in index):
            places = np.arange(array.size).reshape(array.shape)[index]
            values = np.broadcast_to(value, places.shape).reshape(-1)
            order = _order.permutation(places.size)
            array.flat[places.reshape(-1)[order]] = values[order]
        else:
            array[index] = value


def scatter(function: Any, array: Any, index: tuple[Any, ...], values: Any) -> None:
    """`function.at` on NumPy arrays, in a new order at every call, as threads of a GPU come."""
    places = np.arange(array.size).reshape(array.shape)[index]
    values = np.broadcast_to(np.asarray(values, array.dtype), places.shape).reshape(-1)
    order = _order.permutation(places.size)
    with np.errstate(all="ignore"):
        function.at(array, np.unravel_index(places.reshape(-1)[order], array.shape), values[order])


def _on_host(part: Any) -> Any:
    if isinstance(part, list):
        return np.asarray(part, dtype=None if part else np.int32)
    return getattr(part, "_host", part)


def _is_number(part: Any) -> bool:
    return np.isscalar(part) and not isinstance(part, (bool, np.bool_))


def _is_mask(part: Any) -> bool:
    return isinstance(part, np.ndarray) and part.dtype == bool


def _axes_of(part: Any) -> int:
    """How many axes of the array one part of an index takes up."""
    if part is None or part is Ellipsis:
        return 0
    return part.ndim if _is_mask(part) else 1
