"""cuBLAS's C interface without a GPU: what a program gets that loads the library by its name.

Matrices are read at the addresses that are passed, column by column, as cuBLAS does; the arguments must have the C
types that it declares.
"""

from __future__ import annotations

import ctypes
from typing import Any

import numpy as np

from tests.cupy_standin.counting import run

VERSION = 13
NAMES = (f"libcublas.so.{VERSION}", f"cublas64_{VERSION}.dll")
HANDLE = 0x5EED
DTYPES = {0: np.dtype(np.float32), 1: np.dtype(np.float64), 2: np.dtype(np.float16)}
FACTORS = {68: ctypes.c_float, 69: ctypes.c_float, 77: ctypes.c_float, 70: ctypes.c_double, 71: ctypes.c_double}

POINTER, INT, LONG = ctypes.c_void_p, ctypes.c_int, ctypes.c_longlong
FACTOR = type(ctypes.byref(ctypes.c_float()))
SIZES = (POINTER, INT, INT, INT, INT, INT, FACTOR)
GEMM = (*SIZES, POINTER, INT, INT, POINTER, INT, INT, FACTOR, POINTER, INT, INT, INT, INT)
BATCHED = (
    *SIZES, POINTER, INT, INT, LONG, POINTER, INT, INT, LONG, FACTOR, POINTER, INT, INT, LONG, INT, INT, INT
)  # fmt: skip


def _checked(args: Any, types: Any) -> list[Any]:
    """The values of arguments that have these C types."""
    assert len(args) == len(types), f"expected {len(types)} arguments; got {len(args)}"
    for i, (arg, kind) in enumerate(zip(args, types, strict=True)):
        assert type(arg) is kind, f"argument {i}: expected {kind}; got {type(arg)}"
    return [arg._obj if isinstance(arg, FACTOR) else arg.value for arg in args]


def _columns(address: int, dtype: Any, step: int, columns: int) -> Any:
    """The memory of a matrix with so many columns, from each of which to the next there are `step` numbers."""
    raw = (ctypes.c_ubyte * (step * columns * dtype.itemsize)).from_address(address)
    return np.frombuffer(raw, dtype).reshape((columns, step)).T


def _multiply(transpose: Any, sizes: Any, factors: Any, x: Any, y: Any, out: Any, how: int) -> None:
    """out = x y, each (address, dtype, step)."""
    m, n, k = sizes
    for factor, value in zip(factors, (1, 0), strict=True):
        assert type(factor) is FACTORS[how], "factors have the type to compute in"
        assert factor.value == value
    shortest = (k if transpose[0] else m, n if transpose[1] else k, m)
    assert all(step >= most for (_, _, step), most in zip((x, y, out), shortest, strict=True)), "a step is a column"
    (ax, dx, sx), (ay, dy, sy), (ao, do, so) = ((a, DTYPES[d], s) for a, d, s in (x, y, out))
    left = _columns(ax, dx, sx, m).T[:, :k] if transpose[0] else _columns(ax, dx, sx, k)[:m]
    right = _columns(ay, dy, sy, k).T[:, :n] if transpose[1] else _columns(ay, dy, sy, n)[:k]
    wide = np.float64 if do == np.float64 else np.float32
    product = left[:, ::-1].astype(wide) @ right[::-1].astype(wide)  # added up from the other end
    _columns(ao, do, so, n)[:m] = product


class Library:
    """What `ctypes` gives for libcublas."""

    def __init__(self) -> None:
        self.stream: int | None = None
        self.workspace: int | None = None

    def cublasSetStream_v2(self, *args: Any) -> int:
        handle, self.stream = _checked(args, (POINTER, POINTER))
        assert handle == HANDLE
        self.workspace = None  # as it is documented
        return 0

    def cublasSetWorkspace_v2(self, *args: Any) -> int:
        _, self.workspace, _ = _checked(args, (POINTER, POINTER, ctypes.c_size_t))
        return 0

    def cublasGemmEx(self, *args: Any) -> int:
        _, ta, tb, m, n, k, one, a, da, sa, b, db, sb, zero, c, dc, sc, how, _ = _checked(args, GEMM)
        self._ready()
        run(
            "cublasGemmEx",
            lambda: _multiply((ta, tb), (m, n, k), (one, zero), (a, da, sa), (b, db, sb), (c, dc, sc), how),
        )
        return 0

    def cublasGemmStridedBatchedEx(self, *args: Any) -> int:
        checked = _checked(args, BATCHED)
        _, ta, tb, m, n, k, one, a, da, sa, ga, b, db, sb, gb, zero, c, dc, sc, gc, count, how, _ = checked
        self._ready()
        ia, ib, ic = (DTYPES[kind].itemsize for kind in (da, db, dc))

        def work() -> None:
            for i in range(count):
                matrices = (a + i * ga * ia, da, sa), (b + i * gb * ib, db, sb), (c + i * gc * ic, dc, sc)
                _multiply((ta, tb), (m, n, k), (one, zero), *matrices, how)

        run("cublasGemmStridedBatchedEx", work)
        return 0

    def _ready(self) -> None:
        assert self.stream, "a stream was set"
        assert self.workspace, "a recording brings its own workspace"


library = Library()
_load = ctypes.cdll.LoadLibrary


def load_library(name: Any) -> Any:
    """`ctypes.cdll.LoadLibrary` on a machine that has cuBLAS."""
    return library if name in NAMES else _load(name)
