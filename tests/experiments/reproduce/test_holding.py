"""minidl/experiments/reproduce/holding.py: one process at a time works in a folder."""

import errno
import json
import os
import subprocess
import sys
import threading
import time

import pytest

from minidl.experiments.reproduce import holding
from minidl.experiments.reproduce.holding import (
    BusyError,
    Hold,
    LostError,
    UnwritableError,
    ask_to_stop,
    is_left_of_a_hold,
    iteration_in,
)


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    monkeypatch.setattr(holding, "BEAT", 0.05)
    monkeypatch.setattr(holding, "PATIENCE", 3.0)
    monkeypatch.setattr(holding, "POLL", 0.01)


def until(what, seconds=10.0):
    end = time.monotonic() + seconds
    while not what():
        assert time.monotonic() < end
        time.sleep(0.01)


def leave_behind(folder, **changes):
    about = {"token": "0" * 16, "host": holding._host(), "pid": os.getpid(), "beat": 3, "iteration": 7}
    folder.mkdir(exist_ok=True)
    (folder / "running.json").write_text(json.dumps(about | changes), encoding="utf-8")


def gone():
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    return process.pid


def test_a_folder_is_held_by_one_and_free_afterwards(tmp_path):
    with Hold(tmp_path / "new"):
        with pytest.raises(BusyError, match=rf"is being worked on by process {os.getpid()} on .*wait for it, or stop"):
            Hold(tmp_path / "new").__enter__()
        assert (tmp_path / "new" / "running.json").exists()
    assert list((tmp_path / "new").iterdir()) == []
    with Hold(tmp_path / "new"):
        pass


def test_whoever_holds_it_is_told_by_process_and_machine_alone(tmp_path, monkeypatch):
    monkeypatch.setattr(holding, "_host", lambda: "vm 4026531836")
    words = f"process {os.getpid()} on vm: wait for it"  # without the space of process numbers
    with Hold(tmp_path), pytest.raises(BusyError, match=words):
        Hold(tmp_path).__enter__()


def test_a_folder_that_cannot_be_made_is_named_with_what_to_do(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(UnwritableError, match=r"file.out could not be written to: .*\. Choose another --out$"):
        Hold(tmp_path / "file" / "out").__enter__()


def test_on_a_full_disk_no_sign_is_left(tmp_path, monkeypatch):
    def full(handle, mode):
        os.close(handle)
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(holding, "open", full, raising=False)
    with pytest.raises(UnwritableError, match=os.strerror(errno.ENOSPC)):
        Hold(tmp_path).__enter__()
    assert list(tmp_path.iterdir()) == []


def test_its_files_are_known_by_their_names(tmp_path):
    with Hold(tmp_path):
        ask_to_stop(tmp_path)
        assert all(is_left_of_a_hold(path.name) for path in tmp_path.iterdir())
    assert not is_left_of_a_hold("plan.json")


def test_it_is_free_after_an_error(tmp_path):
    with pytest.raises(ZeroDivisionError), Hold(tmp_path):
        raise ZeroDivisionError
    assert list(tmp_path.iterdir()) == []


def test_others_see_how_far_the_work_is(tmp_path):
    assert iteration_in(tmp_path) is None
    with Hold(tmp_path) as hold:
        hold.at(12)
        until(lambda: iteration_in(tmp_path) == 12)


def test_what_a_process_left_that_is_gone_is_taken_over_at_once(tmp_path, monkeypatch):
    monkeypatch.setattr(holding, "PATIENCE", 1e9)
    leave_behind(tmp_path, pid=gone())
    (tmp_path / f".stop-{'0' * 16}").touch()
    with Hold(tmp_path) as hold:
        hold.at(1)
        assert [path.name for path in tmp_path.iterdir()] == ["running.json"]


@pytest.mark.parametrize("changes", [{"host": "elsewhere"}, {}], ids=["on another machine", "whose number is in use"])
def test_what_a_process_left_whose_count_stands_still_is_taken_over(tmp_path, changes, monkeypatch):
    monkeypatch.setattr(holding, "PATIENCE", 0.2)
    leave_behind(tmp_path, **changes)
    with Hold(tmp_path):
        assert json.loads((tmp_path / "running.json").read_text(encoding="utf-8"))["token"] != "0" * 16


@pytest.mark.parametrize("content", [b"", b"{", b"[1]", b'{"pid": "x", "host": 1}'])
def test_a_damaged_file_that_nobody_writes_is_taken_over(tmp_path, content, monkeypatch):
    monkeypatch.setattr(holding, "PATIENCE", 0.2)
    (tmp_path / "running.json").write_bytes(content)
    with Hold(tmp_path):
        until(lambda: iteration_in(tmp_path) == 0)


def test_one_who_waits_comes_after_the_other(tmp_path, monkeypatch):
    monkeypatch.setattr(holding, "PATIENCE", 1.0)
    order = []

    def second():
        with Hold(tmp_path, wait=True):
            order.append("second")

    with Hold(tmp_path):
        thread = threading.Thread(target=second)
        thread.start()
        time.sleep(1.3)  # longer than the patience: the count goes on
        order.append("first")
    thread.join()
    assert order == ["first", "second"]


def test_of_many_at_once_one_has_it(tmp_path):
    leave_behind(tmp_path, pid=gone())
    inside, most = [], []

    def work():
        with Hold(tmp_path, wait=True):
            inside.append(1)
            most.append(len(inside))
            time.sleep(0.02)
            inside.pop()

    threads = [threading.Thread(target=work) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert most == [1] * 6


def test_whoever_lost_the_folder_is_told_and_leaves_the_others_file(tmp_path):
    with Hold(tmp_path) as hold:
        leave_behind(tmp_path, token="another")
        until(lambda: hold._state == "lost")
        with pytest.raises(LostError, match="was taken over by another process"):
            hold.at(1)
    assert json.loads((tmp_path / "running.json").read_text(encoding="utf-8"))["token"] == "another"


def test_whoever_holds_it_can_be_asked_to_end(tmp_path):
    ask_to_stop(tmp_path)  # nobody there
    with Hold(tmp_path) as hold:
        hold.at(1)
        ask_to_stop(tmp_path)
        until(lambda: hold._state == "stop")
        with pytest.raises(KeyboardInterrupt):
            hold.at(2)
    assert list(tmp_path.iterdir()) == []
