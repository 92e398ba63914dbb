"""Kernels: the device code of minidl, each beside a plain version that computes the same with NumPy's functions.

A function of this package takes arrays of NumPy or of CuPy. Of CuPy's it makes one launch, where the plain version
would make many; of NumPy's, of dtypes without a kernel, and of Tensors, the plain version computes. A test holds
the two equal. The CUDA C++ is in the .cu files, compiled by CuPy when a kernel is first used.
"""

from minidl.backend.kernels.draws import uniform
from minidl.backend.kernels.elementwise import fused, on_device
from minidl.backend.kernels.launch import kernels_for
from minidl.backend.kernels.rows import cross_entropy, cross_entropy_gradient, softmax_rows, softmax_rows_gradient
from minidl.backend.kernels.updates import NUMBERS, can_update, put_numbers, update
from minidl.backend.kernels.windows import (
    add_columns,
    columns,
    max_pool,
    mean_pool,
    put_chosen,
    spread_mean,
    take_chosen,
)

__all__ = [
    "NUMBERS",
    "add_columns",
    "can_update",
    "columns",
    "cross_entropy",
    "cross_entropy_gradient",
    "fused",
    "kernels_for",
    "max_pool",
    "mean_pool",
    "on_device",
    "put_chosen",
    "put_numbers",
    "softmax_rows",
    "softmax_rows_gradient",
    "spread_mean",
    "take_chosen",
    "uniform",
    "update",
]
