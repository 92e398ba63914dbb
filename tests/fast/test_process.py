"""minidl/fast/process.py: what minidl changes in its process is done or undone by one switch."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

import minidl as md

PROGRAM = """
import numpy as np, sys
import minidl as md, minidl.functional as F
import threadpoolctl

def blas():
    return max(x["num_threads"] for x in threadpoolctl.threadpool_info() if x["user_api"] == "blas")

def compute():
    F.conv2d(md.Tensor(np.ones((8, 3, 32, 32))), md.Tensor(np.ones((4, 3, 3, 3))))
    F.linear(md.Tensor(np.ones((300, 300))), md.Tensor(np.ones((300, 300))))

found = []
for switch in sys.argv[1:]:
    if switch in ("on", "off"):
        md.fast.tune_process(switch == "on")
    compute()
    found += [blas(), md.get_num_threads()]
print(*found)
"""


def run(*switches: str, **variables: str) -> str:
    environment = {"OPENBLAS_NUM_THREADS": "2", "OMP_NUM_THREADS": "2", "MKL_NUM_THREADS": "2"}
    environment = {**os.environ, **environment, "MINIDL_PLAIN": "0", "MINIDL_BACKEND": "numpy", **variables}
    done = subprocess.run([sys.executable, "-c", PROGRAM, *switches], capture_output=True, text=True, env=environment)
    return done.stdout.strip() or done.stderr.strip().splitlines()[-1]


@pytest.fixture(scope="module", autouse=True)
def _two_threads() -> None:
    import threadpoolctl

    with threadpoolctl.threadpool_limits(2, "blas"):
        if {x["num_threads"] for x in threadpoolctl.threadpool_info() if x["user_api"] == "blas"} != {2}:
            pytest.skip("BLAS has no two threads here")


def test_unless_told_otherwise_blas_has_one_thread_and_minidl_has_blass() -> None:
    assert run("as it comes") == "1 2"


def test_the_switch_turns_it_off_and_on() -> None:
    assert run("off", "on", "off") == "2 1 1 2 2 1"


def test_so_does_the_environment() -> None:
    assert run("as it comes", MINIDL_TUNE_PROCESS="0") == "2 1"
    assert run("as it comes", MINIDL_TUNE_PROCESS="1") == "1 2"
    assert run("on", MINIDL_TUNE_PROCESS="0") == "1 2"  # the program has the last word


def test_another_value_is_refused() -> None:
    assert run("on", MINIDL_TUNE_PROCESS="no") == "ValueError: MINIDL_TUNE_PROCESS: expected 0 or 1; got 'no'"


def test_plain_lines_leave_blas_alone() -> None:
    assert run("as it comes", MINIDL_PLAIN="1").split()[0] == "2"


def test_importing_minidl_does_not_import_threadpoolctl() -> None:
    program = "import sys, minidl; print('threadpoolctl' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", program], capture_output=True, text=True).stdout == "False\n"


def test_the_switch_is_on_or_off() -> None:
    with pytest.raises(ValueError, match=r"md\.fast\.tune_process: on: expected True or False; got 'off'"):
        md.fast.tune_process("off")  # type: ignore[arg-type]
