"""What arrays of NumPy and of CuPy do differently, each difference as one named function."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Sequence
from types import ModuleType
from typing import Any

import numpy as np

from minidl.backend import choice
from minidl.fast.graph import recording

PART_MOVED = 64 << 20  # bytes that go to the device at once
MOST_JOINED = 8  # arrays that CuPy joins without a table of their addresses
_LOOSE = (bool, int, float, complex, np.generic, list, tuple)  # what can be an operand without being an array


def _cupy_if_loaded() -> Any:
    """CuPy, if some array can be one of its own. Nothing else loads it, so a program on the CPU never pays for it."""
    return sys.modules.get("cupy")


def is_array(value: object) -> bool:
    """Whether `value` is a NumPy or a CuPy array (NumPy scalars are not)."""
    if isinstance(value, np.ndarray):
        return True
    cupy = _cupy_if_loaded()
    return cupy is not None and isinstance(value, cupy.ndarray)


def module_of(*values: object) -> ModuleType:
    """The library, numpy or cupy, that the first array among `values` belongs to; numpy if none is an array."""
    for value in values:
        if type(value) is np.ndarray:
            return np
        cupy = _cupy_if_loaded()
        if cupy is not None and isinstance(value, cupy.ndarray):
            return cupy
    return np


def device_of(array: object) -> str:
    """'numpy' or 'cupy': where `array` lives."""
    return "numpy" if module_of(array) is np else "cupy"


def asarray(value: Any) -> Any:
    """`value` as an array: arrays as they are, everything else (numbers, NumPy scalars, lists) through NumPy."""
    return value if is_array(value) else np.asarray(value)


def as_operands(values: list[Any]) -> list[Any]:
    """Numbers and lists ready to be computed with, whatever stands beside them.

    Beside an array a NumPy scalar is a plain number, which does not promote (float32 * np.float64(2) stays float32),
    and a list becomes an array on the same device; a list of Python floats takes the dtype of the floating array.
    Alone, numbers and lists become the arrays that NumPy makes of them.
    """
    beside = [value for value in values if is_array(value)]
    if not beside:
        return [np.asarray(value) if isinstance(value, _LOOSE) else value for value in values]
    xp = module_of(beside[0])
    floating = next((array.dtype for array in beside if array.dtype.kind == "f"), np.dtype(np.float32))
    ready: list[Any] = []
    for value in values:
        if isinstance(value, np.generic):
            value = value.item()
        elif isinstance(value, (list, tuple)):
            array = np.asarray(value)
            value = xp.asarray(array.astype(floating) if array.dtype == np.float64 else array)
        ready.append(value)
    return ready


def to_numpy(array: Any) -> Any:
    """A NumPy array with the values of `array`: itself if it is one, else a copy brought from the device."""
    return array if isinstance(array, np.ndarray) else _cupy_if_loaded().asnumpy(array)


def to_device(array: Any, name: str) -> Any:
    """`array` on the backend `name` ('numpy' or 'cupy'), copied only if it has to move."""
    destination = choice.module(name)
    if device_of(array) == name:
        return array
    if name == "numpy":
        return to_numpy(array)
    try:
        return destination.asarray(array) if array.nbytes <= PART_MOVED else _moved_in_parts(array, destination)
    except MemoryError as error:
        explain_memory(error)
        raise


def _moved_in_parts(array: Any, xp: Any) -> Any:
    """A large NumPy array on the device. CuPy copies through page-locked memory as large, and never gives it back."""
    moved, flat = xp.empty(array.shape, dtype=array.dtype), array.reshape(-1)
    target, step = moved.reshape(-1), max(1, PART_MOVED // array.itemsize)
    for start in range(0, flat.size, step):
        target[start : start + step] = xp.asarray(flat[start : start + step])
    return moved


def share_memory(view: Any, array: Any) -> bool:
    """Whether `view` was made from `array` (or beside it, from one base) without copying."""
    if view is array:
        return True
    base = view.base
    return base is not None and (base is array or base is getattr(array, "base", None))


def scatter_add(target: Any, index: Any, values: Any) -> None:
    """target[index] += values, where a repeated index adds every time (plain `+=` would keep the last only)."""
    module_of(target).add.at(target, index, values)


def zero_outside(mask: Any, array: Any) -> Any:
    """`array` where the boolean `mask` holds and exactly 0 elsewhere, also where `array` is infinite or NaN.

    The two must broadcast to array's shape. NumPy's `where` guesses at every element which side comes next and is ten
    times slower than a product on a mask without pattern. So on the CPU the mask becomes numbers whose bits are all 1
    or all 0, and cuts the bits of the array.
    """
    if module_of(array) is not np or array.dtype.kind != "f" or array.dtype.itemsize not in (2, 4, 8):
        return module_of(array).where(mask, array, 0)
    bits = np.dtype(f"i{array.dtype.itemsize}")
    return ((-mask.view(np.int8)).astype(bits) & array.view(bits)).view(array.dtype)


def concatenate(arrays: Sequence[Any], axis: int = 0) -> Any:
    """Arrays joined along an axis, as `numpy.concatenate` does.

    Of more than 8 arrays CuPy sends a table with their addresses to the device, which cannot be recorded: while a step
    is, they are joined by eights.
    """
    xp = module_of(*arrays)
    while recording.current.get() is not None and xp is not np and len(arrays) > MOST_JOINED:
        eights = range(0, len(arrays), MOST_JOINED)
        arrays = [xp.concatenate(arrays[i : i + MOST_JOINED], axis=axis) for i in eights]
    return xp.concatenate(arrays, axis=axis)


def hypot(a: Any, b: Any) -> Any:
    """sqrt(a^2 + b^2), of which no square overflows, for a, b >= 0. The libraries' own gives infinity of infinity and
    NaN; a NaN stays one here.
    """
    xp = module_of(a, b)
    return xp.maximum(xp.hypot(a, b), xp.maximum(a, b))


def read_only(x: Any) -> Any:
    """For code that is not minidl's: a view that cannot be written to; of a device, whose arrays all can be, a copy."""
    if not is_array(x):
        return x
    if module_of(x) is not np:
        return x.copy()
    view = x.view()
    view.flags.writeable = False
    return view


