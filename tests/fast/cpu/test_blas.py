"""minidl/fast/cpu/blas.py: BLAS has one thread from minidl's first product or loop on."""

from __future__ import annotations

import os
import sys

import numpy as np
import pytest
import threadpoolctl

import minidl as md
import minidl.functional as F
from minidl.fast.cpu import threads as parallel
from minidl.fast.cpu.blas import Blas


@pytest.fixture
def before(monkeypatch):
    """BLAS as it came, two threads of it where it can have them, and minidl that has computed nothing yet."""
    parallel.blas.give_back()
    monkeypatch.setattr(parallel, "_threads", parallel._Threads())
    monkeypatch.setattr(parallel, "blas", Blas())
    with threadpoolctl.threadpool_limits(2, "blas"):
        yield blas_threads()
        parallel.blas.give_back()


def blas_threads() -> set[int]:
    return {library["num_threads"] for library in threadpoolctl.threadpool_info() if library["user_api"] == "blas"}


def test_blas_has_one_thread_from_the_first_product_on(before):
    F.relu(md.tensor(np.ones((3, 3))))
    assert blas_threads() == before
    F.linear(md.Tensor(np.ones((3, 3))), md.Tensor(np.ones((2, 3))))
    assert blas_threads() == {1}


def test_and_from_the_first_loop_on(before):
    parallel.in_blocks(lambda block: None, 2, 1)
    assert blas_threads() == {1}


def test_setting_the_number_of_threads_leaves_blas_its_one(before):
    parallel.in_blocks(lambda block: None, 2, 1)
    parallel.set_num_threads(3)
    assert blas_threads() == {1}
    assert parallel.get_num_threads() == 3


def test_one_thread_is_one_for_blas_too(before):
    parallel.set_num_threads(1)
    F.linear(md.Tensor(np.ones((3, 3))), md.Tensor(np.ones((2, 3))))
    assert blas_threads() == {1}


def test_minidl_takes_as_many_threads_as_blas_had(before):
    parallel.in_blocks(lambda block: None, 2, 1)
    assert {parallel.get_num_threads()} == before


def test_given_back_blas_has_what_it_had(before):
    parallel.in_blocks(lambda block: None, 2, 1)
    parallel.hold_blas(False)
    assert blas_threads() == before
    parallel.in_blocks(lambda block: None, 2, 1)
    assert blas_threads() == before  # and keeps it
    parallel.hold_blas(True)
    parallel.in_blocks(lambda block: None, 2, 1)
    assert blas_threads() == {1}


def test_what_blas_must_not_be_held_to_one_thread_for_runs_on_one(before, monkeypatch):
    monkeypatch.setattr(parallel, "WORTH", 0)
    parallel.set_num_threads(2)
    parallel.hold_blas(False)
    assert parallel.get_num_threads() == 1
    assert parallel.shared_out(lambda start, stop: (start, stop), 10, 1) == [(0, 10)]
    with pytest.raises(RuntimeError, match=r"several threads need.*tune_process\(False\).*forbids"):
        parallel.set_num_threads(2)


def test_without_threadpoolctl_there_is_one_thread_and_blas_is_left_alone(before, monkeypatch):
    monkeypatch.setitem(sys.modules, "threadpoolctl", None)  # as if it were not installed
    assert parallel.get_num_threads() == 1
    assert parallel.shared_out(lambda start, stop: (start, stop), 10, parallel.BLOCK) == [(0, 10)]
    parallel.set_num_threads(1)
    with pytest.raises(RuntimeError, match=r"several threads need.*pip install threadpoolctl"):
        parallel.set_num_threads(2)
    monkeypatch.undo()
    assert blas_threads() == before


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork on this system")
@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_a_forked_child_can_give_blas_its_threads_back(before):
    parallel.in_blocks(lambda block: None, 2, 1)
    child = os.fork()
    if child == 0:
        parallel.hold_blas(False)
        os._exit(0 if blas_threads() == before else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
