"""minidl/fast/cpu/threads.py: loops and products shared out among threads, the same bits in every run."""

from __future__ import annotations

import os
import subprocess
import sys
import threading

import numpy as np
import pytest

import minidl as md
from minidl.backend.starting import with_one_thread
from minidl.fast.cpu import threads as parallel
from minidl.fast.cpu.threads import blocks, get_num_threads, in_blocks, per_block, set_num_threads, shared_out
from tests.threads import give_no_thread


@pytest.fixture
def threads(monkeypatch):
    """Sets the number of threads for one test, in which any work is worth sharing out."""
    monkeypatch.setattr(parallel, "_threads", parallel._Threads())
    monkeypatch.setattr(parallel, "WORTH", 0)
    yield set_num_threads
    parallel._threads.set(1)


@pytest.mark.parametrize("count", [0, 1, 2, 7, 100])
@pytest.mark.parametrize("bytes_each", [0, 1, parallel.BLOCK // 3, 5 * parallel.BLOCK])
def test_blocks_cover_everything_once_and_none_is_larger_than_a_block(count, bytes_each):
    found = list(blocks(3, 3 + count, bytes_each))
    assert [i for block in found for i in range(block.start, block.stop)] == list(range(3, 3 + count))
    assert all((block.stop - block.start) * bytes_each <= max(parallel.block_bytes(), bytes_each) for block in found)


def test_a_block_is_larger_where_threads_share_a_loop(monkeypatch, threads):
    """Then each call of NumPy takes long beside the wait for Python's lock."""
    monkeypatch.setattr(parallel, "BLOCK", 1000)
    sizes = []
    for number in (1, 3):
        threads(number)
        sizes.append((parallel.block_bytes(), per_block(10, 10_000)))
    assert sizes == [(1000, 100), (2000, 200)]


@pytest.mark.parametrize("number", [1, 2, 3, 8])
def test_results_come_in_the_order_of_the_parts(threads, number):
    threads(number)
    parts = shared_out(lambda start, stop: list(range(start, stop)), 7, 1)
    assert len(parts) == min(number, 7)
    assert [i for part in parts for i in part] == list(range(7))


def test_parts_run_on_threads_of_their_own_and_at_the_same_time(threads):
    threads(3)
    all_there = threading.Barrier(3, timeout=20)

    def work(start, stop):
        all_there.wait()  # passes only if three wait at once
        return threading.get_ident()

    assert len(set(shared_out(work, 3, 1))) == 3


def test_little_work_wakes_nobody(monkeypatch, threads):
    threads(2)
    monkeypatch.setattr(parallel, "WORTH", 1000)
    assert shared_out(lambda start, stop: threading.get_ident(), 10, 99) == [threading.get_ident()]
    assert parallel._threads.pool is None


@pytest.mark.parametrize(("least", "parts"), [(0, 2), (40, 2), (41, 1), (None, 1)])
def test_how_much_is_worth_it_may_be_said_with_the_work(monkeypatch, threads, least, parts):
    threads(2)
    monkeypatch.setattr(parallel, "WORTH", 1000)
    assert len(shared_out(lambda start, stop: None, 10, 4, least=least)) == parts
    seen = set()
    in_blocks(lambda block: seen.add((block.start, block.stop)), 10, 4, least=least)
    assert len(seen) == parts


@pytest.mark.parametrize("wrong", [0, 2])
def test_an_error_in_a_part_reaches_the_caller_after_all_parts_ended(threads, wrong):
    threads(3)
    done = []

    def work(start, stop):
        if start == wrong:
            raise ZeroDivisionError(f"part {start}")
        done.append(start)

    with pytest.raises(ZeroDivisionError, match=f"part {wrong}"):
        shared_out(work, 3, 1)
    assert sorted([*done, wrong]) == [0, 1, 2]
    assert shared_out(lambda start, stop: start, 3, 1) == [0, 1, 2]  # and the threads are there for the next


def test_threads_are_silent_as_ops_are(threads):
    threads(2)
    with np.errstate(all="raise"):
        x = md.tensor(np.full((4, 1, 3, 3), np.inf, np.float32))
        w = md.tensor(np.zeros((1, 1, 2, 2), np.float32))
        assert np.isnan(md.functional.conv2d(x, w).data).all()


def test_a_part_that_no_thread_has_begun_is_done_by_the_caller(threads):
    """So that a program does not wait for threads that other programs keep from running."""
    threads(2)
    held, begun = threading.Event(), threading.Event()
    parallel._threads.pool = parallel._threads.new_pool()
    parallel._threads.pool.submit(lambda: (begun.set(), held.wait(20)))  # the pool's only thread is busy
    begun.wait(20)
    me = threading.get_ident()
    assert shared_out(lambda start, stop: (start, stop, threading.get_ident()), 4, 1) == [(0, 2, me), (2, 4, me)]
    held.set()


def test_an_error_in_a_part_that_the_caller_does_late_reaches_it(threads):
    threads(2)
    held, begun = threading.Event(), threading.Event()
    parallel._threads.pool = parallel._threads.new_pool()
    parallel._threads.pool.submit(lambda: (begun.set(), held.wait(20)))
    begun.wait(20)
    with pytest.raises(ZeroDivisionError):
        shared_out(lambda start, stop: 1 / (2 - start), 4, 1)
    held.set()


@pytest.mark.parametrize("there_are", [0, 1])
def test_where_no_threads_are_to_be_had_the_caller_does_every_part_once(monkeypatch, threads, there_are):
    give_no_thread(monkeypatch, after=there_are)
    threads(3)
    done = []

    def work(start, stop):
        done.append(threading.get_ident())
        return start, stop

    with pytest.warns(UserWarning, match=r"threads \(set_num_threads\(3\)\): no threads can be started here") as said:
        assert [shared_out(work, 7, 1) for _ in range(2)] == 2 * [[(0, 2), (2, 4), (4, 7)]]
    assert done == 6 * [threading.get_ident()]
    assert len(said) == 1
    assert get_num_threads() == 3  # in how many parts


def test_without_threads_the_bits_are_those_of_as_many_threads(monkeypatch, threads):
    rng = np.random.default_rng(0)
    x, w = rng.random((7, 3, 12, 12), dtype=np.float32), rng.random((5, 3, 3, 3), dtype=np.float32)

    def gradient():
        weight = md.tensor(w, requires_grad=True)
        md.functional.conv2d(md.tensor(x), weight).sum().backward()
        return weight.grad.numpy()

    threads(3)
    expected = gradient()
    threads(3)  # a new pool
    give_no_thread(monkeypatch)
    with pytest.warns(UserWarning, match="one after another"):
        found = gradient()
    np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize("wrong", [0, 2])
@pytest.mark.filterwarnings("ignore:loops and products:UserWarning")
def test_an_error_in_a_part_is_raised_without_threads_too(monkeypatch, threads, wrong):
    give_no_thread(monkeypatch)
    threads(2)
    with pytest.raises(ZeroDivisionError):
        shared_out(lambda start, stop: 1 / (wrong - start), 4, 1)


def test_a_platform_without_threads_takes_any_number_and_says_what_it_means(monkeypatch, threads):
    monkeypatch.setattr(parallel, "NO_THREADS", True)
    monkeypatch.setattr(parallel.blas, "allowed", False)  # or not found, as in a browser: an error elsewhere
    give_no_thread(monkeypatch)
    with pytest.warns(UserWarning, match=r"set_num_threads\(4\)\): no threads can be started here"):
        threads(4)
    threads(2)  # and says no more
    assert get_num_threads() == 1
    assert shared_out(lambda start, stop: (start, stop), 4, 1) == [(0, 4)]


def test_nothing_is_shared_out_where_one_thread_is_asked_for(threads):
    threads(3)
    assert with_one_thread(shared_out, lambda start, stop: (start, stop), 7, 1) == [(0, 7)]
    assert with_one_thread(get_num_threads) == 1
    assert len(shared_out(lambda start, stop: start, 7, 1)) == 3


def test_the_number_comes_from_the_environment_or_is_blass(monkeypatch, threads):
    assert get_num_threads() == parallel.blas.threads()
    monkeypatch.setattr(parallel, "_threads", parallel._Threads())
    monkeypatch.setenv("MINIDL_NUM_THREADS", "5")
    assert get_num_threads() == 5
    set_num_threads(3)
    assert get_num_threads() == 3


@pytest.mark.parametrize("given", ["", "0", "two", "-1"])
def test_a_wrong_number_in_the_environment_is_refused(monkeypatch, threads, given):
    monkeypatch.setenv("MINIDL_NUM_THREADS", given)
    with pytest.raises(ValueError, match=f"MINIDL_NUM_THREADS: expected a whole number of at least 1; got '{given}'"):
        get_num_threads()


@pytest.mark.parametrize("number", [0, -1, 1.5, "2", True, None])
def test_a_wrong_number_is_refused(number):
    with pytest.raises(ValueError, match="set_num_threads: expected a whole number of at least 1; got"):
        set_num_threads(number)


def test_several_programs_threads_may_share_the_pool(threads):
    threads(2)
    found = {}

    def user(i):
        for _ in range(50):
            found.setdefault(i, set()).add(tuple(shared_out(lambda start, stop: (i, start, stop), 4, 1)))

    users = [threading.Thread(target=user, args=(i,)) for i in range(4)]
    for thread in users:
        thread.start()
    for thread in users:
        thread.join()
    assert found == {i: {((i, 0, 2), (i, 2, 4))} for i in range(4)}


TRAINING = """
import numpy as np, hashlib, sys
import minidl as md, minidl.functional as F
md.set_num_threads(int(sys.argv[1]))
md.seed(0)
model = md.models.lenet()
optimizer = md.optim.SGD(model, lr=0.01)
rng = np.random.default_rng(0)
x, y = rng.random((64, 1, 28, 28), dtype=np.float32), rng.integers(0, 10, 64)
for _ in range(5):
    optimizer.zero_grad()
    F.cross_entropy(model(md.Tensor(x)), y).backward()
    optimizer.step()
print(hashlib.sha256(b"".join(p.numpy().tobytes() for p in model.parameters())).hexdigest())
"""


@pytest.mark.parametrize("number", [1, 2, 3])
def test_a_number_of_threads_gives_the_same_bits_in_every_run(number):
    command = [sys.executable, "-c", TRAINING, str(number)]
    environment = {**os.environ, "MINIDL_BACKEND": "numpy"}
    runs = [subprocess.run(command, env=environment, capture_output=True, text=True, check=True) for _ in range(3)]
    assert len({run.stdout for run in runs}) == 1


def test_the_number_may_be_set_while_other_threads_compute(threads):
    threads(2)
    done = threading.Event()
    found: list[object] = []

    def user():
        try:
            while not done.is_set():
                parts = shared_out(lambda start, stop: list(range(start, stop)), 9, 1)
                found.append(sum(len(part) for part in parts))
        except Exception as error:
            found.append(error)

    users = [threading.Thread(target=user) for _ in range(3)]
    for thread in users:
        thread.start()
    for k in range(200):
        set_num_threads([1, 2, 3, 7][k % 4])
    done.set()
    for thread in users:
        thread.join()
    assert set(found) == {9}


def test_a_thread_that_outlives_the_main_one_computes_alone():
    program = """
import threading, time
from minidl.fast.cpu import threads as parallel
parallel.WORTH = 0
parallel.set_num_threads(2)
def late():
    time.sleep(0.3)
    print(parallel.shared_out(lambda start, stop: (start, stop), 4, 1))
threading.Thread(target=late).start()
"""
    run = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert run.stdout == "[(0, 4)]\n"
    assert run.stderr == ""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork on this system")
@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_a_forked_child_makes_threads_of_its_own(threads):
    threads(2)
    in_blocks(lambda block: None, 2, 1)
    child = os.fork()
    if child == 0:
        os._exit(0 if shared_out(lambda start, stop: start, 2, 1) == [0, 1] else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
