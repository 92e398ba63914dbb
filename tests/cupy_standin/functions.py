"""The explicit list of what the stand-in computes: elementwise functions, functions of arrays, methods, operators.

A name that is missing here is missing from the stand-in. Adding it to a list is enough if NumPy's function of that
name does what CuPy's does; a test checks that CuPy has it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from tests.cupy_standin import kernels
from tests.cupy_standin.counting import refuse_copy_while_capturing, refuse_product_while_capturing, run, synchronize
from tests.cupy_standin.indexing import host_index, scatter
from tests.cupy_standin.names import NAMES, Parameters, listed
from tests.cupy_standin.ndarray import (
    SCALARS,
    compute,
    computed,
    empty_host,
    from_host,
    functions,
    ndarray,
    ufuncs,
    unwrap,
    wrap,
)

UFUNCS = listed(
    """
    abs absolute add arctan bitwise_and bitwise_or bitwise_xor ceil cos divide equal exp exp2 expm1 floor floor_divide
    fmax fmin greater greater_equal hypot invert isfinite isinf isnan less less_equal log log10 log1p log2 logical_and
    logical_not logical_or logical_xor maximum minimum multiply negative not_equal positive power reciprocal
    remainder right_shift rint sign signbit sin sqrt square subtract tan tanh true_divide trunc
    """
)

FUNCTIONS = listed(
    """
    all allclose any argmax argmin argsort argwhere around bincount broadcast_to clip copyto count_nonzero cumsum
    diff dot expand_dims flatnonzero flip full_like isclose lib.stride_tricks.as_strided
    lib.stride_tricks.sliding_window_view linalg.norm matmul max may_share_memory mean median min moveaxis nanmax
    nanmean nanmin nonzero ones_like pad prod ravel repeat reshape roll searchsorted shares_memory sort split
    squeeze std sum swapaxes take take_along_axis tensordot tile trace transpose tril triu unique var vdot
    zeros_like
    """
)

OF_SEQUENCES = listed("concatenate hstack stack vstack")  # their first argument is a list of arrays

CREATION = listed("arange eye full identity linspace ones zeros")

METHODS = listed(
    """
    all any argmax argmin argsort clip cumsum dot flatten max mean min nonzero prod ravel repeat round squeeze std
    sum swapaxes take trace var
    """
)

WAITING = {"argwhere", "bincount", "flatnonzero", "nonzero", "shares_memory", "unique"}  # their result's shape or value

THREADS = 16  # that CuPy has for each of several sums, at least

IN_ANOTHER_ORDER = {"mean", "prod", "std", "sum", "var"}  # than NumPy adds up in

FLUSHING = {"clip", "max", "mean", "min", "prod", "sum"}  # float32 numbers below 1.2e-38

PRODUCTS = {"dot", "matmul"}  # likewise

BY_CUBLAS = {"dot", "inner", "matmul", "tensordot", "vdot"}

MOST_IN_ONE_LAUNCH = 8  # arrays that are put together

INEXACT = {"arctan", "cos", "exp", "exp2", "expm1", "log", "log10", "log1p", "log2", "power", "sin", "tan", "tanh"}

KEEPS_LAYOUT = {"einsum", "empty_like", "full_like", "ones_like", "pad", "roll", "zeros_like"}  # as NumPy does

SCATTERING = {  # the ufuncs whose .at CuPy has, and for which dtypes
    "add": "float16 float32 float64 int32 int64 uint32 uint64",
    "bitwise_and": "int32 int64 uint32 uint64",
    "bitwise_or": "int32 int64 uint32 uint64",
    "maximum": "float32 float64 int32 int64 uint32 uint64",
    "minimum": "float32 float64 int32 int64 uint32 uint64",
    "subtract": "int32 uint32",
}

OPERATORS = {
    "add": "add",
    "and": "bitwise_and",
    "floordiv": "floor_divide",
    "mod": "remainder",
    "mul": "multiply",
    "or": "bitwise_or",
    "pow": "power",
    "rshift": "right_shift",
    "sub": "subtract",
    "truediv": "true_divide",
    "xor": "bitwise_xor",
}
COMPARISONS = {
    "eq": "equal",
    "ge": "greater_equal",
    "gt": "greater",
    "le": "less_equal",
    "lt": "less",
    "ne": "not_equal",
}
UNARY = {"abs": "absolute", "invert": "invert", "neg": "negative", "pos": "positive"}


def in_c_order(function: Callable[..., Any]) -> Callable[..., Any]:
    """What a GPU computes is C-contiguous, however its operands lie in memory; NumPy would keep their layout."""

    def call(*args: Any, **kwargs: Any) -> Any:
        value = function(*args, **kwargs)
        if not isinstance(value, np.ndarray) or value.flags.c_contiguous or kwargs.get("out") is not None:
            return value
        if any(isinstance(x, np.ndarray) and np.may_share_memory(value, x) for x in args):
            return value  # a view
        return value.copy()

    call.__name__ = function.__name__
    return call


def backwards(function: Callable[..., Any]) -> Callable[..., Any]:
    """A reduction that begins at the other end: the same up to rounding, as a GPU's is.

    Like CuPy's it adds up in pairs what lies in one piece and becomes one number. Of each of several sums the numbers
    are shared out among THREADS, each of which adds up its own one after the other.
    """

    def call(array: Any, *args: Any, **kwargs: Any) -> Any:
        if array.size < 2:
            return function(array, *args, **kwargs)
        axes = args[0] if args else kwargs.get("axis")
        reduced = range(array.ndim) if axes is None else np.atleast_1d(axes) % array.ndim
        inmost = [axis for axis in range(array.ndim) if axis not in reduced] + [int(axis) for axis in reduced]
        laid_out = np.flip(array).transpose(inmost).copy().transpose(np.argsort(inmost))
        one_piece = array.flags.c_contiguous and len(reduced) == array.ndim
        if function.__name__ == "sum" and not one_piece and array.dtype.kind == "f":
            value = shared_out(laid_out.transpose(inmost), tuple(reduced), *args, **kwargs)
        else:
            value = function(laid_out, *args, **kwargs)
        if isinstance(value, np.ndarray) and value.ndim:
            value[...] = np.flip(value).copy()
        return value

    call.__name__ = function.__name__
    return call


def shared_out(
    array: Any, reduced: tuple[int, ...], axis: Any = None, dtype: Any = None, out: Any = None, keepdims: bool = False
) -> Any:
    """The sums over the last axes, in memory one after the other, as THREADS would add them up, in `dtype`.

    These were the axes `reduced`, in which they are left with `keepdims`.
    """
    result = np.dtype(array.dtype if dtype is None else dtype)
    kept = array.shape[: array.ndim - len(reduced)]
    rows = array.reshape(*kept, -1).astype(np.float32 if result == np.float16 else result, copy=False)
    if rows.shape[-1] % THREADS:
        padding = np.zeros((*kept, -rows.shape[-1] % THREADS), rows.dtype)
        rows = np.concatenate([rows, padding], axis=-1)
    parts = rows.reshape(*kept, -1, THREADS)
    # NumPy adds row after row, and the sums of the threads in pairs.
    total = np.add.reduce(parts, axis=-2).sum(axis=-1).astype(result)
    if keepdims:
        total = np.expand_dims(total, tuple(int(one) for one in reduced))
    if out is None:
        return total
    out[...] = total
    return out


def product_backwards(function: Callable[..., Any]) -> Callable[..., Any]:
    """A product of matrices or vectors that begins at the other end."""

    def call(a: Any, b: Any, *args: Any, **kwargs: Any) -> Any:
        if a.ndim == 0 or b.ndim == 0:
            return function(a, b, *args, **kwargs)
        return function(a[..., ::-1], np.flip(b, -2 if b.ndim > 1 else 0), *args, **kwargs)

    call.__name__ = function.__name__
    return call


def off_by_one(function: Callable[..., Any], round_too: bool = False) -> Callable[..., Any]:
    """Half of the float32 and float64 results that are no round numbers are off by one unit, as on a GPU.

    Of a power of CUDA's round numbers may be off as well, below: 3.0 ** 1 is 2.9999999999999996.
    """

    def call(*args: Any, out: Any = None, **kwargs: Any) -> Any:
        value = np.asarray(function(*args, **kwargs))
        if value.dtype.char in "fd":
            bits = value.view(f"i{value.itemsize}")
            fraction = (1 << (12 if value.itemsize == 4 else 40)) - 1
            touched = np.isfinite(value) & (bits & fraction != 0) & ((bits ^ (bits >> 3)) & 1 == 1)
            round_number = np.isfinite(value) & (bits & fraction == 0) & (np.abs(value) > 1) & round_too
            value = np.where(touched, np.nextafter(value, value.dtype.type(np.inf)), value)
            value = np.where(round_number, np.nextafter(value, value.dtype.type(0)), value)
        if out is None:
            return value
        out[...] = value
        return out

    call.__name__ = function.__name__
    return call


def flushing(function: Callable[..., Any]) -> Callable[..., Any]:
    """With `--arithmetic gpu`, as CuPy compiles all its kernels: float32 numbers below 1.2e-38 count as 0."""

    def call(*args: Any, out: Any = None, **kwargs: Any) -> Any:
        if kernels.arithmetic != "gpu":
            return function(*args, out=out, **kwargs)
        value = flushed(function(*map(flushed, args), **kwargs))
        if out is None:
            return value
        out[...] = value
        return out

    call.__name__ = function.__name__
    return call


def flushed(value: Any) -> Any:
    """The array with 0 for what is below float32's smallest normal number; anything else as it is."""
    if not isinstance(value, (np.ndarray, np.generic)) or value.dtype != np.float32:
        return value
    small = (value != 0) & (np.abs(value) < np.finfo(np.float32).tiny)
    return np.where(small, np.copysign(np.float32(0), value), value) if small.any() else value


