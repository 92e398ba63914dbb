"""minidl/experiments/reproduce/cluster.py: runs on dask.distributed's workers, which are processes here."""

import builtins
import json
import os
import signal
import subprocess
import sys
import threading
import time
from types import SimpleNamespace

import pytest

from minidl.experiments.reproduce import cluster, holding
from minidl.experiments.reproduce.cluster import Cluster, names_a_port, problems
from minidl.experiments.reproduce.holding import ask_to_stop
from minidl.experiments.reproduce.results import read_result, versions
from minidl.experiments.reproduce.scheduling import do
from tests.experiments.reproduce.fake import doing, small_plan

# ---- what does not fit

FITS = {"threads": 1, "versions": versions(), "sees": True, "writes": True}


def wrong(folder, **changes):
    return problems({"tcp://1.2.3.4:5": FITS | changes}, versions(), folder)


def test_a_worker_that_fits_is_no_problem(tmp_path):
    assert wrong(tmp_path) == []


def test_what_does_not_fit_is_told_with_the_worker_and_what_to_do(tmp_path):
    assert wrong(tmp_path, threads=2) == [
        "the worker tcp://1.2.3.4:5 has 2 threads, and two runs in one process would draw from the same random "
        "numbers: start it with --nthreads 1"
    ]
    assert wrong(tmp_path, sees=False) == [
        f"the worker tcp://1.2.3.4:5 does not see {tmp_path}: give an --out that all share under one path"
    ]
    assert wrong(tmp_path, writes=False) == [f"the worker tcp://1.2.3.4:5 cannot write to {tmp_path}"]
    numpy = versions()["numpy"]
    assert wrong(tmp_path, versions=versions() | {"numpy": "1.0"}) == [
        f"the worker tcp://1.2.3.4:5 has numpy 1.0 instead of {numpy}: install the same there"
    ]
    assert problems({"w": ModuleNotFoundError("No module named 'minidl'")}, versions(), tmp_path) == [
        "the worker w cannot run minidl (ModuleNotFoundError: No module named 'minidl'): install the same minidl there"
    ]


@pytest.mark.parametrize("address", ["foo", "tcp://10.0.0.1", "10.0.0.1:", "10.0.0.1:x", ":8786", ""])
def test_an_address_without_host_and_port_is_refused_at_once(address, tmp_path, monkeypatch):
    monkeypatch.setitem(
        sys.modules, "distributed", SimpleNamespace(Client=lambda *_, **__: pytest.fail("it was asked"))
    )
    with pytest.raises(ValueError, match=r"expected an ADDRESS such as tcp://10.0.0.1:8786, with a port"):
        Cluster(address, tmp_path).__enter__()
    assert names_a_port("tcp://10.0.0.1:8786")
    assert names_a_port("head.example.org:8786")


def test_without_dask_it_says_what_to_install(tmp_path, monkeypatch):
    real = builtins.__import__

    def lacking(name, *rest, **more):
        if name == "distributed":
            raise ImportError(name)
        return real(name, *rest, **more)

    monkeypatch.setattr(builtins, "__import__", lacking)
    with pytest.raises(ValueError, match=r"pip install 'minidl\[dask\]'"):
        Cluster("tcp://127.0.0.1:1", tmp_path).__enter__()


# ---- a cluster on this machine


@pytest.fixture(scope="module")
def begin(tmp_path_factory):
    """Starts a part of a cluster that listens to this machine alone: begin("scheduler"), begin("worker", threads)."""
    pytest.importorskip("distributed")
    folder = tmp_path_factory.mktemp("cluster")
    path = os.pathsep.join(filter(None, [os.getcwd(), os.getenv("PYTHONPATH")]))
    environment = os.environ | {"PYTHONPATH": path, "DASK_TEMPORARY_DIRECTORY": str(folder)}
    processes = []

    def start(what, threads=1):
        options = ["--scheduler-file", str(folder / "scheduler.json"), "--host", "127.0.0.1"]
        options += ["--no-dashboard", "--dashboard-address", "127.0.0.1:0"]
        options += ["--port", "0"] if what == "scheduler" else ["--nthreads", str(threads), "--no-nanny"]
        with open(folder / f"{len(processes)}.log", "w", encoding="utf-8") as log:
            command = [sys.executable, "-m", f"distributed.cli.dask_{what}", *options]
            processes.append(subprocess.Popen(command, stdout=log, stderr=log, env=environment, cwd=folder))
        return processes[-1]

    start("scheduler")
    start.address_file, start.processes = folder / "scheduler.json", processes
    yield start
    for process in processes:
        process.kill()
        process.wait()


