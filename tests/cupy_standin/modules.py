"""The trees of modules that stand in for `cupy` and `cupyx`: their rooms, random numbers, the runtime."""

from __future__ import annotations

import ctypes
import math
import sys
from types import ModuleType
from typing import Any

import numpy as np

from tests.cupy_standin import cublas, memory, streams
from tests.cupy_standin.counting import refuse_while_capturing, synchronize
from tests.cupy_standin.functions import ufunc
from tests.cupy_standin.kernels import COMPILER, ElementwiseKernel, RawKernel, RawModule
from tests.cupy_standin.names import listed
from tests.cupy_standin.ndarray import compute, from_host, functions, ndarray, ufuncs

FROM_NUMPY = listed("""bool_ dtype e finfo float16 float32 float64 iinfo inf int16 int32 int64 int8 intp nan newaxis pi
promote_types result_type uint8""")  # the very same objects in CuPy, or functions of dtypes only


class Philox4x3210:
    """A bit generator of the device."""

    def __init__(self, seed: int | None = None) -> None:
        self._host = np.random.Generator(np.random.Philox(seed))


class Generator:
    """Draws on the device."""

    def __init__(self, bit_generator: Philox4x3210) -> None:
        self._host = bit_generator._host

    def random(self, size: Any = None, dtype: Any = np.float64, out: None = None) -> ndarray:
        refuse_while_capturing("a draw: a replay would draw the same numbers again")
        return from_host(np.asarray(self._host.random(size, dtype)))

    def standard_normal(self, size: Any = None, dtype: Any = np.float64, out: None = None) -> ndarray:
        return from_host(np.asarray(self._host.standard_normal(size, dtype)))


class Device:
    """The one device there is."""

    id = 0
    compute_capability = "90"
    cublas_handle = cublas.HANDLE

    def __init__(self, device: int | None = None) -> None:
        if device not in (None, 0):
            raise RuntimeError("cudaErrorInvalidDevice: invalid device ordinal")

    def synchronize(self) -> None:
        synchronize("Device.synchronize()")


def getDeviceCount() -> int:
    return 1


class CUDARuntimeError(RuntimeError):
    """What CUDA could not do."""


def runtimeGetVersion() -> int:
    return 1000 * cublas.VERSION


def get_compute_type(dtype: Any) -> int:
    """What products are computed in: 1, exact."""
    return 1


def erf(x: ndarray) -> ndarray:
    """CuPy's is a ufunc that takes float32 and float64 as they are."""
    if not isinstance(x, ndarray):
        raise TypeError(f"Unsupported type {type(x)}")
    return compute(np.vectorize(math.erf, otypes=[x.dtype]), (x,), {})


def contents() -> dict[str, Any]:
    """Everything the stand-in has, by its name within cupy: `{"add": ..., "lib.stride_tricks.as_strided": ...}`.

    What is in cupyx has its whole name.
    """
    own = (ElementwiseKernel, RawKernel, RawModule)
    kernels = {kind.__name__: kind for kind in own if COMPILER}
    return {
        **ufuncs,
        **functions,
        **kernels,
        **{name: getattr(np, name) for name in FROM_NUMPY},
        "_core.get_compute_type": get_compute_type,
        "cuda.Device": Device,
        "cuda.Event": streams.Event,
        "cuda.MemoryPool": memory.MemoryPool,
        "cuda.memory.OutOfMemoryError": memory.OutOfMemoryError,
        "cuda.runtime.memGetInfo": memory.memGetInfo,
        "cuda.Stream": streams.Stream,
        "cuda.using_allocator": memory.using_allocator,
        "cuda.PinnedMemoryPool": streams.PinnedMemoryPool,
        "get_default_pinned_memory_pool": streams.PinnedMemoryPool,
        "cuda.alloc_pinned_memory": streams.alloc_pinned_memory,
        "cuda.get_current_stream": streams.get_current_stream,
        "cuda.get_elapsed_time": streams.get_elapsed_time,
        "cuda.runtime.CUDARuntimeError": CUDARuntimeError,
        "cuda.runtime.getDeviceCount": getDeviceCount,
        "cuda.runtime.runtimeGetVersion": runtimeGetVersion,
        "cupyx.scipy.special.erf": erf,
        "get_default_memory_pool": memory.get_default_memory_pool,
        "ndarray": ndarray,
        "random.Generator": Generator,
        "random.Philox4x3210": Philox4x3210,
        "ufunc": ufunc,
    }


def _build() -> dict[str, ModuleType]:
    tree = {"cupy": ModuleType("cupy", "A strict stand-in for CuPy, for tests.")}
    for name, thing in contents().items():
        room, _, last = (name if name.startswith("cupyx.") else f"cupy.{name}").rpartition(".")
        setattr(_room(tree, room), last, thing)
    return tree


def _room(tree: dict[str, ModuleType], name: str) -> ModuleType:
    if name not in tree:
        tree[name] = ModuleType(name, "A part of the stand-in for CuPy.")
        parent, _, last = name.rpartition(".")
        if parent:
            setattr(_room(tree, parent), last, tree[name])
    return tree[name]


TREE = _build()
cupy = TREE["cupy"]


def install(monkeypatch: Any = None) -> ModuleType:
    """Put the stand-in into `sys.modules` as cupy: for good, or as long as a pytest `monkeypatch` lasts."""
    for name, module in TREE.items():
        if monkeypatch is None:
            sys.modules[name] = module
        else:
            monkeypatch.setitem(sys.modules, name, module)
    if monkeypatch is None:
        ctypes.cdll.LoadLibrary = cublas.load_library  # type: ignore[method-assign]
    else:
        monkeypatch.setattr(ctypes.cdll, "LoadLibrary", cublas.load_library)
    return cupy
