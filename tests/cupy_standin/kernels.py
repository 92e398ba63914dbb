"""Kernels without a GPU: the very CUDA C++ source, compiled for the host as `cuda/cuda_host.h` explains.

Where there is no C++ compiler the stand-in has no RawKernel and no ElementwiseKernel, and minidl computes without.

A GPU rounds otherwise than NumPy in two ways: a * b + c is rounded once (FMA), and CuPy has float32 numbers below
1.18e-38 count as 0. With `pytest --arithmetic gpu` (`arithmetic` below) the host does both while a kernel runs, as far
as it can: it needs a processor with FMA, and one of Intel's kind to flush. Without, kernels compute as NumPy does.
"""

from __future__ import annotations

import ctypes
import hashlib
import math
import os
import shutil
import subprocess
import tempfile
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from tests.cupy_standin.counting import run as run_on_device
from tests.cupy_standin.ndarray import SCALARS, empty_host, from_host, ndarray

HEADERS = Path(__file__).with_name("cuda")
COMPILER = next((found for name in ("g++", "clang++", "c++") if (found := shutil.which(name))), None)
CACHE = Path(tempfile.gettempdir()) / f"cupy_standin_{getattr(os, 'getuid', lambda: 0)()}"
MOST_BLOCKS, MOST_THREADS = (2**31 - 1, 65535, 65535), (1024, 1024, 64)

threads_in_a_warp = 1  # 32: shuffles and barriers as on a GPU, slowly
arithmetic = "cpu"  # or gpu: see above

_ROUNDING = {"cpu": ["-O1", "-ffp-contract=off"], "gpu": ["-O2", "-ffp-contract=fast", "-march=native"]}


def compile_library(source: str, options: tuple[str, ...] = ()) -> ctypes.CDLL:
    """The library made of `source`, compiled unless that was done before."""
    return _compiled(source, options, threads_in_a_warp, arithmetic)


@cache
def _compiled(source: str, options: tuple[str, ...], warp: int, rounding: str) -> ctypes.CDLL:
    header = (HEADERS / "cuda_host.h").read_text(encoding="utf-8")
    # A macro called T may not reach the headers: CUDA's own have templates with a T.
    defined = "".join(f"#define {option[2:].replace('=', ' ', 1)}\n" for option in options if option[:2] == "-D")
    # A processor can flush only float32 and float64 together, so what computes in float64 flushes nothing.
    flush = int(rounding == "gpu" and "typedef double A;" not in source)
    text = f'#define STANDIN_WARP {warp}\n#define STANDIN_FLUSH {flush}\n#include "cuda_host.h"\n{defined}{source}'
    flags = ["-std=c++17", *_ROUNDING[rounding], "-shared", "-fPIC", f"-I{HEADERS}"]
    key = hashlib.sha256("\0".join([text, header, str(COMPILER), *flags]).encode()).hexdigest()[:24]
    library = CACHE / f"{key}.so"
    if not library.exists():
        CACHE.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=CACHE) as folder:
            file, made = Path(folder) / "kernel.cpp", Path(folder) / "kernel.so"
            file.write_text(text, encoding="utf-8")
            done = subprocess.run([str(COMPILER), *flags, str(file), "-o", str(made)], capture_output=True, text=True)
            if done.returncode:
                raise RuntimeError(f"CompileException: {done.stderr}")
            os.replace(made, library)  # at once, also for a second process that compiles the same
    return ctypes.CDLL(str(library))


# ---- RawKernel


@cache
def _array(kind: Any, number: int) -> Any:
    """The type of so many of a kind; each new one would be a circle for the garbage collector."""
    return kind * number


class Parameter(NamedTuple):
    """A parameter of a kernel: pointer or value, the kind of its numbers as in `dtype.kind` (V: a struct), the size."""

    pointer: bool
    kind: str
    size: int


