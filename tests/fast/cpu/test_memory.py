"""minidl/fast/cpu/memory.py: a step finds the memory of the one before."""

from __future__ import annotations

import os
import platform
import subprocess
import sys

import pytest

from minidl.fast.cpu import memory

STEPS = """
import resource, sys
import numpy as np

def step():
    arrays = [np.ones(1 << 18, np.float32) for _ in range(20)]  # 20 MiB

def page_faults():
    for _ in range(3):
        step()
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(10):
        step()
    return (resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before) / 10

if sys.argv[1] != "without":
    import minidl
print(page_faults())
if sys.argv[1] == "switched":
    minidl.fast.tune_process(False)
    print(page_faults())
    minidl.fast.tune_process(True)
    print(page_faults())
"""
PAGES = 20 * 256  # of a step


def page_faults_a_step(how: str, **variables: str) -> list[float]:
    environment = {name: value for name, value in os.environ.items() if name not in memory._USERS} | variables
    run = subprocess.run(
        [sys.executable, "-c", STEPS, how], capture_output=True, text=True, check=True, env=environment
    )
    return [float(line) for line in run.stdout.split()]


@pytest.fixture
def gives_back() -> None:
    """Skips the test where the system does not give memory back anyway."""
    if platform.libc_ver()[0] != "glibc":
        pytest.skip("another C library decides for itself")
    if page_faults_a_step("without")[0] < 0.5 * PAGES:
        pytest.skip("this system keeps freed memory anyway, or has larger pages")


@pytest.mark.usefixtures("gives_back")
def test_a_step_finds_the_memory_of_the_one_before_until_that_is_switched_off() -> None:
    on, off, on_again = page_faults_a_step("switched")
    assert on < 0.01 * PAGES
    assert off > 0.5 * PAGES
    assert on_again < 0.01 * PAGES


@pytest.mark.usefixtures("gives_back")
@pytest.mark.parametrize("variable", [{"MINIDL_TUNE_PROCESS": "0"}, {"MALLOC_TRIM_THRESHOLD_": "100000"}])
def test_the_environment_can_forbid_it(variable: dict[str, str]) -> None:
    assert page_faults_a_step("with", **variable)[0] > 0.5 * PAGES


def test_elsewhere_than_on_linux_nothing_is_done(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory.sys, "platform", "win32")
    monkeypatch.setattr(memory.ctypes, "CDLL", None)
    memory.keep_freed_memory()
