"""Products of matrices while a step is captured: cuBLAS, asked by its own C interface.

CuPy's products are cuBLAS's. But while a stream is captured CuPy 14 refuses to ask for one ("calling cuBLAS API during
stream capture is currently unsupported"), though cuBLAS can be captured (cuBLAS documentation, "CUDA Graphs Support").
So then, and only then, minidl calls the function that CuPy would have called, with the same arguments, and a replay
gives the same numbers as a step that was not captured.

cuBLAS needs memory to work in. What it has is shared by all products of a thread, and a replay may run beside them on
another stream: a capture brings its own.

Source: the cuBLAS library documentation, `cublasGemmEx` and `cublasGemmStridedBatchedEx`.
"""

from __future__ import annotations

import ctypes
import math
import sys
from typing import Any, NamedTuple

import numpy as np

from minidl.backend import choice
from minidl.errors import DeviceError, DTypeError, ShapeError

WORKSPACE = 32 << 20  # bytes; what cuBLAS takes for itself on an H100

# cuBLAS's numbers for: how an operand is read, the dtypes, what to compute in, and how to choose an algorithm.
_AS_IT_LIES, _TRANSPOSED = 0, 1
_DTYPES = {"float16": 2, "float32": 0, "float64": 1}
_FLOAT, _FLOAT_PEDANTIC, _TF32, _DOUBLE, _DOUBLE_PEDANTIC = 68, 69, 77, 70, 71
_DEFAULT, _DEFAULT_TENSOR_CORES = -1, 99
_CUPYS_PEDANTIC, _CUPYS_TF32 = 2, 7  # CuPy's numbers for how to compute


def _library(version: int) -> Any:
    """The cuBLAS that CuPy has loaded: CUDA's version is in the name, so that this finds the very same."""
    name = f"cublas64_{version}.dll" if sys.platform == "win32" else f"libcublas.so.{version}"
    try:
        return ctypes.cdll.LoadLibrary(name)
    except OSError as error:
        raise DeviceError(f"a step with products of matrices cannot be captured: {name} cannot be loaded") from error


class Operand(NamedTuple):
    """A matrix, or the first of a stack of them, as cuBLAS is told of it.

    Attributes:
        read: whether as it lies, or transposed.
        address: where it begins.
        row: numbers from the beginning of a row to that of the next ("leading dimension").
        stride: numbers from one matrix to the next.
    """

    read: int
    address: int
    row: int
    stride: int


