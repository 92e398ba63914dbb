"""How kernels are found, compiled and launched. On NumPy only `on_device` is asked, and says no."""

from __future__ import annotations

import threading
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np

from minidl.backend.arrays import module_of
from minidl.errors import DeviceError
from minidl.fast.gpu import capturing

THREADS = 256  # in a block
MOST_BLOCKS = 1 << 16  # a thread of a larger array works on several elements
_WARP = 32
_MOST_BLOCKS_OF_WARPS = 4096  # a warp takes several rows where there are more

FLOATS = {"e": "float16", "f": "float32", "d": "float64"}  # by `dtype.char`: NumPy takes microseconds for a name
_TYPES = {"float16": ("__half", "float"), "float32": ("float", "float"), "float64": ("double", "double")}


def on_device(x: Any) -> bool:
    """Whether there are kernels for x, a raw array on a device. Of NumPy's arrays this costs an op next to nothing."""
    return type(x) is not np.ndarray and kernels_for(x)


def kernels_for(*arrays: Any) -> bool:
    """Whether there are kernels for these arrays: all float16, float32 or float64, all on a device."""
    xp = module_of(*arrays)
    if xp is np:
        return False
    kind = arrays[0].dtype
    if kind.char not in FLOATS or not hasattr(xp, "RawModule"):
        return False
    for array in arrays:  # noqa: SIM110 - all() of a generator takes longer
        if array.dtype != kind or type(array) is np.ndarray:
            return False
    return True


def source(file: str, dtype: str) -> str:
    """The CUDA C++ of `file`, a .cu beside this one: T is the arrays' type, `dtype`, and A the one to compute in."""
    number, wide = _TYPES[dtype]
    include = "#include <cuda_fp16.h>" if dtype == "float16" else ""
    here = Path(__file__)
    shared, own = (here.with_name(name).read_text(encoding="utf-8") for name in ("shared.cuh", file))
    return f"{include}\ntypedef {number} T;\ntypedef {wide} A;\n{shared}{own}"


@cache
def _module(xp: ModuleType, file: str, dtype: str) -> Any:
    return xp.RawModule(code=source(file, dtype))  # compiled when it is first used, and kept on the disk by CuPy


@cache
def kernel(xp: ModuleType, file: str, name: str, dtype: str) -> Any:
    """The kernel `name` of `file` for arrays of `dtype`: call it with a grid, a block and its arguments."""
    return _module(xp, file, dtype).get_function(name)


def check_device(array: Any) -> None:
    """Whether the array is on the GPU in use: a kernel runs there, and would read an address of another one.

    Raises:
        DeviceError: it is not.
    """
    current = module_of(array).cuda.Device().id
    if array.device.id != current:
        raise DeviceError(
            f"an array is on cupy:{array.device.id}, and cupy:{current} is in use: minidl computes on one GPU. Make "
            f"the array on that one, or compute inside `with cupy.cuda.Device({array.device.id}):`"
        )


def launch(file: str, name: str, count: int, *args: Any) -> None:
    """Run a kernel with a thread for each of `count` elements; the first argument is an array, which says the dtype."""
    if count:
        check_device(args[0])
        run = kernel(module_of(args[0]), file, name, FLOATS[args[0].dtype.char])
        run((min(-(-count // THREADS), MOST_BLOCKS),), (THREADS,), args)


def launch_rows(file: str, name: str, rows: int, *args: Any) -> None:
    """Run a kernel with a warp, 32 threads, for each row; the first argument is an array, which says the dtype."""
    if rows:
        check_device(args[0])
        blocks = min(-(-rows // (THREADS // _WARP)), _MOST_BLOCKS_OF_WARPS)
        kernel(module_of(args[0]), file, name, FLOATS[args[0].dtype.char])((blocks,), (THREADS,), args)


@cache
def _counter(xp: ModuleType, device: int, stream: int, thread: int) -> Any:
    return xp.zeros(1, dtype=np.int32)


def arrived(xp: ModuleType) -> Any:
    """Where the warps of a launch count themselves: a place for all launches that follow each other, those of a stream.

    (Streams of several threads may have one number: "the thread's default stream" is the same for all.)
    """
    captured = capturing.current.get()
    if captured is not None:
        return captured.arrived
    stream = xp.cuda.get_current_stream()
    return _counter(xp, xp.cuda.Device().id, stream.ptr, threading.get_ident())
