"""A strict stand-in for CuPy that needs no GPU: what minidl may do with it, it may do with CuPy.

It computes with NumPy and behaves as CuPy 14 does where the two differ; where CuPy leaves something undefined, it
does what would be noticed:

* `ndarray` is no `numpy.ndarray`; reductions and single elements are 0-d arrays; there is no `flags.writeable`.
* NumPy arrays are refused as operands, as arguments and as values to store; so is turning an array of the device
  into a NumPy array without saying so (`numpy.asarray`). `numpy.exp(device_array)` stays on the device.
* Everything that makes a program wait for the device (`float()`, `bool()`, `.item()`, `asnumpy`, ...) is counted, and
  so is everything that is launched there.
* Kernels in CUDA C++ are compiled for the host, if there is a compiler, and run on the arrays: `kernels.py`.
* Memory that nobody has written to (`empty`) is full of NaN. What arrays hold is counted, and may be limited.
* Results are C-contiguous, however the operands lie in memory; NumPy would keep their layout.
* Of several sums each is shared out among a few threads, which add up their numbers one after the other: many float32
  numbers lose digits. With `--arithmetic gpu` float32 numbers below 1.2e-38 count as 0.
* Sums and products begin at the other end, `add.at` comes in a new order every time, and exponentials, powers and the
  like are a unit off in the last place here and there: no test can ask for NumPy's very bits.
* A copy on a stream of its own, from pinned memory, is done as late as CUDA may do it: `streams.py`.
* Only what `functions.py` and `modules.py` list exists, each function with CuPy's own parameters. Both are held
  against `cupy_names.txt`, which `take_names.py` takes from CuPy itself.
* While a stream is recorded, copies from and to the host, waits and products of matrices are refused, as CuPy and CUDA
  refuse them; a program may ask cuBLAS itself, whose C interface is in `cublas.py`.

Read in the sources of CuPy 14.2, and imitated where minidl could meet it: `ufunc.at` takes few dtypes (`maximum.at`
no float16, `subtract.at` int32 alone); `set` wants the same dtype and shape; no array holds objects; `fill` with an
array of the device waits, as `x[...] = array` does not; `sort` and `argsort` know `kind=None` and "stable";
`shape=()` is taken for no shape by `zeros_like` and its like; a negative power of an integer is 0; an array without
axes has no axis 0 for `argmax`; a number as an index is made whole (0.5 is 0); `shares_memory` says yes of any two
arrays without axes; a fork of the process can do nothing; an in-place operator writes to overlapping memory as if it
had read before. Not imitated:

* Here NumPy arrays are refused everywhere; CuPy takes them as an index, for `x[index] = array` with an index array, in
  `add.at`, `isclose` and `allclose`, and copies them to the device without a word.
* float16 sums and products of matrices are added up in float32 there, and rounded once.
* A product of stacks of matrices (more than two axes) copies what is not C-contiguous first, and computes float16 in
  float32; one of two matrices hands transposed ones to cuBLAS as they are.
* `x.dot(y)` of vectors multiplies in their own dtype before it adds: float16 overflows.
* `clip` passes over NaN in its bounds; `maximum` and `minimum` do not.
* Arrays of two GPUs are computed with, with a warning, if one can read the other's memory.
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
