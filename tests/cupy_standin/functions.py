"""The explicit list of what the stand-in has: elementwise functions, methods, operators and everything else."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from tests.cupy_standin.counting import synchronize
from tests.cupy_standin.ndarray import SCALARS, compute, from_host, functions, ndarray, ufuncs, wrap

UFUNCS = """abs absolute add arctan arctanh bitwise_and bitwise_or ceil cos divide equal exp exp2 expm1 floor
floor_divide fmax fmin greater greater_equal invert isfinite isinf isnan less less_equal log log10 log1p log2
logical_and logical_not logical_or logical_xor maximum minimum multiply negative not_equal positive power reciprocal
remainder rint sign signbit sin sqrt square subtract tan tanh true_divide trunc""".split()

FUNCTIONS = """all allclose any argmax argmin argsort array_equal around average bincount broadcast_to clip concatenate
copyto count_nonzero cumsum diff dot einsum expand_dims flatnonzero flip histogram isclose linalg.norm lib.stride_tricks.as_strided
lib.stride_tricks.sliding_window_view matmul max may_share_memory mean median min moveaxis nanmax nanmean nanmin nonzero ones_like pad percentile
prod quantile ravel repeat reshape roll rollaxis searchsorted sort split squeeze stack std sum swapaxes take
take_along_axis tensordot tile transpose trace tril triu unique vdot where zeros_like empty_like full_like""".split()

CREATION = "arange empty eye full identity linspace ones zeros".split()

METHODS = """all any argmax argmin argsort clip cumsum dot flatten max mean min nonzero prod ravel repeat round squeeze
std sum swapaxes take trace var""".split()


class ufunc:  # noqa: N801 - CuPy's name
    """An elementwise function: arrays of the device and scalars only, and none of NumPy's `where=`."""

    def __init__(self, name: str) -> None:
        self.name = name
        self._host = getattr(np, name)

    def __call__(self, *args: Any, out: Any = None, dtype: Any = None, casting: str = "same_kind") -> Any:
        for x in args:
            if not isinstance(x, (ndarray, *SCALARS)):
                raise TypeError(f"Unsupported type {type(x)}")
        return compute(self._host, args, {"out": out, "dtype": dtype, "casting": casting})

    def at(self, array: ndarray, index: Any, values: Any = None) -> None:
        if self.name not in ("add", "subtract", "maximum", "minimum", "bitwise_and", "bitwise_or"):
            raise NotImplementedError(f"cupy.{self.name}.at")
        before = array[index]  # refuses what CuPy refuses, and wraps around where it does
        del before
        from tests.cupy_standin.ndarray import host_index, unwrap

        self._host.at(array._host, host_index(index, array._host), unwrap(values))

    def reduce(self, array: ndarray, axis: Any = 0, dtype: Any = None, out: Any = None, keepdims: bool = False) -> Any:
        return compute(self._host.reduce, (array,), {"axis": axis, "dtype": dtype, "out": out, "keepdims": keepdims})


def on_device(function: Callable[..., Any], always_array: bool = True) -> Callable[..., Any]:
    """`function` of NumPy for device arrays."""

    def call(*args: Any, **kwargs: Any) -> Any:
        value = compute(function, args, kwargs)
        return from_host(np.asarray(value)) if always_array and isinstance(value, (bool, int, float)) else value

    return call


def array(obj: Any, dtype: Any = None, copy: bool | None = True, order: str = "K", ndmin: int = 0) -> ndarray:
    """From the host to the device: the one door NumPy arrays come in by."""
    if isinstance(obj, ndarray):
        if not copy and (dtype is None or obj.dtype == dtype):
            return obj
        return obj.astype(dtype or obj.dtype)
    return from_host(np.array(obj, dtype=dtype, ndmin=ndmin))


def asarray(a: Any, dtype: Any = None, order: str | None = None) -> ndarray:
    return array(a, dtype, copy=False)


def ascontiguousarray(a: ndarray, dtype: Any = None) -> ndarray:
    return wrap(np.ascontiguousarray(a._host, dtype), a)


def asnumpy(a: Any) -> Any:
    synchronize("asnumpy")
    return a._host.copy() if isinstance(a, ndarray) else np.asarray(a)


def _operator(name: str) -> Callable[..., Any]:
    def binary(self: ndarray, other: Any) -> Any:
        if getattr(type(other), "__array_ufunc__", True) is None:
            return NotImplemented
        return getattr(np, name)(self, other) if name != "matmul" else functions["matmul"](self, other)

    return binary


def _reversed_operator(name: str) -> Callable[..., Any]:
    def binary(self: ndarray, other: Any) -> Any:
        return getattr(np, name)(other, self) if name != "matmul" else functions["matmul"](other, self)

    return binary


def _in_place(name: str) -> Callable[..., Any]:
    def binary(self: ndarray, other: Any) -> ndarray:
        return ufuncs[name](self, other, out=self)

    return binary


def _method(name: str) -> Callable[..., Any]:
    def method(self: ndarray, *args: Any, **kwargs: Any) -> Any:
        def call(host: Any, *arguments: Any, **keywords: Any) -> Any:
            return getattr(host, name)(*arguments, **keywords)

        return compute(call, (self, *args), kwargs)

    return method


def _fill_tables() -> None:
    for name in UFUNCS:
        ufuncs[name] = ufunc(name)
    for name in FUNCTIONS:
        source: Any = np
        for part in name.split("."):
            source = getattr(source, part)
        functions[name] = on_device(source)
    for name in METHODS:
        setattr(ndarray, name, _method(name))
    operators = {
        "add": "add",
        "sub": "subtract",
        "mul": "multiply",
        "truediv": "true_divide",
        "floordiv": "floor_divide",
        "mod": "remainder",
        "pow": "power",
        "matmul": "matmul",
        "and": "bitwise_and",
        "or": "bitwise_or",
    }
    for operator, name in operators.items():
        setattr(ndarray, f"__{operator}__", _operator(name))
        setattr(ndarray, f"__r{operator}__", _reversed_operator(name))
        if name != "matmul":
            setattr(ndarray, f"__i{operator}__", _in_place(name))
    comparisons = {
        "lt": "less", "le": "less_equal", "gt": "greater", "ge": "greater_equal", "eq": "equal", "ne": "not_equal",
    }
    for operator, name in comparisons.items():
        setattr(ndarray, f"__{operator}__", _operator(name))
    for operator, name in {"neg": "negative", "pos": "positive", "abs": "absolute", "invert": "invert"}.items():
        setattr(ndarray, f"__{operator}__", lambda self, name=name: ufuncs[name](self))
    ndarray.__hash__ = None  # type: ignore[assignment]


_fill_tables()
