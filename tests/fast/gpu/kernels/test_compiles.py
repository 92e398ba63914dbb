"""Every kernel compiles for a GPU, without spilling registers; all dtypes: `python -m benchmarks.compile_kernels`."""

from __future__ import annotations

import shutil

import pytest

from benchmarks.compile_kernels import SOURCES, compiled


@pytest.mark.skipif(shutil.which("nvcc") is None, reason="needs nvcc")
@pytest.mark.parametrize("file", SOURCES)
def test_nvcc_compiles_it(file: str) -> None:
    found = list(compiled(file, "float16", "sm_90"))
    assert found
    for name, registers, spilled in found:
        assert spilled == 0, name
        assert registers <= 64, f"{name}: fewer threads would fit a multiprocessor"
