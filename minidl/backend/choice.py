"""Where new tensors are made: `md.use("cupy")`, `with md.using("cupy"):`, or `MINIDL_BACKEND=cupy`."""

from __future__ import annotations

import importlib
import os
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from types import ModuleType

import numpy

from minidl.errors import DeviceError

NAMES = ("numpy", "cupy")

_process_default: str | None = None  # what `use` chose; None until then, so that MINIDL_BACKEND counts
_block_choice: ContextVar[str | None] = ContextVar("minidl_backend", default=None)  # what `using` chose


def module(name: str) -> ModuleType:
    """The array library called `name`: numpy itself, or cupy once it and a GPU are known to be there.

    Raises:
        DeviceError: the name is unknown, CuPy is not installed, or CuPy finds no GPU.
    """
    if name == "numpy":
        return numpy
    if name != "cupy":
        raise DeviceError(f"expected a backend out of {', '.join(NAMES)}; got {name!r}")
    try:
        cupy = importlib.import_module("cupy")
    except ImportError as error:
        raise DeviceError(
            "the backend 'cupy' needs CuPy, which is not installed: pip install 'minidl[cuda12]' (or 'minidl[cuda13]', "
            "after your CUDA version), or stay on 'numpy'"
        ) from error
    try:
        gpus = cupy.cuda.runtime.getDeviceCount()
    except Exception as error:  # CuPy raises its own CUDARuntimeError, which cannot be named without cupy
        raise DeviceError(f"the backend 'cupy' needs a GPU and CuPy cannot reach one ({error}); use 'numpy'") from error
    if gpus == 0:
        raise DeviceError("the backend 'cupy' needs a GPU and CuPy finds none; use 'numpy'")
    return cupy


def current() -> str:
    """The backend on which new tensors are made now, 'numpy' or 'cupy'."""
    return _block_choice.get() or _process_default or _from_environment()


def _from_environment() -> str:
    name = os.environ.get("MINIDL_BACKEND") or "numpy"
    if name not in NAMES:
        raise DeviceError(f"MINIDL_BACKEND: expected a backend out of {', '.join(NAMES)}; got {name!r}")
    return name


def use(name: str) -> None:
    """Make new tensors on `name` ('numpy' or 'cupy') from here on, in the whole process."""
    global _process_default
    module(name)  # refuse now, not at the first tensor
    _process_default = name


@contextmanager
def using(name: str) -> Iterator[None]:
    """Make new tensors on `name` inside the block; the choice belongs to this thread or task only."""
    module(name)
    token = _block_choice.set(name)
    try:
        yield
    finally:
        _block_choice.reset(token)
