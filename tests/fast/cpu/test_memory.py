"""minidl/backend/memory.py."""

from __future__ import annotations

import platform
import subprocess
import sys

import pytest

STEPS = """
import resource, sys
import numpy as np
if sys.argv[1] == "with":
    import minidl

def step():
    arrays = [np.ones(1 << 18, np.float32) for _ in range(20)]  # 20 MiB

for _ in range(3):
    step()
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(10):
    step()
print((resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before) / 10)
"""


def page_faults_a_step(how: str) -> float:
    run = subprocess.run([sys.executable, "-c", STEPS, how], capture_output=True, text=True, check=True)
    return float(run.stdout)


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="another C library decides for itself")
def test_a_step_finds_the_memory_of_the_one_before() -> None:
    pages = 20 * 256
    if page_faults_a_step("without") < 0.5 * pages:
        pytest.skip("this system keeps freed memory anyway, or has larger pages")
    assert page_faults_a_step("with") < 0.01 * pages
