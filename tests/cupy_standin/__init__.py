"""A strict stand-in for CuPy that needs no GPU: what minidl may do with it, it may do with CuPy.

It computes with NumPy and behaves as CuPy 14 does where the two differ, and where CuPy is silent it is strict:

* `ndarray` is no `numpy.ndarray`; reductions and single elements are 0-d arrays; there is no `flags.writeable`.
* NumPy arrays are refused as operands, as arguments and as values to store; so is turning an array of the device
  into a NumPy array without saying so (`numpy.asarray`). `numpy.exp(device_array)` stays on the device.
* Everything that makes a real program wait for the GPU (`float()`, `bool()`, `.item()`, `asnumpy`, ...) is counted.
* Only the functions named here exist, each with CuPy's own parameters; a test holds both against a list taken from
  CuPy itself (`cupy_names.json`).
"""

from __future__ import annotations

from tests.cupy_standin.counting import reset_synchronizations, synchronizations
from tests.cupy_standin.modules import install
from tests.cupy_standin.ndarray import ndarray

__all__ = ["install", "ndarray", "reset_synchronizations", "synchronizations"]