class RawKernel:
    """A kernel from CUDA C++. Every argument must have the very type that the source declares.

    CuPy would pass on whatever it is given: an array of another dtype is read as if it were right, and of a Python
    number's 8 bytes a kernel that expects 4 takes the first.
    """

    def __init__(self, code: str, name: str, options: tuple[str, ...] = (), backend: str = "nvrtc") -> None:
        if not isinstance(options, tuple):
            raise TypeError(f"options: expected a tuple; got {type(options).__name__}")
        self.code = code
        self.name = name
        self.options = options
        self.backend = backend

    def __call__(self, grid: Any, block: Any, args: Any, *, shared_mem: int = 0) -> None:
        if shared_mem:
            raise NotImplementedError("the stand-in has no dynamic shared memory")
        run, parameters = self._ready(threads_in_a_warp, arithmetic)
        if len(args) != len(parameters):
            raise TypeError(f"{self.name} has {len(parameters)} parameters; got {len(args)} arguments")
        blocks, threads = _size(grid, MOST_BLOCKS, self.name), _size(block, MOST_THREADS, self.name)
        if math.prod(threads) > 1024:
            raise ValueError(f"{self.name}: cudaErrorInvalidValue: a block of {block} has more than 1024 threads")
        values = [
            _memory_of(value, parameter, f"{self.name}, argument {i}")
            for i, (value, parameter) in enumerate(zip(args, parameters, strict=True))
        ]
        pointers = _array(ctypes.c_void_p, len(values))(*[value.ctypes.data for value in values])

        def work(kept: Any = (args, values)) -> None:  # what is pointed to lives as long as this can be called
            if run(_array(ctypes.c_uint, 3)(*blocks), _array(ctypes.c_uint, 3)(*threads), pointers):
                raise RuntimeError(f"{self.name}: some threads of a warp or block wait for others that never come")

        run_on_device(self.name, work)

    @cache  # noqa: B019 - kernels are few and live as long as the program
    def _ready(self, warp: int, rounding: str) -> tuple[Any, list[Parameter]]:
        """The function that runs the kernel, and the kernel's parameters."""
        more = f"""
        extern "C" int standin_run(const unsigned* grid, const unsigned* block, void** args) {{
            return run_grid([](void** a) {{ call_with({self.name}, a); }}, grid, block, args);
        }}
        extern "C" int standin_describe(int* out) {{ return describe({self.name}, out); }}
        """
        library = compile_library(self.code + more, self.options)
        numbers = _array(ctypes.c_int, 192)()
        count = library.standin_describe(numbers)
        found = [numbers[3 * i : 3 * i + 3] for i in range(count)]
        return library.standin_run, [Parameter(chr(what) == "p", chr(kind), size) for what, kind, size in found]


class RawModule:
    """Kernels from one source."""

    def __init__(self, code: str | None = None, *, options: tuple[str, ...] = (), backend: str = "nvrtc") -> None:
        self.code = str(code)
        self.options = options
        self.backend = backend

    def get_function(self, name: str) -> RawKernel:
        return RawKernel(self.code, name, self.options, self.backend)


def _size(numbers: Any, limits: tuple[int, ...], name: str) -> tuple[int, ...]:
    """A grid or block with three numbers, none below 1, as CuPy makes it."""
    if not isinstance(numbers, tuple) or not 1 <= len(numbers) <= 3 or not all(type(n) is int for n in numbers):
        raise TypeError(f"{name}: expected a tuple of one to three whole numbers; got {numbers!r}")
    full = tuple(max(1, number) for number in (*numbers, 1, 1)[:3])
    if any(n > most for n, most in zip(full, limits, strict=True)):
        raise ValueError(f"{name}: cudaErrorInvalidValue: {numbers} is more than {limits}")
    return full


def _memory_of(value: Any, parameter: Parameter, where: str) -> Any:
    """A NumPy array that holds what the kernel is handed for `value`: the number itself, or an address."""
    if value is None or isinstance(value, ndarray):
        if not parameter.pointer:
            raise TypeError(f"{where}: expected a value; got an array")
        if value is None:
            return np.zeros((), np.uint64)
        if parameter.kind != "V" and (value.dtype.kind, value.itemsize) != parameter[1:]:
            raise TypeError(f"{where}: expected an array of {parameter.kind}{parameter.size}; got {value.dtype}")
        return np.array(value._host.__array_interface__["data"][0], np.uint64)
    if isinstance(value, np.ndarray) and value.size != 1:
        raise TypeError(f"You are trying to pass a numpy.ndarray of shape {value.shape} as a kernel parameter")
    if not isinstance(value, (np.ndarray, np.generic)):
        raise TypeError(f"{where}: expected an array or a NumPy scalar, whose type is explicit; got {type(value)}")
    if parameter.pointer or (value.dtype.kind, value.dtype.itemsize) != parameter[1:]:
        raise TypeError(f"{where}: expected {parameter}; got {value.dtype} of {value.dtype.itemsize} bytes")
    return np.array(value)


# ---- ElementwiseKernel

C_NAMES = {
    "bool": "bool", "int8": "signed char", "int16": "short", "int32": "int", "int64": "long long",
    "uint8": "unsigned char", "uint16": "unsigned short", "uint32": "unsigned", "uint64": "unsigned long long",
    "float16": "float16", "float32": "float", "float64": "double",
}  # fmt: skip


