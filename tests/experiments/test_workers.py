"""minidl/experiments/workers.py: processes for independent runs."""

import os
import signal
from concurrent.futures import Future
from concurrent.futures.process import BrokenProcessPool
from contextlib import suppress
from operator import truediv

import numpy as np
import pytest

from minidl.experiments.pipeline import run_comparison
from minidl.experiments.workers import Workers
from minidl.files.arrays import load_arrays
from tests.experiments.conftest import small_settings


@pytest.mark.parametrize("in_process", [True, False])
def test_every_task_is_done_and_has_its_number(in_process):
    with Workers(in_process) as workers:
        assert sorted(workers.map(truediv, [(6, 2), (6, 3), (6, 4)])) == [(0, 3.0), (1, 2.0), (2, 1.5)]


@pytest.mark.parametrize("in_process", [True, False])
def test_an_error_in_a_task_reaches_the_caller_and_the_environment_is_as_it_was(in_process):
    before = dict(os.environ)
    with pytest.raises(ZeroDivisionError), Workers(in_process) as workers:
        list(workers.map(truediv, [(1, 0)]))
    assert dict(os.environ) == before


def test_a_process_computes_with_one_thread():
    with Workers() as workers:
        [(_, found)] = workers.map(os.getenv, [("OPENBLAS_NUM_THREADS",)])
    assert found == "1"


def test_two_processes_give_the_same_bits_as_one(finished, tmp_path):
    folder, _ = finished
    run_comparison(small_settings(), tmp_path / "again", command="again")
    for path in (folder / "runs").glob("*.npz"):
        first, second = (load_arrays(p, kind="run")[0] for p in (path, tmp_path / "again" / "runs" / path.name))
        np.testing.assert_array_equal(first["loss"], second["loss"])


def end_or_return(number):
    if number == 0:
        os.kill(os.getpid(), signal.SIGKILL)
    return number


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="no process is killed like that here")
def test_a_process_that_the_system_ends_is_named():
    with pytest.raises(ChildProcessError, match="ended by the system"), Workers() as workers:
        list(workers.map(end_or_return, [(2,), (0,), (3,)]))


def test_what_was_done_before_the_end_of_a_process_comes_first():
    class Pool:
        def submit(self, function, number):
            future = Future()
            if number == 1:
                future.set_exception(BrokenProcessPool())
            else:
                future.set_result(number)
            return future

    workers = Workers()
    workers._pool = Pool()
    done = []
    for _, found in _until_the_end(workers.map(abs, [(0,), (1,), (2,), (3,)])):
        done.append(found)
    assert sorted(done) == [0, 2, 3]


def _until_the_end(results):
    with suppress(ChildProcessError):
        yield from results
