"""What arrays of NumPy and of CuPy do differently, each difference as one named function."""

from __future__ import annotations

from collections.abc import Iterable
from types import ModuleType
from typing import Any

import numpy as np

from minidl.backend import choice
from minidl.backend.choice import cupy_if_loaded
from minidl.backend.memory import explain_memory
from minidl.errors import DeviceError, DTypeError, describe

PART_MOVED = 64 << 20  # bytes that go to the device at once
_LOOSE = (bool, int, float, complex, np.generic, list, tuple)  # what can be an operand without being an array


def is_array(value: object) -> bool:
    """Whether `value` is a NumPy or a CuPy array (NumPy scalars are not)."""
    if isinstance(value, np.ndarray):
        return True
    cupy = cupy_if_loaded()
    return cupy is not None and isinstance(value, cupy.ndarray)


def module_of(*values: object) -> ModuleType:
    """The library, numpy or cupy, that the first array among `values` belongs to; numpy if none is an array."""
    return np if type(values[0]) is np.ndarray else _module_of_first(values)


def _module_of_first(values: Iterable[object]) -> ModuleType:
    """As `module_of`, which needs one line for what is most frequent: one array of NumPy's."""
    cupy = cupy_if_loaded()
    for value in values:
        if isinstance(value, np.ndarray):
            return np
        if cupy is not None and isinstance(value, cupy.ndarray):
            return cupy
    return np


def device_of(array: object) -> str:
    """'numpy' or 'cupy': where `array` lives."""
    return "numpy" if module_of(array) is np else "cupy"


def asarray(value: Any) -> Any:
    """`value` as an array: arrays as they are, everything else (numbers, NumPy scalars, lists) through NumPy."""
    return value if is_array(value) else np.asarray(value)


def is_of_subclass(value: object) -> bool:
    """Whether `value` is an array of NumPy's, but of another class than its own, such as `np.matrix`."""
    return isinstance(value, np.ndarray) and type(value) is not np.ndarray


def native(array: Any) -> Any:
    """`array` as everything computes with it, without copying if it is so already.

    That is NumPy's own class, since others take operators for something else (of two `np.matrix` * is the product of
    matrices), with its bytes in the order of this machine. What comes out of a file may have them the other way round.

    Raises:
        DTypeError: some of its numbers are masked: they would come back.
    """
    if not isinstance(array, np.ndarray) or (type(array) is np.ndarray and array.dtype.isnative):
        return array
    if np.any(getattr(array, "mask", False)):
        raise DTypeError(f"expected an array without masked numbers; got {describe(array)}: fill them, x.filled(0)")
    plain = np.asarray(array)
    return plain if plain.dtype.isnative else plain.astype(plain.dtype.newbyteorder("="))


def as_operands(values: list[Any]) -> list[Any]:
    """Numbers and lists ready to be computed with, whatever stands beside them.

    Beside an array a NumPy scalar is a plain number, which does not promote (float32 * np.float64(2) stays float32),
    and a list becomes an array on the same device, numbers in the dtype of the floating array. An array of another
    class than NumPy's own is seen as one of these. Alone, numbers and lists become the arrays that NumPy makes of them.
    """
    if any(isinstance(value, (complex, np.complexfloating)) for value in values):
        raise DTypeError("expected real numbers; got a complex one")
    values = [native(value) for value in values]
    beside = [value for value in values if is_array(value)]
    if not beside:
        return [np.asarray(value) if isinstance(value, _LOOSE) else value for value in values]
    xp = module_of(beside[0])
    floating = next((array.dtype for array in beside if array.dtype.kind == "f"), None)
    ready: list[Any] = []
    for value in values:
        if isinstance(value, np.generic):
            value = value.item()
        elif isinstance(value, (list, tuple)):
            array = np.asarray(value)
            if floating is not None and array.dtype.kind in "fiu":
                array = array.astype(floating)
            elif array.dtype == np.float64:
                array = array.astype(np.float32)
            value = xp.asarray(array)
        ready.append(value)
    return ready


