"""Memory on the device: how much is held, and what to say when there is too little."""

from __future__ import annotations

from typing import Protocol
from weakref import WeakSet

from minidl.backend import choice
from minidl.backend.choice import cupy_if_loaded


def explain_memory(error: BaseException) -> None:
    """Add to CuPy's error of too little memory what is free and what helps; leave any other error as it is."""
    cupy = cupy_if_loaded()
    if cupy is None or not isinstance(error, cupy.cuda.memory.OutOfMemoryError) or hasattr(error, "__notes__"):
        return
    free, total = cupy.cuda.runtime.memGetInfo()
    held = memory_used("cupy")
    error.add_note(
        f"of the GPU's {_size(total)} this program's arrays hold {_size(held)}, and {_size(free)} are free. Smaller "
        f"batches need less; so does evaluating under md.no_grad(), and keeping of old losses their numbers, "
        f"loss.item() or loss.detach(), not their graphs. Other programs on the GPU are listed by nvidia-smi."
    )


def _size(count: int) -> str:
    return f"{count / 2**30:.1f} GiB" if count >= 2**30 else f"{count / 2**20:.1f} MiB"


class Pool(Protocol):
    """Memory on the device that CuPy's own pool does not count."""

    def used_bytes(self) -> int:
        """How much of it is in use."""
        ...


further_pools: WeakSet[Pool] = WeakSet()  # whoever keeps such memory adds itself here


def memory_used(name: str) -> int:
    """Bytes now held on the device 'cupy' by arrays, and by `further_pools`; 0 for 'numpy', which keeps no account."""
    if name != "cupy":
        return 0
    further = sum(pool.used_bytes() for pool in list(further_pools))
    return int(choice.module(name).get_default_memory_pool().used_bytes()) + further