def writable_again(result: Any, arrays: Iterable[Any]) -> None:
    """Let a view that was made of a `read_only` one of `arrays` be written to, if that array can be."""
    if module_of(result) is np and not result.flags.writeable:
        shared = [x for x in arrays if type(x) is np.ndarray and share_memory(result, x)]
        if shared and all(x.flags.writeable for x in shared):
            result.flags.writeable = True


def as_strided(array: Any, shape: tuple[int, ...], strides: tuple[int, ...]) -> Any:
    """A view of `array`'s memory with another shape and other strides (bytes); overlapping windows are such views."""
    return module_of(array).lib.stride_tricks.as_strided(array, shape=shape, strides=strides)


def synchronize(name: str) -> None:
    """Wait until everything asked of the device is done (a GPU computes behind the program's back)."""
    if name == "cupy":
        choice.module(name).cuda.Device().synchronize()


def devices_of(arrays: Iterable[Any]) -> set[str]:
    """'numpy', 'cupy' (the GPU in use) and 'cupy:1' (another GPU): all places where some of `arrays` live."""
    found = set()
    for array in arrays:
        number = 0 if device_of(array) == "numpy" else array.device.id
        found.add(f"cupy:{number}" if number else device_of(array))
    return found


def explain_memory(error: BaseException) -> None:
    """Add to CuPy's error of too little memory what is free and what helps; leave any other error as it is."""
    cupy = _cupy_if_loaded()
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


def memory_used(name: str) -> int:
    """Bytes now held by arrays on the device 'cupy', and by recorded steps; 0 for 'numpy', which keeps no account."""
    if name != "cupy":
        return 0
    recorded = sum(graph.memory_used() for graph in recording.graphs)
    return int(choice.module(name).get_default_memory_pool().used_bytes()) + recorded