class ElementwiseKernel:
    """An operation on single elements: what it takes are arrays that broadcast, or numbers of a type it names."""

    def __init__(
        self,
        in_params: str,
        out_params: str,
        operation: str,
        name: str = "kernel",
        reduce_dims: bool = True,
        preamble: str = "",
        no_return: bool = False,
        return_tuple: bool = False,
    ) -> None:
        self.inputs = [_typed(text) for text in in_params.split(",") if text.strip()]
        self.outputs = [_typed(text) for text in out_params.split(",")]
        self.operation = operation
        self.name = name
        self.preamble = preamble
        self.no_return = no_return
        self.return_tuple = return_tuple

    def __call__(self, *args: Any) -> Any:
        count = len(self.inputs)
        if len(args) not in (count, count + len(self.outputs)):
            raise TypeError(f"Wrong number of arguments for {self.name!r}: {len(args)}")
        types = self._types(args)
        shape = np.broadcast_shapes(*[arg.shape for arg in args[:count] if isinstance(arg, ndarray)])
        outputs = list(args[count:])
        for given in outputs:
            if given.shape != shape:
                raise ValueError(f"Out shape is mismatched: {given.shape} and {shape}")
        if not outputs:
            outputs = [from_host(empty_host(shape, types[kind])) for kind, _ in self.outputs]
        run = _elementwise(self, tuple(sorted((kind, dtype.name) for kind, dtype in types.items())), arithmetic)

        def work() -> None:
            ready = [
                np.ascontiguousarray(np.broadcast_to(getattr(arg, "_host", arg), shape), types[kind])
                for arg, (kind, _) in zip(args, self.inputs, strict=False)
            ]
            results = [np.array(out._host, order="C") for out in outputs]
            arrays = [*ready, *results]
            run(
                ctypes.c_longlong(math.prod(shape)),
                _array(ctypes.c_void_p, len(arrays))(*[a.ctypes.data for a in arrays]),
            )
            for out, result in zip(outputs, results, strict=True):
                out._host[...] = result

        if math.prod(shape):
            run_on_device(self.name, work)
        if self.no_return:
            return None
        return tuple(outputs) if self.return_tuple or len(outputs) > 1 else outputs[0]

    def _types(self, args: tuple[Any, ...]) -> dict[str, np.dtype[Any]]:
        """The dtype that each word for a type stands for, a letter or a dtype's name."""
        types = {kind: np.dtype(kind) for kind, _ in (*self.inputs, *self.outputs) if len(kind) > 1}
        for arg, (kind, name) in zip(args, (*self.inputs, *self.outputs), strict=False):
            if isinstance(arg, np.ndarray) or not isinstance(arg, (ndarray, *SCALARS)):
                raise TypeError(f"Unsupported type {type(arg)}")
            if not isinstance(arg, ndarray):
                if len(kind) == 1:
                    raise TypeError(f"{self.name}: the number {name!r} needs a type of its own, such as float64")
                continue
            if types.setdefault(kind, arg.dtype) != arg.dtype:
                raise TypeError(f"Type is mismatched. {name}, {arg.dtype}, {types[kind]}")
        unknown = {kind for kind, _ in self.outputs if kind not in types}
        if unknown:
            raise TypeError(f"{self.name}: no argument says what type {unknown} is")
        return types


def _typed(text: str) -> tuple[str, str]:
    """`float64 slope` as its two words."""
    words = text.split()
    if len(words) != 2:
        raise NotImplementedError(f"the stand-in knows parameters of two words only, a type and a name; got {text!r}")
    kind, name = words
    if name in ("i", "n") or name.startswith("_"):
        raise ValueError(f"Parameter {name!r} is not allowed")
    return kind, name


@cache
def _elementwise(kernel: ElementwiseKernel, types: tuple[tuple[str, str], ...], rounding: str) -> Any:
    """The function that applies the operation to as many elements as it is told."""
    typedefs = "\n".join(f"typedef {C_NAMES[dtype]} {kind};" for kind, dtype in types if len(kind) == 1)
    c_names = {kind: kind if len(kind) == 1 else C_NAMES[dtype] for kind, dtype in types}
    lines = []
    for place, (kind, name) in enumerate([*kernel.inputs, *kernel.outputs]):
        change = "const " if place < len(kernel.inputs) else ""
        lines.append(f"{change}{c_names[kind]}& {name} = (({c_names[kind]}*)_arrays[{place}])[i];")
    source = f"""{typedefs}
    {kernel.preamble}
    __attribute__((noinline)) static void run_all(long long _count, void** _arrays) {{
        for (long long i = 0; i < _count; i++) {{
            {" ".join(lines)}
            {kernel.operation};
        }}
    }}
    extern "C" void standin_run(long long _count, void** _arrays) {{
        const Flushing flushing;
        run_all(_count, _arrays);
    }}
    """
    return compile_library(source).standin_run
