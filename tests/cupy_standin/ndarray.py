"""The stand-in's array, and the two steps around every computation: `unwrap` what comes in, `wrap` what goes out."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import numpy as np

from tests.cupy_standin.counting import capturing, launch, refuse_while_capturing, run, synchronize
from tests.cupy_standin.indexing import host_index, store
from tests.cupy_standin.memory import allocate, release
from tests.cupy_standin.streams import copy_from_host

SCALARS = (bool, int, float, complex, np.generic)

ufuncs: dict[str, Any] = {}  # where numpy.add(device_array, ...) finds the device's own
functions: dict[str, Any] = {}  # where numpy.concatenate([device_array]) does


class Flags(NamedTuple):
    """What CuPy says of an array's memory: nothing about writing."""

    c_contiguous: bool
    f_contiguous: bool
    owndata: bool


class MemoryPointer:
    """Where an array's first element lies."""

    def __init__(self, ptr: int) -> None:
        self.ptr = ptr


class Place(NamedTuple):
    """Which of several GPUs."""

    id: int


class ndarray:  # noqa: N801 - CuPy's name
    """An array "on the device". Its values are in `_host`, which nothing outside the stand-in touches."""

    __slots__ = ("__weakref__", "_host", "_memory", "base")
    __array_priority__ = 100
    __hash__ = None  # type: ignore[assignment]

    def __init__(self, shape: Any, dtype: Any = float) -> None:
        self._host = empty_host(shape, np.dtype(dtype))
        self._memory: int | ndarray = allocate(self._host.nbytes)  # bytes of its own, or whose memory it looks into
        self.base: ndarray | None = None

    def __del__(self, release: Callable[[int], None] = release) -> None:
        memory = getattr(self, "_memory", None)
        if isinstance(memory, int):
            release(memory)

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
        return Flags(self._host.flags.c_contiguous, self._host.flags.f_contiguous, self.base is None)

    @property
    def data(self) -> MemoryPointer:
        return MemoryPointer(self._host.__array_interface__["data"][0])

    @property
    def device(self) -> Place:
        return Place(0)

    @property
    def T(self) -> ndarray:
        return self if self.ndim < 2 else wrap(self._host.T, self)

    # ---- to the host: each of these waits for the device

    def _fetch(self, what: str) -> Any:
        synchronize(what)
        return self._host.copy()

    def get(self, stream: None = None, order: str = "C", out: None = None, blocking: bool = True) -> Any:
        return self._fetch("get()")

    def item(self) -> Any:
        if self.size != 1:
            raise ValueError("can only convert an array of size 1 to a Python scalar")
        return self._fetch("item()").item()

    def tolist(self) -> Any:
        return self._fetch("tolist()").tolist()

    def tobytes(self) -> bytes:
        return self._fetch("tobytes()").tobytes()

    def __bool__(self) -> bool:
        return bool(self._fetch("bool()"))

    def __float__(self) -> float:
        return float(self._fetch("float()"))

    def __int__(self) -> int:
        return int(self._fetch("int()"))

    def __complex__(self) -> complex:
        return complex(self._fetch("complex()"))

    def __repr__(self) -> str:
        return repr(self._fetch("repr()"))

    def __str__(self) -> str:
        return str(self._fetch("str()"))

    def __format__(self, spec: str) -> str:
        return format(self._fetch("format()"), spec)

    def __reduce__(self) -> Any:
        return from_host, (self._fetch("pickle"),)

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
        return wrap(computed("getitem", lambda: self._host[host_index(index, self._host)], self._host), self)

    def __setitem__(self, index: Any, value: Any) -> None:
        if isinstance(value, (np.ndarray, list, tuple)) and np.ndim(value) > 0:
            raise ValueError("non-scalar numpy.ndarray cannot be used for fill")

        def work() -> None:
            store(self._host, host_index(index, self._host), value._host if isinstance(value, ndarray) else value)

        run("setitem", work)

    # ---- copies and views; the methods that compute are filled in by functions.py

    def __copy__(self) -> ndarray:
        return self.copy()

    def __deepcopy__(self, memo: dict[int, Any]) -> ndarray:
        return self.copy()

    def copy(self, order: str = "C") -> ndarray:
        return wrap(computed("copy", lambda: self._host.copy(order)))

    def astype(self, dtype: Any, order: str = "K", casting: None = None, subok: None = None, copy: bool = True) -> Any:
        if not copy and self.dtype == dtype:
            return self
        return wrap(computed("astype", lambda: self._host.astype(dtype, order=order)))

    def reshape(self, *shape: Any, order: str = "C") -> ndarray:
        return wrap(computed("reshape", lambda: self._host.reshape(*shape, order=order), self._host), self)

    def transpose(self, *axes: Any) -> ndarray:
        return wrap(self._host.transpose(*axes), self)

    def view(self, dtype: Any = None) -> ndarray:
        return wrap(self._host.view() if dtype is None else self._host.view(dtype), self)

    def fill(self, value: Any) -> None:
        if isinstance(value, ndarray):
            synchronize("fill(array of the device)")  # CuPy asks whether it is 0
        self[...] = value

    def set(self, arr: Any, stream: Any = None) -> None:
        """From the host, which is what it is for: a NumPy array of the same shape and dtype."""
        refuse_while_capturing("set")
        if not isinstance(arr, np.ndarray):
            raise TypeError("Only numpy.ndarray can be set to cupy.ndarray")
        if self.dtype != arr.dtype:
            raise TypeError(f"{arr.dtype} array cannot be set to {self.dtype} array")
        if self.shape != arr.shape:
            raise ValueError(f"Shape mismatch. Old shape: {self.shape}, new shape: {arr.shape}")
        if not (self._host.flags.c_contiguous or self._host.flags.f_contiguous):
            raise RuntimeError("Cannot set to non-contiguous array")
        copy_from_host(self._host, arr, stream)

    # ---- numpy.f(device_array) stays on the device

    def __array_ufunc__(self, ufunc: Any, method: str, *inputs: Any, **kwargs: Any) -> Any:
        found = ufuncs.get(ufunc.__name__, functions.get(ufunc.__name__))  # matmul is a ufunc of NumPy's alone
        if found is None or not (method == "__call__" or hasattr(found, method)):
            return NotImplemented
        if "out" in kwargs:
            (kwargs["out"],) = kwargs["out"]
        if not all(isinstance(x, (ndarray, np.ndarray, *SCALARS)) for x in inputs):
            return NotImplemented
        return getattr(found, method)(*inputs, **kwargs)

    def __array_function__(self, function: Any, types: Any, args: Any, kwargs: Any) -> Any:
        name = ".".join([*function.__module__.split(".")[1:], function.__name__])
        if name not in functions or not all(issubclass(t, (ndarray, np.ndarray)) for t in types):
            return NotImplemented
        return functions[name](*args, **kwargs)


