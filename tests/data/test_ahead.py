"""minidl/data/ahead.py: threads work ahead, and nobody notices but the clock."""

import gc
import os
import re
import signal
import subprocess
import sys
import threading
import warnings
import weakref
from contextlib import suppress

import pytest

from minidl.data.ahead import in_order
from tests.threads import give_no_thread

PATIENCE = 30  # seconds until a test that waits for a thread gives up


def threads():
    return [thread for thread in threading.enumerate() if thread.name.startswith("minidl-loader")]


@pytest.fixture(autouse=True)
def _no_thread_is_left():
    yield
    assert threads() == []


def square(number):
    return number * number


@pytest.mark.parametrize("workers", [0, 1, 2, 7])
@pytest.mark.parametrize("n", [0, 1, 5, 40])
def test_results_come_in_order_and_all_of_them(workers, n):
    assert list(in_order(square, range(3, 3 + n), workers)) == [square(number) for number in range(3, 3 + n)]
    assert threads() == []


def test_a_slow_result_is_waited_for_and_not_overtaken():
    second_is_done = threading.Event()

    def make(number):
        if number == 0:
            assert second_is_done.wait(PATIENCE)
        if number == 1:
            second_is_done.set()
        return number

    assert list(in_order(make, range(4), workers=2)) == [0, 1, 2, 3]


def test_without_workers_each_is_made_when_it_is_asked_for_by_the_one_who_asks():
    made = []
    results = in_order(lambda number: made.append((number, threading.current_thread())), range(3), workers=0)
    assert made == []
    next(results)
    assert made == [(0, threading.main_thread())]


@pytest.mark.parametrize("workers", [1, 3])
def test_at_most_two_a_worker_are_made_ahead(workers):
    begun, done = [], threading.Semaphore(0)

    def make(number):
        begun.append(number)
        done.release()
        return number

    results = in_order(make, range(100), workers)
    assert begun == []
    for taken in range(3):
        assert next(results) == taken
        for _ in range(1 if taken else 1 + 2 * workers):  # that many are made without being asked for
            assert done.acquire(timeout=PATIENCE)
        assert sorted(begun) == list(range(taken + 1 + 2 * workers))
    results.close()
    assert len(begun) == 3 + 2 * workers


def test_an_exception_comes_at_its_turn_with_its_own_traceback():
    def refuse(number):
        raise OSError(f"no file {number}")

    def make(number):
        return refuse(number) if number == 2 else number

    results = in_order(make, range(9), workers=2)
    assert [next(results), next(results)] == [0, 1]
    with pytest.raises(OSError, match="no file 2") as caught:
        next(results)
    assert caught.traceback[-1].name == "refuse"
    assert threads() == []
    with pytest.raises(StopIteration):
        next(results)


@pytest.mark.parametrize("workers", [0, 2])
def test_a_stray_stop_iteration_is_not_taken_for_the_end(workers):
    def make(number):
        raise StopIteration

    with pytest.raises(RuntimeError, match="StopIteration"):
        next(in_order(make, range(3), workers))


class Local:
    """Something a failed call has in hand."""


def test_what_a_failed_call_held_is_freed_without_the_collector():
    held = []

    def make(number):
        local = Local()
        held.append(weakref.ref(local))
        raise OSError("no file")

    gc.collect()
    gc.disable()
    try:
        with suppress(OSError):
            next(in_order(make, range(1), workers=1))
        assert held[0]() is None
    finally:
        gc.enable()


@pytest.mark.parametrize("there_are", [0, 1])
def test_where_no_threads_are_to_be_had_the_caller_makes_each_when_it_is_asked_for(monkeypatch, there_are):
    made = []

    def make(number):
        made.append((number, threading.current_thread()))
        return square(number)

    give_no_thread(monkeypatch, after=there_are)
    results = in_order(make, range(5), workers=2)
    with pytest.warns(
        UserWarning, match=r"^Loader\(workers=2\): no threads can be started here \(can't start new thread\)"
    ):
        assert next(results) == 0
    assert made == [(0, threading.main_thread())]
    assert list(results) == [1, 4, 9, 16]
    assert made == [(number, threading.main_thread()) for number in range(5)]
    monkeypatch.undo()  # no thread that was there is left: see the fixture


def test_that_there_are_no_threads_is_said_once(monkeypatch):
    give_no_thread(monkeypatch)
    with pytest.warns(UserWarning, match="as with workers=0: the same batches, only none ahead") as said:
        found = [list(in_order(square, range(3), workers)) for workers in (1, 2, 2)]
    assert found == 3 * [[0, 1, 4]]
    assert len(said) == 1
    assert said[0].filename == __file__  # the line of the program, not one of minidl


def test_another_error_of_a_thread_that_starts_is_not_taken_for_that(monkeypatch):
    give_no_thread(monkeypatch, says="can't create new thread at interpreter shutdown")
    with pytest.raises(RuntimeError, match="at interpreter shutdown"):
        list(in_order(square, range(3), workers=2))


@pytest.mark.parametrize("workers", [0, 2])
@pytest.mark.filterwarnings("ignore:Loader:UserWarning")
def test_an_error_in_make_is_the_same_without_threads(monkeypatch, workers):
    give_no_thread(monkeypatch)
    with pytest.raises(RuntimeError, match="can't start new thread"):
        list(in_order(lambda number: threading.Thread().start(), range(3), workers))


def leave_by_break(results):
    for _ in results:
        break
    results.close()


