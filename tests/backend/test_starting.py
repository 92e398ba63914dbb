"""minidl/backend/starting.py: what is said, and when, where no threads or processes can be started."""

import threading

import pytest

from minidl.backend import starting
from minidl.backend.starting import ONE_THREAD, is_thread_refused, say_once, started_pool, with_one_thread
from tests.threads import give_no_thread


@pytest.fixture(autouse=True)
def _nothing_is_said_yet(monkeypatch):
    monkeypatch.setattr(starting, "_said", set())


def test_each_thing_that_does_without_is_said_once_whatever_its_number():
    def say_all(*things):
        for what in things:
            say_once(what, "threads", "can't", "So what")

    with pytest.warns(UserWarning, match="started here") as said:
        say_all("Loader(workers=2)", "Loader(workers=3)", "runs", "Loader(workers=2)", "runs")
    assert [str(warning.message) for warning in said] == [
        "Loader(workers=2): no threads can be started here (can't), as in a browser. So what.",
        "runs: no threads can be started here (can't), as in a browser. So what.",
    ]


def test_the_systems_words_cannot_steer_a_terminal():
    with pytest.warns(UserWarning, match=r"\(\\x1b\[2J\)"):
        say_once("runs", "processes", OSError("\x1b[2J"), "So what")


def test_a_pool_begins_with_all_its_threads():
    begun = []
    pool = started_pool(3, "three", "x", "y", lambda: begun.append(threading.current_thread().name))
    assert sorted(begun) == ["three_0", "three_1", "three_2"]
    assert pool.submit(abs, -1).result() == 1
    pool.shutdown()


@pytest.mark.parametrize("there_are", [0, 2])
def test_a_pool_that_lacks_a_thread_is_none_and_leaves_none(monkeypatch, there_are):
    before = threading.active_count()
    give_no_thread(monkeypatch, after=there_are)
    with pytest.warns(UserWarning, match="^x: no threads"):
        assert started_pool(3, "three", "x", "y") is None
    assert threading.active_count() == before


def test_a_program_that_ends_is_not_a_system_without_threads():
    assert is_thread_refused(RuntimeError("can't start new thread"))
    assert not is_thread_refused(RuntimeError("can't create new thread at interpreter shutdown"))
    assert not is_thread_refused(RuntimeError("cannot schedule new futures after interpreter shutdown"))


def test_one_thread_ends_with_the_call_however_that_ends():
    assert with_one_thread(ONE_THREAD.get)
    with pytest.raises(ZeroDivisionError):
        with_one_thread(divmod, 1, 0)
    assert not ONE_THREAD.get()