class Cublas:
    """Products for the stream that is captured; made before the capture begins."""

    def __init__(self, stream: Any) -> None:
        xp = choice.module("cupy")
        device = xp.cuda.Device()
        self._handle = ctypes.c_void_p(device.cublas_handle)  # for which CuPy loads the library, if it was not yet
        self._library = _library(xp.cuda.runtime.runtimeGetVersion() // 1000)
        self._workspace = xp.empty(WORKSPACE, dtype=np.uint8)
        self._capability = int(device.compute_capability)
        _check(self._library.cublasSetStream_v2(self._handle, ctypes.c_void_p(stream.ptr)))
        place = ctypes.c_void_p(self._workspace.data.ptr)
        _check(self._library.cublasSetWorkspace_v2(self._handle, place, ctypes.c_size_t(WORKSPACE)))

    def finish(self) -> None:
        """Give the handle back to CuPy, which sets the stream before every use; this also takes away the workspace."""
        _check(self._library.cublasSetStream_v2(self._handle, ctypes.c_void_p(0)))

    def product(self, x: Any, y: Any, out: Any = None) -> Any:
        """x @ y as `numpy.matmul` has it, of floating arrays of the device; `out` is in C order.

        Raises:
            ShapeError, DTypeError: the arrays have no product, or are of integers.
        """
        xp, dtype = choice.module("cupy"), np.result_type(x.dtype, y.dtype)
        left = x.reshape((1, -1)) if x.ndim == 1 else x
        right = y.reshape((-1, 1)) if y.ndim == 1 else y
        if left.shape[-1] != right.shape[-2]:
            raise ShapeError(f"matmul: expected x.shape[-1] == y.shape[-2]; got x {x.shape}, y {y.shape}")
        if dtype.name not in _DTYPES:
            raise DTypeError(f"a product in a captured step must be of floating arrays; got {x.dtype} and {y.dtype}")
        stack = np.broadcast_shapes(left.shape[:-2], right.shape[:-2])
        full = (*stack, left.shape[-2], right.shape[-1])
        result = xp.empty(full, dtype=dtype) if out is None else out
        if left.shape[-1] == 0:
            result.fill(0)
        elif full == (1, 1):
            (left.reshape(-1) * right.reshape(-1)).sum(out=result.reshape(()))  # as CuPy does it
        elif result.size:
            left, right = (_in_stack(xp, a.astype(dtype, copy=False), stack) for a in (left, right))
            self._multiply(left, right, result)
        if out is not None:
            return out
        kept = (*stack, *full[-2:][: x.ndim > 1], *full[-1:][: y.ndim > 1])
        return result if kept == full else result.reshape(kept)

    def _multiply(self, x: Any, y: Any, out: Any) -> None:
        """cuBLAS takes matrices for columns side by side, where these are rows, and is asked for out^T = y^T x^T."""
        *stack, rows, columns = out.shape
        if max(rows, columns, x.shape[-1]) >= 2**31:
            raise ShapeError(f"a product in a captured step may have sides up to 2^31; got {x.shape} and {y.shape}")
        compute, number, algorithm = self._how(out.dtype, bool(stack))
        first, second = _operand(y), _operand(x)
        target = Operand(_AS_IT_LIES, out.data.ptr, columns, rows * columns)
        kind, integer = ctypes.c_int(_DTYPES[out.dtype.name]), ctypes.c_int

        def matrix(operand: Operand) -> list[Any]:
            told = [ctypes.c_void_p(operand.address), kind, integer(operand.row)]
            return [*told, ctypes.c_longlong(operand.stride)] if stack else told

        call = self._library.cublasGemmStridedBatchedEx if stack else self._library.cublasGemmEx
        status = call(
            self._handle, integer(first.read), integer(second.read),
            integer(columns), integer(rows), integer(x.shape[-1]),
            ctypes.byref(number(1)), *matrix(first), *matrix(second),
            ctypes.byref(number(0)), *matrix(target), *([integer(math.prod(stack))] if stack else []),
            integer(compute), integer(algorithm),
        )  # fmt: skip
        _check(status)

    def _how(self, dtype: Any, stacked: bool) -> tuple[int, Any, int]:
        """What CuPy would have cuBLAS compute in, the C type of a factor then, and how to choose an algorithm."""
        if stacked:  # where CuPy leaves it to the handle's mode
            return (_DOUBLE, ctypes.c_double, _DEFAULT) if dtype == np.float64 else (_FLOAT, ctypes.c_float, _DEFAULT)
        kind = choice.module("cupy")._core.get_compute_type(dtype)
        cores = self._capability >= 80 or (self._capability >= 70 and dtype == np.float16)
        algorithm = _DEFAULT_TENSOR_CORES if cores else _DEFAULT
        if dtype == np.float64:
            return _DOUBLE_PEDANTIC if kind == _CUPYS_PEDANTIC else _DOUBLE, ctypes.c_double, algorithm
        if kind == _CUPYS_PEDANTIC:
            return _FLOAT_PEDANTIC, ctypes.c_float, algorithm
        return _TF32 if kind == _CUPYS_TF32 and dtype == np.float32 else _FLOAT, ctypes.c_float, algorithm


def _in_stack(xp: Any, array: Any, stack: tuple[int, ...]) -> Any:
    """A matrix as it is; of a stack of matrices as many as the product has, one behind the other."""
    if math.prod(array.shape[:-2]) == 1:  # one matrix for all
        array = array.reshape(array.shape[-2:])
        return array if array.flags.c_contiguous or array.T.flags.c_contiguous else xp.ascontiguousarray(array)
    return xp.ascontiguousarray(xp.broadcast_to(array, (*stack, *array.shape[-2:])))


def _operand(array: Any) -> Operand:
    turned = not array.flags.c_contiguous
    rows, columns = array.shape[-2:]
    stride = rows * columns if array.ndim > 2 else 0
    return Operand(_TRANSPOSED if turned else _AS_IT_LIES, array.data.ptr, rows if turned else columns, stride)


def _check(status: int) -> None:
    if status:
        raise DeviceError(f"cuBLAS could not do what a captured step asked of it: status {status}")
