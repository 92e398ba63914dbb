"""The stand-in's array, and the two steps around every computation: `unwrap` what comes in, `wrap` what goes out."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from tests.cupy_standin.counting import synchronize

SCALARS = (bool, int, float, complex, np.generic)

ufuncs: dict[str, Any] = {}  # what `numpy.add(device_array, ...)` is looked up in
functions: dict[str, Any] = {}  # what `numpy.concatenate([device_array])` is looked up in


class Flags:
    """What CuPy says of an array's memory: nothing about writing."""

    def __init__(self, host: Any, owndata: bool) -> None:
        self.c_contiguous = host.flags.c_contiguous
        self.f_contiguous = host.flags.f_contiguous
        self.owndata = owndata


class ndarray:  # noqa: N801 - CuPy's name
    """An array "on the device". Its values are in `_host`, which nothing outside the stand-in touches."""

    __slots__ = ("__weakref__", "_host", "base")
    __array_priority__ = 100

    def __init__(self, shape: Any, dtype: Any = float) -> None:
        self._host = np.empty(shape, dtype)
        self.base: ndarray | None = None

    # ---- what it is

    @property
    def shape(self) -> tuple[int, ...]:
        return self._host.shape

    @property
    def dtype(self) -> np.dtype[Any]:
        return self._host.dtype

    @property
    def ndim(self) -> int:
        return self._host.ndim

    @property
    def size(self) -> int:
        return self._host.size

    @property
    def strides(self) -> tuple[int, ...]:
        return self._host.strides

    @property
    def itemsize(self) -> int:
        return self._host.itemsize

    @property
    def nbytes(self) -> int:
        return self._host.nbytes

    @property
    def flags(self) -> Flags:
        return Flags(self._host, self.base is None)

    @property
    def T(self) -> ndarray:
        return self if self.ndim < 2 else wrap(self._host.T, self)

    # ---- to the host: each of these waits for the device

    def get(self) -> Any:
        synchronize("get()")
        return self._host.copy()

    def item(self) -> Any:
        synchronize("item()")
        if self.size != 1:
            raise ValueError("can only convert an array of size 1 to a Python scalar")
        return self._host.item()

    def tolist(self) -> Any:
        synchronize("tolist()")
        return self._host.tolist()

    def __bool__(self) -> bool:
        synchronize("bool()")
        return bool(self._host)

    def __float__(self) -> float:
        synchronize("float()")
        return float(self._host)

    def __int__(self) -> int:
        synchronize("int()")
        return int(self._host)

    def __complex__(self) -> complex:
        synchronize("complex()")
        return complex(self._host)

    def __repr__(self) -> str:
        synchronize("repr()")
        return repr(self._host)

    def __str__(self) -> str:
        synchronize("str()")
        return str(self._host)

    def __format__(self, spec: str) -> str:
        synchronize("format()")
        return format(self._host, spec)

    def __reduce__(self) -> Any:
        synchronize("pickle")
        return from_host, (self._host.copy(),)

    def __array__(self, dtype: Any = None, copy: Any = None) -> Any:
        raise TypeError(
            "Implicit conversion to a NumPy array is not allowed. "
            "Please use `.get()` to construct a NumPy array explicitly."
        )

    # ---- elements

    def __len__(self) -> int:
        if self.ndim == 0:
            raise TypeError("len() of unsized object")
        return len(self._host)

    def __iter__(self) -> Iterator[ndarray]:
        if self.ndim == 0:
            raise TypeError("iteration over a 0-d array")
        return (self[i] for i in range(len(self)))

    def __getitem__(self, index: Any) -> ndarray:
        parts = host_index(index, self._host)
        return wrap(self._host[(*parts, ...) if Ellipsis not in _kinds(parts) else parts], self)

    def __setitem__(self, index: Any, value: Any) -> None:
        parts = host_index(index, self._host)
        if isinstance(value, (np.ndarray, list, tuple)) and np.ndim(value) > 0:
            raise ValueError("non-scalar numpy.ndarray cannot be used for fill")
        with np.errstate(all="ignore"):
            self._host[parts] = value._host if isinstance(value, ndarray) else value

    # ---- methods

    def astype(self, dtype: Any, order: str = "K", casting: None = None, subok: None = None, copy: bool = True) -> Any:
        if not copy and self.dtype == dtype:
            return self
        with np.errstate(all="ignore"):
            return wrap(self._host.astype(dtype, order=order))

    def copy(self, order: str = "C") -> ndarray:
        return wrap(self._host.copy(order))

    def fill(self, value: Any) -> None:
        self[...] = value

    def reshape(self, *shape: Any, order: str = "C") -> ndarray:
        return wrap(self._host.reshape(*shape, order=order), self)

    def transpose(self, *axes: Any) -> ndarray:
        return wrap(self._host.transpose(*axes), self)

    def view(self, dtype: Any = None) -> ndarray:
        return wrap(self._host.view() if dtype is None else self._host.view(dtype), self)

    def set(self, array: Any) -> None:
        self._host[...] = array

    # ---- numpy.f(device_array) stays on the device

    def __array_ufunc__(self, ufunc: Any, method: str, *inputs: Any, **kwargs: Any) -> Any:
        found = ufuncs.get(ufunc.__name__)
        if found is None or not hasattr(found, method):
            return NotImplemented
        if "out" in kwargs:
            (kwargs["out"],) = kwargs["out"]
        for x in inputs:
            if not isinstance(x, (ndarray, np.ndarray, *SCALARS)):
                return NotImplemented
        return getattr(found, method)(*inputs, **kwargs)

    def __array_function__(self, function: Any, types: Any, args: Any, kwargs: Any) -> Any:
        name = ".".join([*function.__module__.split(".")[1:], function.__name__])
        if name not in functions or not all(issubclass(t, (ndarray, np.ndarray)) for t in types):
            return NotImplemented
        return functions[name](*args, **kwargs)


