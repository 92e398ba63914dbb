"""Where new tensors are made: `md.use("cupy")`, `with md.using("cupy"):`, or `MINIDL_BACKEND=cupy`."""

from __future__ import annotations

import importlib
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from types import ModuleType
from typing import Any

import numpy

from minidl.backend.starting import refuse_fork
from minidl.errors import DeviceError

NAMES = ("numpy", "cupy")

_cuda_process: int | None = None  # the process in which CUDA was first asked for
_process_default: str | None = None  # what `use` chose; None until then, so that MINIDL_BACKEND counts
_block_choice: ContextVar[str | None] = ContextVar("minidl_backend", default=None)  # what `using` chose


def module(name: str) -> ModuleType:
    """The array library called `name`: numpy itself, or cupy once it and a GPU are known to be there.

    Raises:
        DeviceError: the name is unknown, CuPy is not installed or cannot be imported, there is no driver, one that is
            too old, or no GPU.
        RuntimeError: this process was forked from one that uses the GPU.
    """
    global _cuda_process
    if name == "numpy":
        return numpy
    if name != "cupy":
        raise DeviceError(
            f"expected a backend out of {', '.join(NAMES)}; got {name!r}{_of_several(name)}{_called_here(name)}"
        )
    try:
        cupy = importlib.import_module("cupy")
    except ModuleNotFoundError as error:
        if error.name != "cupy":
            raise DeviceError(_broken(error)) from error
        raise DeviceError(
            "the backend 'cupy' needs CuPy, which is not installed: pip install 'minidl[cuda12]' (or 'minidl[cuda13]', "
            "after your CUDA version), or stay on 'numpy'"
        ) from error
    except ImportError as error:
        raise DeviceError(_broken(error)) from error
    refuse_cuda_in_fork()
    _cuda_process = os.getpid()
    runtime = cupy.cuda.runtime
    try:
        gpus = runtime.getDeviceCount()
    except Exception as error:  # CuPy raises its own CUDARuntimeError, which cannot be named without cupy
        raise DeviceError(f"the backend 'cupy' needs a GPU and {_why_none(runtime, error)}; use 'numpy'") from error
    if gpus == 0:
        raise DeviceError(f"the backend 'cupy' needs a GPU and {NO_GPU}; use 'numpy'")
    return cupy


def in_fork() -> bool:
    """Whether this process was forked from one that uses the GPU: CUDA does not work in it."""
    return _cuda_process is not None and os.getpid() != _cuda_process


def refuse_cuda_in_fork() -> None:
    """Refuse to ask for the GPU in a fork, before CUDA says something less clear.

    Raises:
        RuntimeError: this process was forked from one that uses the GPU.
    """
    if in_fork():
        refuse_fork(
            _cuda_process or 0,
            "that uses the GPU, and CUDA does not work in a fork",
            "start this process afresh, with multiprocessing.get_context('spawn'), or compute on 'numpy' in it",
        )


def cupy_if_loaded() -> Any:
    """CuPy, if some array can be one of its own. Nothing else loads it, so a program on the CPU never pays for it."""
    return sys.modules.get("cupy")


NO_GPU = "none can be seen (nvidia-smi lists them; CUDA_VISIBLE_DEVICES, if it is set, hides all others)"


def _of_several(name: str) -> str:
    """What to do who asks for 'cupy:1'."""
    if not isinstance(name, str) or not name.startswith("cupy:"):
        return ""
    number = name.removeprefix("cupy:")
    return (
        f". minidl computes on one GPU, the first that CUDA shows to the program: to take another, set "
        f"CUDA_VISIBLE_DEVICES={number} before it starts, and ask for 'cupy'"
    )


def _called_here(name: Any) -> str:
    """What to write for PyTorch's names of devices, or for a dtype in the place of a device."""
    if isinstance(name, str) and name.partition(":")[0] in ("cpu", "cuda"):
        return f": write {'numpy' if name.startswith('cpu') else 'cupy'!r}"
    return (
        "" if isinstance(name, str) and not name.startswith(("float", "int")) else ". For a dtype write x.astype(dtype)"
    )


def _broken(error: ImportError) -> str:
    first = str(error).strip().splitlines()[0]
    return (
        f"the backend 'cupy' needs CuPy, which is there and cannot be imported ({first}); install just one of "
        f"'minidl[cuda12]' and 'minidl[cuda13]', after your CUDA version, or stay on 'numpy'"
    )


def _why_none(runtime: Any, error: Exception) -> str:
    """What stands between CuPy and a GPU, in words. CUDA's versions are numbers like 12020, for 12.2."""
    driver, wanted = runtime.driverGetVersion(), runtime.runtimeGetVersion()
    if driver == 0:
        return "finds no NVIDIA driver (nvidia-smi shows it where there is one)"
    if driver // 1000 < wanted // 1000:
        return (
            f"the NVIDIA driver is too old: it knows CUDA {_version(driver)} and this CuPy was made for CUDA "
            f"{_version(wanted)}. Update the driver"
            + (f", or install minidl[cuda{driver // 1000}]" if driver >= 12000 else "")
        )
    if "NoDevice" in str(error):
        return NO_GPU
    return f"CuPy cannot reach one ({error})"


def _version(number: int) -> str:
    return f"{number // 1000}.{number % 1000 // 10}"


def current() -> str:
    """The backend on which new tensors are made now, 'numpy' or 'cupy'."""
    return _block_choice.get() or _process_default or _from_environment()


def _from_environment() -> str:
    name = os.environ.get("MINIDL_BACKEND") or "numpy"
    if name not in NAMES:
        raise DeviceError(
            f"MINIDL_BACKEND: expected a backend out of {', '.join(NAMES)}; got {name!r}{_of_several(name)}"
        )
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
