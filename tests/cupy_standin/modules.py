"""The tree of modules that stands in for `cupy`: namespaces, random numbers, the runtime."""

from __future__ import annotations

import sys
from types import ModuleType
from typing import Any

import numpy as np

from tests.cupy_standin import functions as listed
from tests.cupy_standin.counting import reset_synchronizations, synchronizations, synchronize
from tests.cupy_standin.ndarray import from_host, functions, ndarray, ufuncs


class Philox4x3210:
    """The bit generator minidl uses on the device."""

    def __init__(self, seed: int | None = None) -> None:
        self.host = np.random.Generator(np.random.Philox(seed))


class Generator:
    """Draws on the device."""

    def __init__(self, bit_generator: Philox4x3210) -> None:
        self._host = bit_generator.host

    def random(self, size: Any = None, dtype: Any = np.float64, out: Any = None) -> ndarray:
        return from_host(np.asarray(self._host.random(size, dtype)))

    def standard_normal(self, size: Any = None, dtype: Any = np.float64, out: Any = None) -> ndarray:
        return from_host(np.asarray(self._host.standard_normal(size, dtype)))


class Device:
    """The one device there is."""

    id = 0

    def synchronize(self) -> None:
        synchronize("Device.synchronize()")


class MemoryPool:
    """Knows only how to be asked."""

    def used_bytes(self) -> int:
        return 0

    def free_all_blocks(self) -> None:
        return None


_pool = MemoryPool()


def _build() -> dict[str, ModuleType]:
    tree: dict[str, ModuleType] = {}

    def module(name: str) -> ModuleType:
        if name not in tree:
            tree[name] = ModuleType(name, "A part of the stand-in for CuPy.")
            if "." in name:
                parent, _, last = name.rpartition(".")
                setattr(module(parent), last, tree[name])
        return tree[name]

    cupy = module("cupy")
    for name, function in [*ufuncs.items(), *functions.items()]:
        room, _, last = f"cupy.{name}".rpartition(".")
        setattr(module(room), last, function)
    for name in listed.CREATION:
        setattr(cupy, name, listed.on_device(getattr(np, name)))
    for function in (listed.array, listed.asarray, listed.ascontiguousarray, listed.asnumpy):
        setattr(cupy, function.__name__, function)
    cupy.ndarray = ndarray
    cupy.get_default_memory_pool = lambda: _pool
    for name in "bool_ int8 int16 int32 int64 uint8 float16 float32 float64 dtype newaxis pi e inf nan intp".split():
        setattr(cupy, name, getattr(np, name))
    for name in ("result_type", "ndim", "shape", "finfo", "iinfo"):
        setattr(cupy, name, getattr(np, name))
    random = module("cupy.random")
    random.Generator, random.Philox4x3210 = Generator, Philox4x3210
    module("cupy.cuda").Device = Device
    module("cupy.cuda.runtime").getDeviceCount = lambda: 1
    cupy.synchronizations = synchronizations
    cupy.reset_synchronizations = reset_synchronizations
    return tree


TREE = _build()


def install(monkeypatch: Any = None) -> ModuleType:
    """Put the stand-in into `sys.modules` as cupy: for good, or as long as a pytest `monkeypatch` lasts."""
    for name, module in TREE.items():
        if monkeypatch is None:
            sys.modules[name] = module
        else:
            monkeypatch.setitem(sys.modules, name, module)
    return TREE["cupy"]