ndarray.__module__ = "cupy"


def from_host(array: Any) -> ndarray:
    """A device array that takes over a NumPy array (which nobody else may keep)."""
    result = ndarray.__new__(ndarray)
    result._host = array
    result.base = None
    return result


def wrap(value: Any, *sources: Any) -> Any:
    """What NumPy returned as the device would: arrays, 0-d ones included; views know the array they look into."""
    if isinstance(value, (tuple, list)):
        return type(value)(wrap(part, *sources) for part in value)
    if not isinstance(value, (np.ndarray, np.generic)):
        return value
    host = np.asarray(value)
    result = from_host(host)
    if host.base is not None:
        for source in sources:
            if isinstance(source, ndarray) and (host.base is source._host or host.base is source._host.base):
                result.base = source if source.base is None else source.base
    return result


def unwrap(value: Any) -> Any:
    """The NumPy array inside a device array; a NumPy array itself is refused, as CuPy refuses it."""
    if isinstance(value, ndarray):
        return value._host
    if isinstance(value, np.ndarray):
        raise TypeError(f"Unsupported type {type(value)}")
    if isinstance(value, (list, tuple)):
        return type(value)(unwrap(part) for part in value)
    return value


def compute(function: Callable[..., Any], args: Any, kwargs: Any) -> Any:
    """Call a NumPy function on device arrays. A GPU warns of no overflow and no division by zero."""
    with np.errstate(all="ignore"):
        value = function(*unwrap(tuple(args)), **{name: unwrap(x) for name, x in kwargs.items()})
    out = kwargs.get("out")
    return out if isinstance(out, ndarray) else wrap(value, *args)


def _kinds(parts: tuple[Any, ...]) -> list[Any]:
    return [part for part in parts if part is Ellipsis]


def host_index(index: Any, array: Any) -> tuple[Any, ...]:
    """An index of device arrays as NumPy's. An integer out of range in an index array wraps around, as on a GPU."""
    parts = tuple(_index_part(part) for part in (index if isinstance(index, tuple) else (index,)))
    axis, wrapped = 0, []
    used = sum(_axes_of(part) for part in parts)
    for part in parts:
        if part is Ellipsis:
            axis += array.ndim - used
        elif isinstance(part, np.ndarray) and part.dtype.kind in "iu" and axis < array.ndim and array.shape[axis]:
            part = part % array.shape[axis]
        if part is not Ellipsis:
            axis += _axes_of(part)
        wrapped.append(part)
    return tuple(wrapped)


def _index_part(part: Any) -> Any:
    if isinstance(part, ndarray):
        return part._host
    if isinstance(part, list):
        return np.asarray(part, dtype=None if part else np.int32)
    return part


def _axes_of(part: Any) -> int:
    """How many axes of the array one part of an index takes up."""
    if part is None or part is Ellipsis:
        return 0
    return part.ndim if isinstance(part, np.ndarray) and part.dtype == bool else 1