def without_an_error(function: Callable[..., Any]) -> Callable[..., Any]:
    """`power` as CuPy has it: a negative power of an integer is 0, of 1 and -1 what it is, and no error."""

    def call(x: Any, y: Any, **kwargs: Any) -> Any:
        if np.result_type(x, y).kind not in "iu" or not (np.asarray(y) < 0).any():
            return function(x, y, **kwargs)
        whole = function(x, np.abs(y), **kwargs)
        return np.where((np.asarray(y) < 0) & (np.abs(x) != 1), 0, whole)

    call.__name__ = function.__name__
    return call


class ufunc:  # noqa: N801 - CuPy's name
    """An elementwise function: arrays of the device and scalars only, and none of NumPy's `where=`."""

    def __init__(self, name: str) -> None:
        self.name = name
        self._host = getattr(np, name)
        computed_as = without_an_error(self._host) if name == "power" else self._host
        inexact = off_by_one(computed_as, name == "power") if name in INEXACT else computed_as
        self._elementwise = in_c_order(flushing(inexact))

    def __call__(self, *args: Any, out: Any = None, dtype: Any = None, casting: str = "same_kind") -> Any:
        for x in args:
            if not isinstance(x, (ndarray, *SCALARS)):
                raise TypeError(f"Unsupported type {type(x)}")
        return compute(self._elementwise, args, {"out": out, "dtype": dtype, "casting": casting})

    def at(self, a: ndarray, indices: Any, b: Any = None) -> None:
        if self.name not in SCATTERING:
            raise NotImplementedError(f"`cupy_{self.name}.at` is not supported yet")
        if a.dtype.name not in SCATTERING[self.name].split():
            raise TypeError(f"cupy.{self.name}.at only supports {SCATTERING[self.name]} as data type; got {a.dtype}")

        def work() -> None:
            scatter(self._host, a._host, host_index(indices, a._host), unwrap(b))

        run(f"{self.name}.at", work)

    def reduce(self, array: ndarray, axis: Any = 0, dtype: Any = None, out: Any = None, keepdims: bool = False) -> Any:
        if self.name not in ("add", "multiply"):
            raise NotImplementedError(f"`cupy_{self.name}.reduce` is not supported yet")
        options = {"axis": axis, "dtype": dtype, "out": out, "keepdims": keepdims}
        return compute(backwards(self._host.reduce), (array,), options)


