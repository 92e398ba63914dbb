"""minidl/experiments/workers.py: processes for independent runs."""

import os
import signal
from concurrent.futures import Future
from concurrent.futures.process import BrokenProcessPool
from contextlib import suppress
from multiprocessing.process import BaseProcess
from operator import truediv

import numpy as np
import pytest

import minidl as md
from minidl.backend import starting
from minidl.experiments.compare import Comparison
from minidl.experiments.pipeline import run_comparison
from minidl.experiments.runs import RunKey
from minidl.experiments.workers import Workers
from minidl.files.arrays import load_arrays
from tests.experiments.conftest import small_settings
from tests.threads import give_no_thread


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


def give_no_process(monkeypatch, error, after=0):
    """From now on the system starts `after` more processes and then refuses."""
    start, left = BaseProcess.start, iter(range(after))

    def start_or_refuse(process):
        if next(left, None) is None:
            raise error
        start(process)

    monkeypatch.setattr(BaseProcess, "start", start_or_refuse)
    monkeypatch.setattr(os, "cpu_count", lambda: 2)
    monkeypatch.setattr(starting, "_said", set())


REFUSALS = [
    BlockingIOError(11, "Resource temporarily unavailable"),
    PermissionError(1, "Operation not permitted"),
    OSError(58, "wasi does not support processes."),
    NotImplementedError("no named semaphores"),
    ModuleNotFoundError("No module named '_multiprocessing'"),
]


@pytest.mark.parametrize("error", REFUSALS, ids=lambda error: type(error).__name__)
def test_where_no_process_can_be_started_the_tasks_are_done_here_in_order(monkeypatch, error):
    give_no_process(monkeypatch, error)
    before = dict(os.environ)
    words = r"^independent runs: no processes can be started here \(.*(unavail|permit|support|semaph|_multi)"
    with pytest.warns(UserWarning, match=words), Workers() as workers:
        assert list(workers.map(truediv, [(6, 2), (6, 3)])) == [(0, 3.0), (1, 2.0)]
    with Workers() as workers:  # and says no more
        assert list(workers.map(os.getpid, [()])) == [(0, os.getpid())]
    assert dict(os.environ) == before


@pytest.mark.parametrize("error", [NotImplementedError("lacks"), ImportError("_multiprocessing"), OSError("sem_open")])
def test_a_python_that_is_built_without_processes_does_the_tasks_here(monkeypatch, error):
    def refuse():
        raise error

    monkeypatch.setattr("concurrent.futures.process._check_system_limits", refuse)
    monkeypatch.setattr(starting, "_said", set())
    before = dict(os.environ)
    with pytest.warns(UserWarning, match=f"({error})"), Workers() as workers:
        assert list(workers.map(truediv, [(6, 2)])) == [(0, 3.0)]
    assert dict(os.environ) == before


def test_a_second_process_that_cannot_be_started_sends_all_tasks_here(monkeypatch):
    give_no_process(monkeypatch, BlockingIOError(11, "unavailable"), after=1)
    with pytest.warns(UserWarning, match="one after another in this process"), Workers() as workers:
        assert list(workers.map(os.getpid, [(), ()])) == [(0, os.getpid()), (1, os.getpid())]


def test_without_the_thread_that_minds_the_processes_the_tasks_are_done_here(monkeypatch):
    give_no_thread(monkeypatch)
    with pytest.warns(UserWarning, match="can't start new thread"), Workers() as workers:
        assert list(workers.map(truediv, [(6, 2)])) == [(0, 3.0)]


def test_another_runtime_error_is_not_taken_for_that(monkeypatch):
    give_no_process(monkeypatch, RuntimeError("an attempt to start a new process before the current one is ready"))
    with pytest.raises(RuntimeError, match="an attempt"), Workers() as workers:
        list(workers.map(truediv, [(6, 2)]))


def test_an_error_in_a_task_is_not_taken_for_that(monkeypatch):
    give_no_process(monkeypatch, PermissionError(1, "not permitted"))
    with (
        pytest.warns(UserWarning, match="independent runs"),
        pytest.raises(FileNotFoundError, match="nowhere"),
        Workers() as workers,
    ):
        list(workers.map(os.stat, [("/nowhere",)]))


def test_a_task_that_is_done_here_computes_with_one_thread(monkeypatch):
    give_no_process(monkeypatch, PermissionError(1, "not permitted"))
    with pytest.warns(UserWarning, match="independent runs"), Workers() as workers:
        assert list(workers.map(md.get_num_threads, [()])) == [(0, 1)]


def test_the_runs_have_the_same_bits_without_processes(finished, tmp_path, monkeypatch):
    folder, _ = finished
    settings = small_settings(seeds=1, arms=("uniform",), epochs=2)
    give_no_process(monkeypatch, PermissionError(1, "not permitted"))
    with pytest.warns(UserWarning, match="the same runs"), Workers() as workers:
        Comparison(settings, tmp_path / "alone", workers).run_all([RunKey("sgd", "uniform", 0.5, seed=0)])
    [path] = (tmp_path / "alone" / "runs").glob("*.npz")
    found, expected = (load_arrays(p, kind="run")[0] for p in (path, folder / "runs" / path.name))
    for name in ("loss", "test_loss", "test_accuracy", "validation_loss"):
        np.testing.assert_array_equal(found[name], expected[name])


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


# ---- tasks that are begun one by one


@pytest.mark.parametrize("in_process", [True, False])
def test_a_task_that_is_begun_gives_its_result_or_its_error(in_process):
    with Workers(in_process, processes=1) as workers:
        assert workers.submit(truediv, 6, 3).result() == 2.0
        assert isinstance(workers.submit(truediv, 6, 0).exception(), ZeroDivisionError)


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="no process is killed like that here")
def test_after_the_system_has_ended_a_process_a_new_one_goes_on():
    with Workers(processes=1) as workers:
        assert isinstance(workers.submit(end_or_return, 0).exception(), BrokenProcessPool)
        assert workers.submit(end_or_return, 5).result() == 5


def test_there_are_as_many_processes_as_asked_for():
    with Workers(processes=1) as workers:
        assert len({workers.submit(os.getpid).result() for _ in range(3)} - {os.getpid()}) == 1


def test_where_no_process_can_be_started_a_task_is_done_here(monkeypatch):
    give_no_process(monkeypatch, PermissionError(1, "not permitted"))
    with pytest.warns(UserWarning, match="independent runs"), Workers(processes=1) as workers:
        assert workers.submit(md.get_num_threads).result() == 1