@pytest.fixture(scope="module")
def address(begin):
    """Of a scheduler with two workers."""
    begin("worker")
    begin("worker")
    while not begin.address_file.exists():
        time.sleep(0.05)
    found = json.loads(begin.address_file.read_text(encoding="utf-8"))["address"]
    from distributed import Client

    with Client(found, set_as_default=False) as client:
        client.wait_for_workers(2, timeout=60)
    return found


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    monkeypatch.setattr(cluster, "CHECK_EVERY", 0.2)


def processes_of(out):
    return {path.read_text(encoding="utf-8").split()[0] for path in (out / "runs").glob("*/log.txt")}


def test_the_runs_are_done_by_the_workers(address, tmp_path):
    with Cluster(address, tmp_path) as pool:
        assert pool.free() == 2
        plan = small_plan(seeds=2, iterations=10)
        outcome = do(plan, tmp_path, doing({"sgd-log10-recipe-seed1": "fail"}, 0.02), pool=pool, show=False)
    assert outcome.failed == {"sgd-log10-recipe-seed1": "ZeroDivisionError: by nothing"}
    assert len(outcome.done) == 9
    assert len(processes_of(tmp_path)) == 2
    assert str(os.getpid()) not in processes_of(tmp_path)
    assert list(tmp_path.glob(".seen*")) == []


def test_runs_that_are_stopped_leave_their_checkpoints_and_the_workers_stay(address, tmp_path):
    plan, folder = small_plan(iterations=10_000, rates=["uniform"]), tmp_path / "runs/sgd-uniform-recipe-seed0"

    def stop_soon():
        while (holding.iteration_in(folder) or 0) < 3:
            time.sleep(0.05)
        ask_to_stop(tmp_path)

    thread = threading.Thread(target=stop_soon, daemon=True)
    thread.start()
    with Cluster(address, tmp_path) as pool:
        outcome = do(plan, tmp_path, doing({}, 0.01), pool=pool, show=False)
    thread.join()
    assert outcome.stopped
    assert (folder / "checkpoint.json").exists()
    assert not (folder / "running.json").exists()
    with Cluster(address, tmp_path) as pool:
        assert pool.free() == 2


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="no process is killed like that here")
def test_the_run_of_a_worker_that_dies_is_done_by_another(address, begin, tmp_path):
    plan, folder = small_plan(iterations=300, rates=["uniform"]), tmp_path / "runs/sgd-uniform-recipe-seed0"

    def kill_soon():
        while (holding.iteration_in(folder) or 0) < 3:
            time.sleep(0.05)
        pid = json.loads((folder / "running.json").read_text(encoding="utf-8"))["pid"]
        os.kill(pid, signal.SIGKILL)
        next(process for process in begin.processes if process.pid == pid).wait()  # else it is there, as a zombie

    thread = threading.Thread(target=kill_soon, daemon=True)
    thread.start()
    with Cluster(address, tmp_path) as pool:
        outcome = do(plan, tmp_path, doing({}, 0.01), pool=pool, show=False)
    thread.join()
    assert outcome.complete
    assert read_result(folder)["iterations"] == 300
    first, second = (folder / "log.txt").read_text(encoding="utf-8").split()[::2]
    assert first != second


def test_a_worker_with_several_threads_is_refused_also_if_it_joins_later(address, begin, tmp_path):
    with Cluster(address, tmp_path) as pool:
        begin("worker", threads=2)
        with pytest.raises(ValueError, match=r"the worker tcp://.* has 2 threads.*start it with --nthreads 1"):
            _look_for_a_minute(pool)


def _look_for_a_minute(pool):
    end = time.monotonic() + 60
    while time.monotonic() < end:
        pool.free()
        time.sleep(0.1)


def test_where_nobody_answers_it_says_how_to_start_a_scheduler(begin, tmp_path, monkeypatch):
    monkeypatch.setattr(cluster, "PATIENCE", 0.5)
    with pytest.raises(ValueError, match=r"--dask tcp://127.0.0.1:9: no dask scheduler answers there .*dask scheduler"):
        Cluster("tcp://127.0.0.1:9", tmp_path).__enter__()
