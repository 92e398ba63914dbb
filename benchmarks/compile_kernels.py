"""Compiles every kernel of minidl for a GPU that need not be there, and prints what each takes of it.

    python -m benchmarks.compile_kernels            # for sm_80 (A100) and sm_90 (H100, H200), with nvcc
    python -m benchmarks.compile_kernels --nvrtc /usr/local/cuda/lib64/libnvrtc.so.13 --for sm_75 sm_90

It compiles as CuPy does: C++17, and float32 numbers below 1.18e-38 count as 0. CuPy itself uses the library NVRTC; for
GPUs before sm_75 that has to be one of CUDA 12. From PyPI it is nvidia-cuda-nvrtc, and cuda_fp16.h nvidia-cuda-runtime.
A kernel that spills registers to memory, or does not compile, is an error (the exit status is 1).
"""

from __future__ import annotations

import argparse
import ctypes
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from minidl.fast.gpu.kernels import launch

ARCHITECTURES = ("sm_80", "sm_90")
DTYPES = ("float16", "float32", "float64")
SOURCES = tuple(sorted(path.name for path in Path(launch.__file__).parent.glob("*.cu")))


def compiled(file: str, dtype: str, architecture: str, nvrtc: str = "") -> Iterator[tuple[str, int, int]]:
    """(kernel, registers of a thread, bytes spilled) for each kernel of `file`, by nvcc or the library `nvrtc`.

    Raises:
        RuntimeError: the compiler has something to say against the source.
    """
    source, options = launch.source(file, dtype), ["-std=c++17", "-ftz=true", f"-arch={architecture}"]
    failed, said = _by_nvrtc(source, options, Path(nvrtc)) if nvrtc else _by_nvcc(source, options)
    if failed or "warning" in said:
        raise RuntimeError(f"{file}, {dtype}, {architecture}: {said}")
    for part in said.split("Compiling entry function ")[1:]:
        spilled = sum(int(number) for number in re.findall(r"(\d+) bytes (?:stack frame|spill)", part))
        registers = re.search(r"Used (\d+) registers", part)
        assert registers is not None
        yield part.split("'")[1], int(registers[1]), spilled


def _by_nvcc(source: str, options: list[str]) -> tuple[int, str]:
    """(whether it failed, what nvcc says)."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "kernel.cu"
        file.write_text(source, encoding="utf-8")
        command = ["nvcc", *options, "-cubin", "-Xptxas", "-v", "-o", str(file.with_suffix(".cubin")), str(file)]
        done = subprocess.run(command, capture_output=True, text=True)
    return done.returncode, done.stderr


def _by_nvrtc(source: str, options: list[str], library: Path) -> tuple[int, str]:
    """(whether it failed, what the library says)."""
    nvrtc, program, size = ctypes.CDLL(str(library)), ctypes.c_void_p(), ctypes.c_size_t()
    words = [*options, "--ptxas-options=-v", f"-I{library.resolve().parents[1] / 'include'}"]
    nvrtc.nvrtcCreateProgram(ctypes.byref(program), source.encode(), b"kernel.cu", 0, None, None)
    failed = nvrtc.nvrtcCompileProgram(
        program, len(words), (ctypes.c_char_p * len(words))(*[word.encode() for word in words])
    )
    nvrtc.nvrtcGetProgramLogSize(program, ctypes.byref(size))
    log = ctypes.create_string_buffer(size.value)
    nvrtc.nvrtcGetProgramLog(program, log)
    nvrtc.nvrtcDestroyProgram(ctypes.byref(program))
    return failed, log.value.decode()


def main() -> int:
    """Print the table."""
    parser = argparse.ArgumentParser(description="Compile every kernel of minidl, and print what each takes of a GPU.")
    parser.add_argument("--nvrtc", default="", help="the library to compile with instead of nvcc: a file's path")
    parser.add_argument("--for", dest="architectures", nargs="+", default=ARCHITECTURES, help="such as sm_90")
    chosen = parser.parse_args()
    if not chosen.nvrtc and shutil.which("nvcc") is None:
        print("nvcc is not here", file=sys.stderr)
        return 1
    print(f"{'kernel':24}{'dtype':10}{'for':8}{'registers':>10}{'spilled':>10}")
    worst = 0
    for file in SOURCES:
        for dtype in DTYPES:
            for architecture in chosen.architectures:
                for name, registers, spilled in compiled(file, dtype, architecture, chosen.nvrtc):
                    print(f"{name:24}{dtype:10}{architecture:8}{registers:10}{spilled:10}")
                    worst = max(worst, spilled)
    return int(worst > 0)


if __name__ == "__main__":
    sys.exit(main())
