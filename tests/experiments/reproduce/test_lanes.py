"""minidl/experiments/reproduce/lanes.py: processes side by side."""

import multiprocessing
import os
import signal
import time
from concurrent.futures import wait
from concurrent.futures.process import BrokenProcessPool

import pytest

from minidl.experiments.reproduce.lanes import Lanes


def end_or_return(number):
    if number == 0:
        os.kill(os.getpid(), signal.SIGKILL)
    return number


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="no process is killed like that here")
def test_a_process_that_the_system_ends_takes_only_its_own_task_with_it():
    before = dict(os.environ)
    with Lanes(2) as lanes:
        assert lanes.free() == 2
        tasks = [lanes.submit(end_or_return, number) for number in (0, 1)]
        wait(tasks)
        assert isinstance(tasks[0].exception(), BrokenProcessPool)
        assert lanes.why(tasks[0].exception()) == "the system ended its process (too little memory?)"
        assert tasks[1].result() == 1
        again = [lanes.submit(end_or_return, number) for number in (2, 3)]
        assert [task.result() for task in again] == [2, 3]
        assert lanes.free() == 2
        assert [lanes.submit(os.getenv, "OPENBLAS_NUM_THREADS").result() for _ in range(2)] == ["1", "1"]
    assert dict(os.environ) == before


def test_there_is_one_a_core_if_nothing_is_said():
    with Lanes() as lanes:
        assert lanes.free() == (os.cpu_count() or 1)


def test_left_by_an_exception_it_ends_what_is_running():
    before = dict(os.environ)
    began = time.monotonic()
    with pytest.raises(ZeroDivisionError), Lanes(1) as lanes:
        _begin_and_fail(lanes)
    assert time.monotonic() - began < 60
    assert multiprocessing.active_children() == []
    assert dict(os.environ) == before


def _begin_and_fail(lanes):
    lanes.submit(time.sleep, 600)
    assert lanes.free() == 0
    raise ZeroDivisionError
