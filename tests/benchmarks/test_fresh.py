"""What a fresh process says of its memory."""

import subprocess
import sys

import numpy as np
import pytest

from benchmarks.fresh import ROOT, STATUS, forget_peak, peak, resident


@pytest.mark.skipif(not STATUS.exists(), reason="Linux says it")
def test_a_peak_is_forgotten_and_a_new_one_is_seen():
    forget_peak()
    before = peak()
    np.ones(40 << 20, np.uint8)
    assert peak() > max(before, resident()) + 30


def test_a_process_prints_its_peak_and_what_came_after_the_import():
    command = [sys.executable, "-m", "benchmarks.fresh", "minidl", "W3", "1"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    in_all, beyond = map(float, done.stdout.split())
    assert 0 < beyond < in_all