def leave_by_closing(results):
    next(results)
    results.close()


def leave_by_an_error(results):
    with suppress(ZeroDivisionError):
        for _ in results:
            1 / 0
    results.close()


@pytest.mark.parametrize("leave", [leave_by_break, leave_by_closing, leave_by_an_error])
def test_who_leaves_early_leaves_no_thread_and_begins_nothing_more(leave):
    begun = []
    results = in_order(lambda number: begun.append(number), range(1000), workers=2)
    leave(results)
    assert threads() == []
    assert len(begun) <= 1 + 4
    assert list(results) == []


def test_a_for_that_is_left_ends_the_threads_by_itself():
    for _ in in_order(square, range(1000), workers=2):
        break
    assert threads() == []


def test_the_collector_ends_the_threads():
    circle = [in_order(square, range(1000), workers=2)]
    circle.append(circle)
    next(circle[0])
    assert threads() != []
    del circle
    gc.collect()
    assert threads() == []


def test_a_worker_may_be_the_one_who_ends_it():
    """The collector runs in whatever thread it likes."""
    closed, may_close = threading.Event(), threading.Event()

    def make(number):
        if number == 1:
            assert may_close.wait(PATIENCE)
            results.close()
            closed.set()
        return number

    results = in_order(make, range(9), workers=1)
    next(results)
    workers = threads()
    may_close.set()
    assert closed.wait(PATIENCE)
    for thread in workers:
        thread.join(PATIENCE)
    assert list(results) == []


def test_what_waits_for_a_thread_is_never_begun_once_it_ends():
    begun, first_ahead, go_on = [], threading.Event(), threading.Event()

    def make(number):
        begun.append(number)
        if number == 1:
            first_ahead.set()
            assert go_on.wait(PATIENCE)
        return number

    results = in_order(make, range(9), workers=1)
    next(results)
    assert first_ahead.wait(PATIENCE)
    workers = threads()
    other = threading.Thread(target=results.close)  # one that does not wait for the result in the making
    other.start()
    other.join(PATIENCE)
    go_on.set()
    for thread in workers:
        thread.join(PATIENCE)
    assert begun == [0, 1]


@pytest.mark.skipif(not hasattr(signal, "pthread_kill"), reason="sends Ctrl-C to a thread")
def test_ctrl_c_while_waiting_for_a_result():
    def make(number):
        if number == 2:
            signal.pthread_kill(threading.main_thread().ident, signal.SIGINT)
            assert pressed.wait(PATIENCE)
        return number

    pressed = threading.Event()
    before = signal.getsignal(signal.SIGINT)

    def handler(*arguments):
        pressed.set()
        raise KeyboardInterrupt

    signal.signal(signal.SIGINT, handler)
    try:
        with pytest.raises(KeyboardInterrupt):
            list(in_order(make, range(1000), workers=1))
    finally:
        signal.signal(signal.SIGINT, before)
    assert threads() == []


needs_fork = pytest.mark.skipif(not hasattr(os, "fork"), reason="Windows has no fork")


def outcome_of_fork(act):
    """What `act()` returns or raises in a forked process, in words."""
    reading, writing = os.pipe()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # of a fork while there are threads, as here
        child = os.fork()
    if child == 0:
        signal.alarm(PATIENCE)  # ends a child that waits for ever
        try:
            said = str(act())
        except BaseException as error:
            said = f"{type(error).__name__}: {error}"
        os.write(writing, said.encode())
        os._exit(0)
    os.close(writing)
    with open(reading, encoding="utf-8") as pipe:
        said = pipe.read()
    os.waitpid(child, 0)
    return said


@needs_fork
@pytest.mark.parametrize("left", [1, 5])
def test_a_forked_process_is_refused_what_its_parent_began(left):
    results = in_order(square, range(left + 1), workers=2)
    assert next(results) == 0
    said = outcome_of_fork(lambda: list(results))
    assert re.match(rf"RuntimeError: process \d+ was forked from process {os.getpid()} in the middle of a `for`", said)
    assert "begin a new `for` in this process, or use workers=0" in said
    assert list(results) == [square(number) for number in range(1, left + 1)]  # the parent goes on


@needs_fork
def test_a_forked_process_may_drop_what_its_parent_began_and_begin_its_own():
    results = in_order(square, range(9), workers=2)
    next(results)

    def act():
        results.close()
        return list(in_order(square, range(3), workers=2))

    assert outcome_of_fork(act) == "[0, 1, 4]"
    results.close()


@needs_fork
def test_without_workers_a_forked_process_goes_on():
    results = in_order(square, range(3), workers=0)
    next(results)
    assert outcome_of_fork(lambda: list(results)) == "[1, 4]"
    assert list(results) == [1, 4]


PROGRAM = """
from minidl.data.ahead import in_order
results = in_order(lambda number: number, range(10**6), workers=2)
print(next(results))
"""


@pytest.mark.parametrize("end", ["", "results = [results]; results.append(results)", "raise SystemExit(0)"])
def test_a_program_may_end_with_results_outstanding(end):
    done = subprocess.run([sys.executable, "-c", PROGRAM + end], capture_output=True, text=True, timeout=PATIENCE)
    assert (done.returncode, done.stdout, done.stderr) == (0, "0\n", "")


def test_importing_minidl_loads_no_threads():
    program = "import sys, minidl; print([m for m in sys.modules if m.startswith(('concurrent', 'PIL'))])"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=PATIENCE)
    assert (done.stdout, done.stderr) == ("[]\n", "")
