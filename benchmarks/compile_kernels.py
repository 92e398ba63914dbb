"""Compiles every kernel of minidl for a GPU that need not be there, and prints what each takes of it.

    python -m benchmarks.compile_kernels            # for sm_80 (A100) and sm_90 (H100, H200), with nvcc

A kernel that spills registers to memory, or does not compile, is an error (the exit status is 1).
"""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from minidl.backend.kernels import launch

ARCHITECTURES = ("sm_80", "sm_90")
DTYPES = ("float16", "float32", "float64")
SOURCES = tuple(sorted(path.name for path in Path(launch.__file__).parent.glob("*.cu")))


def compiled(file: str, dtype: str, architecture: str) -> Iterator[tuple[str, int, int]]:
    """(kernel, registers of a thread, bytes spilled) for each kernel of `file`.

    Raises:
        RuntimeError: nvcc has something to say against the source.
    """
    with tempfile.TemporaryDirectory() as folder:
        source = Path(folder) / file
        source.write_text(launch.source(file, dtype), encoding="utf-8")
        flags = [
            "-std=c++17",
            f"-arch={architecture}",
            "-cubin",
            "-Xptxas",
            "-v",
            "-o",
            str(source.with_suffix(".cubin")),
        ]
        done = subprocess.run(["nvcc", *flags, str(source)], capture_output=True, text=True)
    if done.returncode or "warning" in done.stderr:
        raise RuntimeError(done.stderr)
    for part in done.stderr.split("Compiling entry function ")[1:]:
        spilled = sum(int(number) for number in re.findall(r"(\d+) bytes (?:stack frame|spill)", part))
        registers = re.search(r"Used (\d+) registers", part)
        assert registers is not None
        yield part.split("'")[1], int(registers[1]), spilled


def main() -> int:
    """Print the table."""
    if shutil.which("nvcc") is None:
        print("nvcc is not here", file=sys.stderr)
        return 1
    print(f"{'kernel':24}{'dtype':10}{'for':8}{'registers':>10}{'spilled':>10}")
    worst = 0
    for file in SOURCES:
        for dtype in DTYPES:
            for architecture in ARCHITECTURES:
                for name, registers, spilled in compiled(file, dtype, architecture):
                    print(f"{name:24}{dtype:10}{architecture:8}{registers:10}{spilled:10}")
                    worst = max(worst, spilled)
    return int(worst > 0)


if __name__ == "__main__":
    sys.exit(main())
