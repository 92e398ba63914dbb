"""How kernels are found, compiled and launched. Nothing here is run on NumPy."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np

from minidl.backend.arrays import module_of

THREADS = 256  # in a block
MOST_BLOCKS = 1 << 16  # a thread of a larger array works on several elements

_TYPES = {"float16": ("__half", "float"), "float32": ("float", "float"), "float64": ("double", "double")}

# What every source starts with: T, the arrays' type, and A, the one to compute in.
_PRELUDE = """
{include}
typedef {number} T;
typedef {wide} A;
"""


def kernels_for(*arrays: Any) -> bool:
    """Whether there are kernels for these arrays: float16, float32 or float64, on a device."""
    xp = module_of(*arrays)
    return (
        xp is not np
        and all(array.dtype.name in _TYPES and array.dtype == arrays[0].dtype for array in arrays)
        and hasattr(xp, "RawModule")
    )


def source(file: str, dtype: str) -> str:
    """The CUDA C++ of `file`, a .cu beside this one, for arrays of `dtype`."""
    number, wide = _TYPES[dtype]
    include = "#include <cuda_fp16.h>" if dtype == "float16" else ""
    text = Path(__file__).with_name(file).read_text(encoding="utf-8")
    return _PRELUDE.format(include=include, number=number, wide=wide) + text


@cache
def _module(xp: ModuleType, file: str, dtype: str) -> Any:
    return xp.RawModule(code=source(file, dtype))  # compiled when it is first used, and kept on the disk by CuPy


@cache
def kernel(xp: ModuleType, file: str, name: str, dtype: str) -> Any:
    """The kernel `name` of `file` for arrays of `dtype`: call it with a grid, a block and its arguments."""
    return _module(xp, file, dtype).get_function(name)


def launch(file: str, name: str, count: int, *args: Any) -> None:
    """Run a kernel with a thread for each of `count` elements; the first argument is an array, which says the dtype."""
    if count:
        run = kernel(module_of(args[0]), file, name, args[0].dtype.name)
        run((min(-(-count // THREADS), MOST_BLOCKS),), (THREADS,), args)
