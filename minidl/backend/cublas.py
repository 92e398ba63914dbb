"""Products of matrices while a step is recorded: cuBLAS, asked by its own C interface.

CuPy's products are cuBLAS's. But while a stream is recorded CuPy 14 refuses to ask for one ("calling cuBLAS API during
stream capture is currently unsupported"), though cuBLAS can be recorded (cuBLAS documentation, "CUDA Graphs Support").
So then, and only then, minidl calls the function that CuPy would have called, with the same arguments, and a replay
gives the same numbers as a step that was not recorded.

cuBLAS needs memory to work in. What it has is shared by all products of a thread, and a replay may run beside them on
another stream: a recording brings its own.

Source: the cuBLAS library documentation, `cublasGemmEx` and `cublasGemmStridedBatchedEx`.
"""

from __future__ import annotations

import ctypes
import sys
from functools import cache
from typing import Any

import numpy as np

from minidl.backend import choice
from minidl.errors import DeviceError, DTypeError, ShapeError

WORKSPACE = 32 << 20  # bytes, what cuBLAS takes for itself on an H100

# cuBLAS's numbers for: how an operand is read, the dtypes, what to compute in, and how to choose an algorithm.
_AS_IT_LIES, _TRANSPOSED = 0, 1
_DTYPES = {"float16": 2, "float32": 0, "float64": 1}
_FLOAT, _FLOAT_PEDANTIC, _TF32, _DOUBLE, _DOUBLE_PEDANTIC = 68, 69, 77, 70, 71
_DEFAULT, _DEFAULT_TENSOR_CORES = -1, 99
_CUPYS_PEDANTIC, _CUPYS_TF32 = 2, 7  # CuPy's numbers for how to compute


@cache
def _library(version: int) -> Any:
    """The cuBLAS that CuPy has loaded: CUDA's version is in the name, so that this finds the very same."""
    name = f"cublas64_{version}.dll" if sys.platform == "win32" else f"libcublas.so.{version}"
    try:
        return ctypes.cdll.LoadLibrary(name)
    except OSError as error:
        raise DeviceError(f"a step with products of matrices cannot be recorded: {name} cannot be loaded") from error


class Cublas:
    """Products for the stream that is recorded; made before the recording begins."""

    def __init__(self, stream: Any) -> None:
        xp = choice.module("cupy")
        device = xp.cuda.Device()
        self._library = _library(xp.cuda.runtime.runtimeGetVersion() // 1000)
        self._handle = ctypes.c_void_p(device.cublas_handle)
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
            raise DTypeError(f"a product in a recorded step must be of floating arrays; got {x.dtype} and {y.dtype}")
        stack = np.broadcast_shapes(left.shape[:-2], right.shape[:-2])
        full = (*stack, left.shape[-2], right.shape[-1])
        result = xp.empty(full, dtype=dtype) if out is None else out
        if left.shape[-1] == 0:
            result.fill(0)
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
        how, number, algorithm = self._how(out.dtype)
        operands = [*_operand(y), *_operand(x)]
        reads, addresses, steps, strides = operands[::4], operands[1::4], operands[2::4], operands[3::4]
        kind = ctypes.c_int(_DTYPES[out.dtype.name])
        one, zero = ctypes.byref(number(1)), ctypes.byref(number(0))
        sizes = map(ctypes.c_int, (columns, rows, x.shape[-1]))
        batched = bool(stack)

        def with_stride(address: int, step: int, stride: int) -> list[Any]:
            matrix = [ctypes.c_void_p(address), kind, ctypes.c_int(step)]
            return [*matrix, ctypes.c_longlong(stride)] if batched else matrix

        first, second = (with_stride(*parts) for parts in zip(addresses, steps, strides, strict=True))
        target = with_stride(out.data.ptr, columns, rows * columns)
        call = self._library.cublasGemmStridedBatchedEx if batched else self._library.cublasGemmEx
        number_of = [ctypes.c_int(int(np.prod(stack)))] if batched else []
        _check(
            call(
                self._handle, *map(ctypes.c_int, reads), *sizes, one, *first, *second, zero, *target, *number_of,
                ctypes.c_int(how), ctypes.c_int(algorithm),
            )
        )  # fmt: skip

    def _how(self, dtype: Any) -> tuple[int, Any, int]:
        """What CuPy would have cuBLAS compute in, the C type of a factor then, and how to choose an algorithm."""
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
    if array.ndim == 2:
        return array if array.flags.c_contiguous or array.T.flags.c_contiguous else xp.ascontiguousarray(array)
    return xp.ascontiguousarray(xp.broadcast_to(array, (*stack, *array.shape[-2:])))


def _operand(array: Any) -> tuple[int, int, int, int]:
    """How cuBLAS reads it, its address, the numbers from one row to the next, and those to the next matrix."""
    turned = not array.flags.c_contiguous
    stride = array.shape[-2] * array.shape[-1] if array.ndim > 2 else 0
    step = array.shape[-2] if turned else array.shape[-1]
    return _TRANSPOSED if turned else _AS_IT_LIES, array.data.ptr, step, stride


def _check(status: int) -> None:
    if status:
        raise DeviceError(f"cuBLAS could not do what a recorded step asked of it: status {status}")