def to_numpy(array: Any) -> Any:
    """A NumPy array with the values of `array`: itself if it is one, else a copy brought from the device."""
    return array if isinstance(array, np.ndarray) else cupy_if_loaded().asnumpy(array)


def to_device(array: Any, name: str) -> Any:
    """`array` on the backend `name` ('numpy' or 'cupy'), copied only if it has to move."""
    destination = choice.module(name)
    if device_of(array) == name:
        return array
    if name == "numpy":
        return to_numpy(array)
    array = native(array)
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
    if base is None or base is array or base is getattr(array, "base", None):
        return base is not None
    # Of windows and buffers the base is an object of another kind, which hides the array.
    return isinstance(view, np.ndarray) and not isinstance(base, np.ndarray) and np.may_share_memory(view, array)


def same_place(a: Any, b: Any) -> bool:
    """Whether two arrays are the same elements of the same memory, in the same order."""
    return is_array(a) and is_array(b) and _place(a) == _place(b)


def _place(array: Any) -> tuple[Any, ...]:
    address = array.__array_interface__["data"][0] if module_of(array) is np else array.data.ptr
    return address, array.shape, array.strides


def scatter_add(target: Any, index: Any, values: Any) -> None:
    """target[index] += values, where a repeated index adds every time (plain `+=` would keep the last only)."""
    module_of(target).add.at(target, index, values)


def power(x: Any, y: Any) -> Any:
    """x ** y of arrays and numbers, as NumPy's.

    NumPy refuses to raise integers to a negative integer, where CuPy gives 0. (Exponents in an array of the device are
    not looked at: that would make the program wait.) Of two arrays NumPy 2.0's ** takes a 0-d y for a number, which
    does not promote; its function `power` promotes. Squares and roots are exact up to rounding, as NumPy's; CuPy would
    take the general power, whose 3.0 ** 2 may be 8.999999999999998.

    Raises:
        ValueError: integers are raised to a negative integer.
    """
    if is_array(x) and is_array(y):
        return module_of(x).power(x, y)
    if isinstance(y, (int, float)) and module_of(x) is not np:
        if x.dtype.kind == "f" and y in (2, 0.5):
            return module_of(x).square(x) if y == 2 else module_of(x).sqrt(x)
        if isinstance(y, int) and y < 0 and x.dtype.kind in "iu":
            raise ValueError("negative integer powers")  # NumPy's words
    return x**y


def moved_beside(index: Any, x: Any) -> Any:
    """The array `index`, a small one, where x lives: moved from the host to the device if need be.

    Raises:
        DeviceError: it would have to be fetched from the device, for which the program would wait.
    """
    if device_of(x) == "numpy" and device_of(index) != "numpy":
        raise DeviceError(f"the index {describe(index)} lives elsewhere than {describe(x)}: move it with .to('numpy')")
    return module_of(x).asarray(index)


def found_outside(numbers: Any, stop: int) -> int | None:
    """One of the whole `numbers` that is not from 0 to stop - 1, or None if there is none.

    None as well for numbers on a device: to look at them would make the program wait for it.
    """
    if not at_hand(numbers) or numbers.size == 0:
        return None
    if numbers.dtype == np.int64 and numbers.view(np.uint64).max() < stop:  # as which negative numbers are huge
        return None
    least, most = int(numbers.min()), int(numbers.max())
    return least if least < 0 else most if most >= stop else None


def at_hand(array: Any) -> bool:
    """Whether the values of `array` can be looked at without making the program wait for a device."""
    return isinstance(array, np.ndarray) or module_of(array) is np


def may_contain(numbers: Any, value: Any) -> bool:
    """Whether `value` is among the `numbers`; True as well for numbers on a device, which are not looked at."""
    return not at_hand(numbers) or value in numbers


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


def is_writable(array: Any) -> bool:
    """Whether the array can be written to: of NumPy some cannot, such as memory-mapped files; of a device all can."""
    return getattr(array.flags, "writeable", True)


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