def on_device(name: str, function: Callable[..., Any], check_first: Callable[[Any], bool]) -> Callable[..., Any]:
    """NumPy's `function` for device arrays, with the parameters of CuPy's function called `name`."""
    parameters = NAMES[name]
    assert parameters is not None

    def call(*args: Any, **kwargs: Any) -> Any:
        parameters.check(name, args, kwargs)
        if not check_first(args[0] if args else None):
            raise TypeError(f"cupy.{name}: expected an array of the device; got {type(args[0]) if args else 'nothing'}")
        last = name.rpartition(".")[2]
        if last in BY_CUBLAS:
            refuse_product_while_capturing()
        if name in OF_SEQUENCES and len(args[0]) > MOST_IN_ONE_LAUNCH:
            refuse_copy_while_capturing()  # of a table with all their addresses
        if last in WAITING or (last in ("arange", "linspace") and any(isinstance(x, ndarray) for x in args)):
            synchronize(name)
        if kwargs.get("kind") not in (None, "stable"):
            raise ValueError("kind can only be None or 'stable'")
        if last in ("argmax", "argmin"):
            refuse_axis_of_a_number(*args, **kwargs)
        if last == "clip":
            refuse_what_is_no_operand(args[1:])
        if last == "shares_memory" and args[0].ndim == args[1].ndim == 0:
            return from_host(np.asarray(True))  # what CuPy 14 says of any two of them
        if kwargs.get("shape") == ():
            del kwargs["shape"]  # CuPy takes `shape=()` for no shape given
        return as_array(compute(as_on_a_gpu(function, name), args, kwargs))

    call.__name__ = name
    return call


