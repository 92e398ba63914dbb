"""NumPy or CuPy: the only package of minidl that imports cupy.

**Data decides.** An op asks `module_of(array)` for the library its array belongs to and calls that library's
functions, so the same line runs on the CPU and on the GPU. `use`, `using` and the environment variable
`MINIDL_BACKEND` choose only where *new* tensors are made. Whatever differs between the two libraries is a named
function in this package and appears nowhere else.
"""

from minidl.backend.arrays import (
    as_operands,
    as_strided,
    asarray,
    at_hand,
    device_of,
    devices_of,
    found_outside,
    hypot,
    is_array,
    is_of_subclass,
    is_writable,
    may_contain,
    module_of,
    moved_beside,
    native,
    power,
    read_only,
    same_place,
    scatter_add,
    share_memory,
    synchronize,
    to_device,
    to_numpy,
)
from minidl.backend.choice import current, module, refuse_cuda_in_fork, use, using
from minidl.backend.indices import check_index
from minidl.backend.memory import explain_memory, further_pools, memory_used
from minidl.backend.random import (
    device_seed,
    device_uniform,
    generator,
    random_apart,
    random_state,
    restore_random_state,
    seed,
)
from minidl.backend.silence import ERROR_STATE, SILENT, reset_errors, set_errors
from minidl.backend.special import erf
from minidl.backend.transfer import pinned, sent_ahead
from minidl.examples.reading import add_examples

__all__ = [
    "ERROR_STATE",
    "SILENT",
    "as_operands",
    "as_strided",
    "asarray",
    "at_hand",
    "check_index",
    "current",
    "device_of",
    "device_seed",
    "device_uniform",
    "devices_of",
    "erf",
    "explain_memory",
    "found_outside",
    "further_pools",
    "generator",
    "hypot",
    "is_array",
    "is_of_subclass",
    "is_writable",
    "may_contain",
    "memory_used",
    "module",
    "module_of",
    "moved_beside",
    "native",
    "pinned",
    "power",
    "random_apart",
    "random_state",
    "read_only",
    "refuse_cuda_in_fork",
    "reset_errors",
    "restore_random_state",
    "same_place",
    "scatter_add",
    "seed",
    "sent_ahead",
    "set_errors",
    "share_memory",
    "synchronize",
    "to_device",
    "to_numpy",
    "use",
    "using",
]


def __dir__() -> list[str]:
    return __all__


add_examples(globals(), "backend")
