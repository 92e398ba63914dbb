"""A strict stand-in for CuPy that needs no GPU: what minidl may do with it, it may do with CuPy.

It computes with NumPy and behaves as CuPy 14 does where the two differ; where CuPy leaves something undefined, it
does what would be noticed:

* `ndarray` is no `numpy.ndarray`; reductions and single elements are 0-d arrays; there is no `flags.writeable`.
* NumPy arrays are refused as operands, as arguments and as values to store; so is turning an array of the device
  into a NumPy array without saying so (`numpy.asarray`). `numpy.exp(device_array)` stays on the device.
* Everything that makes a program wait for the device (`float()`, `bool()`, `.item()`, `asnumpy`, ...) is counted, and
  so is everything that is launched there.
* Kernels in CUDA C++ are compiled for the host, if there is a compiler, and run on the arrays: `kernels.py`.
* Memory that nobody has written to (`empty`) is full of NaN.
* Only what `functions.py` and `modules.py` list exists, each function with CuPy's own parameters. Both are held
  against `cupy_names.txt`, which `take_names.py` takes from CuPy itself.
"""

from __future__ import annotations

from tests.cupy_standin.counting import launches, reset_launches, reset_synchronizations, synchronizations
from tests.cupy_standin.modules import cupy, install
from tests.cupy_standin.ndarray import ndarray

__all__ = [
    "cupy",
    "install",
    "launches",
    "ndarray",
    "reset_launches",
    "reset_synchronizations",
    "synchronizations",
]
