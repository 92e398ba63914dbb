"""Kernels: the device code of minidl. Each makes in one launch what would take many.

`on_device(x)` says whether there are kernels for an array. If so, an op calls one; if not (NumPy, integers, a device
without a compiler, Tensors in a backward that is recorded), it goes on with its own lines, which are the plain
version: to read, and for a test to hold the kernel equal to. The CUDA C++ is in the .cu files, compiled by CuPy when a
kernel is first used.

CuPy compiles its own kernels and these so that float32 numbers below 1.18e-38 (2^-126, the smallest with all digits)
count as 0, where NumPy computes with them; float64 and float16 are not affected. So the gradient of relu at 1e-39 is 0
on a GPU. `norm_of` alone counts such numbers.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from minidl.fast.gpu.kernels.launch import kernels_for, on_device

if TYPE_CHECKING:
    from minidl.fast.gpu.kernels.library import *  # noqa: F403
else:

    def __getattr__(name: str) -> Any:
        """What `library.py` names. It is loaded when a device first needs it; a program on the CPU never does."""
        value = globals()[name] = getattr(importlib.import_module("minidl.fast.gpu.kernels.library"), name)
        return value


__all__ = ["kernels_for", "on_device"]