def refuse_axis_of_a_number(array: ndarray, axis: Any = None, *others: Any, **options: Any) -> None:
    """For NumPy an array without axes has an axis 0 here."""
    if axis is not None and array.ndim == 0:
        raise np.exceptions.AxisError(axis, 0)


def refuse_what_is_no_operand(values: Any) -> None:
    """What is neither an array of the device nor a number has no kernel."""
    for value in values:
        if value is not None and not isinstance(value, (ndarray, *SCALARS)):
            raise TypeError(f"Unsupported type {type(value)}")


def as_on_a_gpu(function: Callable[..., Any], name: str) -> Callable[..., Any]:
    """NumPy's function with the order of adding up and the memory layout of CuPy's."""
    if name in IN_ANOTHER_ORDER:
        function = backwards(function)
    if name in FLUSHING:
        function = flushing(function)
    if name in PRODUCTS:
        function = product_backwards(function)
    return function if name in KEEPS_LAYOUT else in_c_order(function)


def as_array(value: Any) -> Any:
    """Where NumPy gives a Python truth value or number (allclose, count_nonzero), CuPy gives a 0-d array."""
    return from_host(np.asarray(value)) if isinstance(value, (bool, int, float)) else value


def _is_array(first: Any) -> bool:
    return isinstance(first, ndarray)


def _are_arrays(first: Any) -> bool:
    if any(isinstance(a, ndarray) and a.ndim == 0 for a in first):
        raise TypeError("zero-dimensional arrays cannot be concatenated")
    return all(isinstance(a, ndarray) for a in first)


def _anything(first: Any) -> bool:
    return True


# ---- functions that differ from NumPy's by more than their parameters


def array(obj: Any, dtype: Any = None, copy: bool | None = True, order: str = "K", ndmin: int = 0) -> ndarray:
    """From the host to the device: the one door NumPy arrays come in by."""
    if isinstance(obj, ndarray):
        return obj if not copy and dtype in (None, obj.dtype) else obj.astype(obj.dtype if dtype is None else dtype)
    value = np.array(obj, dtype=dtype, ndmin=ndmin)
    if value.dtype.kind not in "biufc":
        raise ValueError(f"Unsupported dtype {value.dtype}")
    if value.ndim:  # a single number is filled in by a kernel
        refuse_copy_while_capturing()
    return from_host(value)


def empty(shape: Any, dtype: Any = float, order: str = "C") -> ndarray:
    return from_host(empty_host(shape, np.dtype(dtype)))


def empty_like(
    prototype: ndarray, dtype: Any = None, order: str = "K", subok: None = None, shape: Any = None
) -> ndarray:
    like = np.empty_like(unwrap(prototype), dtype, order, shape=shape)
    like[...] = empty_host((), like.dtype)
    return from_host(like)


def asarray(a: Any, dtype: Any = None, order: str | None = None) -> ndarray:
    return array(a, dtype, copy=None)


def ascontiguousarray(a: ndarray, dtype: Any = None) -> ndarray:
    return wrap(computed("ascontiguousarray", lambda: np.ascontiguousarray(a._host, dtype), a._host), a)