ndarray.__module__ = "cupy"


def from_host(array: Any, owner: ndarray | None = None) -> ndarray:
    """A device array that takes over a NumPy array (which nobody else may keep), or looks into the owner's memory."""
    result = ndarray.__new__(ndarray)
    result._memory = allocate(array.nbytes) if owner is None else owner
    result._host = array
    result.base = None
    return result


def wrap(value: Any, *sources: Any) -> Any:
    """What NumPy returned, as the device would: arrays, 0-d ones included; a view knows the array it looks into."""
    if isinstance(value, (tuple, list)):
        return type(value)(wrap(part, *sources) for part in value)
    if not isinstance(value, (np.ndarray, np.generic)):
        return value
    host = np.asarray(value)
    if host.base is None:
        return from_host(host)
    seen = [x for x in sources if isinstance(x, ndarray) and np.may_share_memory(host, x._host)]
    owner = next((x if isinstance(x._memory, int) else x._memory for x in seen), None)
    result = from_host(host, owner)
    for source in seen:
        if host.base is source._host or host.base is source._host.base:  # not so of as_strided
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


def compute(function: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """Call a NumPy function on device arrays."""
    hosts, options = unwrap(args), {name: unwrap(x) for name, x in kwargs.items()}
    name = getattr(function, "__name__", "compute")
    value = computed(name, lambda: function(*hosts, **options), *hosts, out=options.get("out"))
    out = kwargs.get("out")
    return out if isinstance(out, ndarray) else wrap(value, *args)


def computed(name: str, work: Callable[[], Any], *sources: Any, out: Any = None) -> Any:
    """What `work` gives, noted as a launch unless it is only another view of a source.

    A GPU warns of no overflow and no division by zero. While a stream is captured nothing is computed: what there is
    stays as it is, and new arrays hold what happens to lie there.
    """

    def compute_again() -> Any:
        with np.errstate(all="ignore"):
            return work()

    if out is not None:
        run(name, compute_again)
        return out
    value = compute_again()
    if isinstance(value, (np.generic, bool, int, float)):
        value = np.asarray(value)
    if any(_overlap(value, source) for source in _arrays(sources)):
        return value

    def again() -> None:
        fresh = compute_again()
        for place, result in zip(_arrays(value), [fresh] if np.isscalar(fresh) else _arrays(fresh), strict=True):
            place[...] = result

    if capturing():
        for array in _arrays(value):
            spoil(array)
    launch(name, again)
    return value


def _arrays(value: Any) -> list[Any]:
    """The NumPy arrays in what a function takes or gives."""
    if isinstance(value, (tuple, list)):
        return [array for part in value for array in _arrays(part)]
    return [value] if isinstance(value, np.ndarray) else []


def _overlap(value: Any, source: Any) -> bool:
    return any(np.may_share_memory(part, source) for part in _arrays(value))


def empty_host(shape: Any, dtype: np.dtype[Any]) -> Any:
    """Memory that nobody has written to yet: NaN, or -1, so that what is read from it is noticed."""
    array = np.empty(shape, dtype)
    spoil(array)
    return array


def spoil(array: Any) -> None:
    """Overwrite a NumPy array with NaN, or -1."""
    if array.dtype.kind != "b":
        array[...] = np.frombuffer(b"\xff" * array.itemsize, array.dtype)[0]