def asnumpy(a: Any, stream: None = None, order: str = "C", out: Any = None) -> Any:
    if not isinstance(a, ndarray):
        return np.asarray(a)
    synchronize("asnumpy")
    return a._host.copy()


def array_equal(a1: ndarray, a2: ndarray, equal_nan: bool = False) -> ndarray:
    if equal_nan:
        synchronize("array_equal(equal_nan=True)")
    return from_host(np.asarray(np.array_equal(unwrap(a1), unwrap(a2), equal_nan)))


def einsum(*operands: Any, optimize: Any = False) -> ndarray:
    refuse_product_while_capturing()
    return compute(np.einsum, operands, {"optimize": optimize})


def where(condition: ndarray, x: Any = None, y: Any = None) -> Any:
    if x is None or y is None:
        raise ValueError("the stand-in has where with three arguments only: of one it is nonzero(), which waits")
    if not isinstance(condition, (ndarray, np.bool_)):
        raise AttributeError(f"{type(condition).__name__!r} object has no attribute 'astype'")
    for value in (x, y):
        if not isinstance(value, (ndarray, *SCALARS)):
            raise TypeError(f"Unsupported type {type(value)}")
    return compute(in_c_order(np.where), (condition, x, y), {})


def ndim(a: Any) -> int:
    return a.ndim


def shape(a: Any) -> tuple[int, ...]:
    return a.shape


def size(a: Any, axis: int | None = None) -> int:
    return a.size if axis is None else a.shape[axis]


SPECIAL = (
    array, array_equal, asarray, ascontiguousarray, asnumpy, einsum, empty, empty_like, ndim, shape, size, where
)  # fmt: skip


# ---- filling in


def _operator(name: str, reverse: bool = False) -> Callable[[Any, Any], Any]:
    def operate(self: ndarray, other: Any) -> Any:
        if getattr(other, "__array_ufunc__", True) is None:
            return NotImplemented  # the other class wants to do this itself
        return getattr(np, name)(*((other, self) if reverse else (self, other)))

    return operate


def _in_place(name: str) -> Callable[[Any, Any], Any]:
    return lambda self, other: ufuncs[name](self, other, out=self)


def _unary(name: str) -> Callable[[Any], Any]:
    return lambda self: ufuncs[name](self)


def _method(name: str) -> Callable[..., Any]:
    parameters = NAMES[f"ndarray.{name}"]
    assert isinstance(parameters, Parameters)

    def method(self: ndarray, *args: Any, **kwargs: Any) -> Any:
        parameters.check(f"ndarray.{name}", args, kwargs)
        if name in BY_CUBLAS:
            refuse_product_while_capturing()
        if name in WAITING:
            synchronize(f"{name}()")
        if name in ("argmax", "argmin"):
            refuse_axis_of_a_number(self, *args, **kwargs)
        if kwargs.get("kind") not in (None, "stable"):
            raise ValueError("kind can only be None or 'stable'")
        return compute(as_on_a_gpu(getattr(np.ndarray, name), name), (self, *args), kwargs)

    return method


def _numpy(name: str) -> Any:
    found: Any = np
    for part in name.split("."):
        found = getattr(found, part)
    return found


def fill_tables() -> None:
    """Make the listed functions, and give ndarray its methods and operators."""
    for name in UFUNCS:
        ufuncs[name] = ufunc(name)
    for names, check_first in ((FUNCTIONS, _is_array), (OF_SEQUENCES, _are_arrays), (CREATION, _anything)):
        for name in names:
            functions[name] = on_device(name, _numpy(name), check_first)
    for function in SPECIAL:
        functions[function.__name__] = function
    for name in METHODS:
        setattr(ndarray, name, _method(name))
    for operator, name in {**OPERATORS, "matmul": "matmul"}.items():
        setattr(ndarray, f"__{operator}__", _operator(name))
        setattr(ndarray, f"__r{operator}__", _operator(name, reverse=True))
    for operator, name in OPERATORS.items():
        setattr(ndarray, f"__i{operator}__", _in_place(name))
    for operator, name in COMPARISONS.items():
        setattr(ndarray, f"__{operator}__", _operator(name))
    for operator, name in UNARY.items():
        setattr(ndarray, f"__{operator}__", _unary(name))


fill_tables()
