"""minidl/data/processes.py: other processes make the batches, the same ones, and nothing of them is left behind."""

import copy
import gc
import os
import pickle
import re
import signal
import subprocess
import sys
import time
from collections import deque
from multiprocessing import active_children
from pathlib import Path
from subprocess import PIPE
from types import SimpleNamespace

import numpy as np
import pytest

from minidl import backend
from minidl.data import Loader, loader, processes
from minidl.data import transforms as T
from tests.arrays import host
from tests.data.sources import Damaged, Deadly, Squares, Strange, Unknown, doubled
from tests.data.test_ahead import needs_fork, outcome_of_fork
from tests.programs import started

ROOT = Path(__file__).parents[2]
PATIENCE = 60  # seconds until a test that waits for a process gives up
AUGMENT = T.Compose([T.RandomCrop(4), T.RandomHorizontalFlip()])
SHARED = Path("/dev/shm")


def ours():
    return [child for child in active_children() if child.name == "minidl-loader"]


@pytest.fixture(autouse=True)
def _no_process_and_no_memory_is_left():
    yield
    gc.collect()
    assert ours() == []
    if SHARED.exists():
        assert [path.name for path in SHARED.iterdir() if path.name.startswith(f"pym-{os.getpid()}-")] == []


def batches(loader, epochs=1):
    return [(host(inputs).copy(), host(labels).copy()) for _ in range(epochs) for inputs, labels in loader]


def assert_same(found, expected):
    assert len(found) == len(expected)
    for pair, expected_pair in zip(found, expected, strict=True):
        for array, expected_array in zip(pair, expected_pair, strict=True):
            assert array.dtype == expected_array.dtype
            np.testing.assert_array_equal(array, expected_array)


@pytest.mark.parametrize("transform", [None, AUGMENT, doubled], ids=["plain", "augmented", "a function"])
def test_the_batches_are_those_that_threads_make_and_the_processes_stay_for_the_next_epoch(transform):
    expected = batches(Loader(Squares(), 4, seed=3, transform=transform), epochs=3)
    other = Loader(Squares(), 4, seed=3, transform=transform, workers=2, processes=True)
    found = batches(other)
    pids = {child.pid for child in ours()}
    assert len(pids) == 2
    assert_same(found + batches(other, epochs=2), expected)
    assert {child.pid for child in ours()} == pids
    other.close()
    assert ours() == []
    other.close()  # once more is no harm


def test_batches_that_are_kept_are_not_written_over():
    expected = batches(Loader(Squares(), 2, seed=3, transform=AUGMENT), epochs=2)
    other = Loader(Squares(), 2, seed=3, transform=AUGMENT, workers=2, processes=True)
    kept = [batch for _ in range(2) for batch in other]  # more than there are slots
    views = [inputs[:1] for inputs, _ in kept]
    assert_same([(host(x), host(y)) for x, y in kept], expected)
    other.close()
    del kept
    gc.collect()
    for view, (inputs, _) in zip(views, expected, strict=True):
        np.testing.assert_array_equal(host(view), inputs[:1])


def test_a_slot_is_used_again_once_nobody_holds_its_arrays():
    other = Loader(Squares(), 2, seed=3, workers=2, processes=True)
    for _ in range(3):
        for inputs, labels in other:
            assert len(inputs) == len(labels)
        del inputs, labels
        assert sorted(other._idle._free) == list(range(2 * 2 + processes.HELD))


def test_without_shared_memory_batches_go_through_pipes(monkeypatch):
    expected = batches(Loader(Squares(), 4, seed=3, transform=AUGMENT), epochs=2)
    monkeypatch.setattr(processes, "_shared", lambda context, count, size: [])
    assert_same(batches(Loader(Squares(), 4, seed=3, transform=AUGMENT, workers=2, processes=True), epochs=2), expected)


def test_that_there_is_no_shared_memory_is_said_once(monkeypatch):
    def refused(kind, size):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(processes, "_said", set())
    with pytest.warns(
        UserWarning, match="not enough shared memory here for 7 batches of 1,000 bytes .*No space"
    ) as said:
        found = [processes._shared(SimpleNamespace(RawArray=refused), 7, 1000) for _ in range(2)]
    assert found == [[], []]
    assert len(said) == 1


def test_batches_of_other_sizes_and_strange_labels_come_too():
    with backend.using("numpy"):  # a GPU takes no objects
        expected = list(Loader(Strange(), 2, shuffle=False))
        found = list(Loader(Strange(), 2, shuffle=False, workers=2, processes=True))
    for (x, y), (expected_x, expected_y) in zip(found, expected, strict=True):
        np.testing.assert_array_equal(x, expected_x)
        assert list(y) == list(expected_y)


def test_an_error_is_raised_at_its_batch_and_says_where_and_the_processes_go_on():
    other = Loader(Damaged(), 4, shuffle=False, workers=2, processes=True)
    for _ in range(2):
        done = []
        with pytest.raises(OSError, match=r"cannot read 13\.jpg") as caught:
            done.extend(labels for _, labels in other)
        assert len(done) == other.position == 3
        assert caught.value.__notes__ == [f"while the Loader made batch 3 of epoch {other.epoch}"]
        assert "in take" in str(caught.value.__cause__)
        assert len(ours()) == 2
        del caught


def test_an_error_that_cannot_be_sent_comes_in_its_words():
    with pytest.raises(RuntimeError, match="RefusedError: 1 and 2") as caught:
        list(Loader(Damaged(strange=True), 4, shuffle=False, workers=1, processes=True))
    assert caught.value.__notes__ == ["while the Loader made batch 3 of epoch 0"]


@pytest.mark.parametrize(("how", "words"), [("exit", "with exit code 7"), ("kill", "by SIGKILL")])
@pytest.mark.skipif(os.name == "nt", reason="sends a signal")
def test_a_worker_that_ends_is_named_and_nobody_waits_for_it(how, words):
    other, done = Loader(Deadly(how), 4, shuffle=False, workers=2, processes=True), []
    with pytest.raises(RuntimeError, match=rf"worker 1 of 2, process \d+, was ended {words} before its batch"):
        done.extend(labels for _, labels in other)
    assert 1 <= len(done) <= 3
    assert ours() == []
    assert len(next(iter(other))[1]) == 4  # with new ones


@pytest.mark.skipif(os.name == "nt", reason="sends a signal")
def test_a_worker_that_ended_between_two_epochs_is_replaced():
    other = Loader(Squares(), 4, seed=0, workers=2, processes=True)
    first = batches(other)
    before = {child.pid: child for child in ours()}
    pid, child = before.popitem()
    os.kill(pid, signal.SIGKILL)
    child.join(PATIENCE)
    assert_same(first + batches(other), batches(Loader(Squares(), 4, seed=0), epochs=2))
    assert len(ours()) == 2
    assert not {child.pid for child in ours()} & {pid, *before}


@needs_fork
def test_a_forked_process_is_refused_its_parents_loop_and_has_processes_of_its_own():
    with backend.using("numpy"):  # CUDA works in no fork
        other = Loader(Squares(), 4, seed=0, workers=1, processes=True)
    running = iter(other)
    next(running)
    said = outcome_of_fork(lambda: list(running))
    assert re.match(r"RuntimeError: process \d+ was forked from process \d+ in the middle of a `for`", said)
    assert len(list(running)) == 5  # the parent goes on
    assert outcome_of_fork(lambda: (len(list(other)), other.close())[0]) == "6"
    assert len(list(other)) == 6


def test_a_loop_left_early_is_followed_by_the_next_epoch():
    expected = batches(Loader(Squares(), 4, seed=0, transform=AUGMENT), epochs=3)
    other = Loader(Squares(), 4, seed=0, transform=AUGMENT, workers=2, processes=True)
    for _ in other:
        break
    found = batches(other)
    running = iter(other)
    next(running)
    running.close()
    assert_same(found, expected[6:12])
    assert (other.epoch, other.position) == (2, 1)


class Cut(deque):
    """A queue whose reader is interrupted just when it has taken something out."""

    def popleft(self):
        super().popleft()
        raise KeyboardInterrupt


@pytest.mark.parametrize("when", ["asking", "answering"])
def test_ctrl_c_between_two_lines_is_followed_by_the_next_epoch(when):
    def interrupted(question):
        raise KeyboardInterrupt

    expected = batches(Loader(Squares(), 4, seed=3), epochs=3)
    other = Loader(Squares(), 4, seed=3, workers=2, processes=True)
    found = batches(other)
    if when == "asking":
        other._idle._workers[1].pipe.send = interrupted
    else:
        other._idle._asked = Cut()
    with pytest.raises(KeyboardInterrupt):
        batches(other)
    assert_same(found + batches(other), expected[: len(other)] + expected[-len(other) :])


def test_an_epoch_that_begins_with_its_small_last_batch_leaves_room_for_the_others():
    with backend.using("numpy"):  # to a device they would be copied
        other = Loader(Squares(), 4, seed=3, workers=2, processes=True)
        other.load_state_dict({**other.state_dict(), "position": len(other) - 1})
        assert [len(labels) for _, labels in other] == [3]
        for inputs, labels in other:  # arrays in a slot are views of it
            assert inputs.base is not None
            assert labels.base is not None


@pytest.mark.parametrize(("batch_size", "begins_with"), [(4, 4), (4, 3), (1000, 23)])
def test_a_slot_has_room_for_a_whole_batch_and_no_more(monkeypatch, batch_size, begins_with):
    asked = []
    monkeypatch.setattr(loader, "Processes", lambda making, count, size: asked.append(size))
    other = Loader(Squares(), batch_size, workers=1, processes=True)
    if begins_with < batch_size:
        other.load_state_dict({**other.state_dict(), "position": len(other) - 1})
    assert len(next(iter(other))[1]) == begins_with
    example = 36 * 4 + 8  # bytes of an image and a label
    assert asked == [min(batch_size, 23) * example]


@pytest.mark.parametrize("copied", [copy.copy, copy.deepcopy, lambda one: pickle.loads(pickle.dumps(one))])
def test_a_copy_has_processes_of_its_own(copied):
    expected = batches(Loader(Squares(), 4, seed=3), epochs=2)[6:]
    other = Loader(Squares(), 4, seed=3, workers=2, processes=True)
    batches(other)
    again = copied(other)
    pairs = [[(host(x).copy(), host(y).copy()) for x, y in both] for both in zip(other, again, strict=True)]
    for found in zip(*pairs, strict=True):
        assert_same(found, expected)


def test_several_iterations_at_once_take_nothing_from_each_other():
    expected = batches(Loader(Squares(), 4, seed=0), epochs=2)
    other = Loader(Squares(), 4, seed=0, workers=1, processes=True)
    both = [(batches([x])[0], batches([y])[0]) for x, y in zip(other, other, strict=True)]
    assert_same([x for x, _ in both], expected[:6])
    assert_same([y for _, y in both], expected[6:])
    assert len(ours()) == 1  # of two pools one is kept


def test_who_is_collected_leaves_no_process():
    for _ in Loader(Squares(), 4, workers=1, processes=True):
        break
    # the fixture looks


@pytest.mark.parametrize("transform", [lambda images, rng: images, Unknown()], ids=["lambda", "unknown"])
def test_what_cannot_be_sent_is_said_with_a_remedy(transform):
    words = r"Loader\(processes=True\): the data set .* the transform .*top of a module.*processes=False"
    with pytest.raises(TypeError, match=words):
        list(Loader(Squares(), 4, transform=transform, workers=1, processes=True))


@pytest.mark.parametrize("error", [OSError("no more processes"), NotImplementedError("not here"), ImportError("no")])
@pytest.mark.filterwarnings("ignore:Loader:UserWarning")
def test_where_no_processes_can_be_started_threads_make_the_same_batches(monkeypatch, error):
    def refuse(*arguments):
        raise error

    monkeypatch.setattr(loader, "Processes", refuse)
    expected = batches(Loader(Squares(), 4, seed=3, transform=AUGMENT), epochs=2)
    assert_same(batches(Loader(Squares(), 4, seed=3, transform=AUGMENT, workers=2, processes=True), epochs=2), expected)


def test_no_workers_are_no_processes():
    assert len(batches(Loader(Squares(), 4, processes=True))) == 6
    assert ours() == []


# ---- programs


PROGRAM = """
from multiprocessing import active_children
from minidl.data import Loader
from tests.data.test_ahead import needs_fork, outcome_of_fork
from tests.data.sources import Slow

{guard}
    loader = Loader(Slow(0.02), 2, workers=2, processes=True)
    for epoch in range(10**6):
        for inputs, labels in loader:
            print("pids", *[child.pid for child in active_children()], flush=True)
            {then}
"""


def program(tmp_path, guard='if __name__ == "__main__":', then="pass"):
    path = tmp_path / "program.py"
    path.write_text(PROGRAM.format(guard=guard, then=then), encoding="utf-8")
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    return started([sys.executable, path], stdout=PIPE, stderr=PIPE, cwd=tmp_path, env=environment)


def pids_of(running):
    found = []
    while len(found) < 2:
        found = [int(pid) for pid in re.findall(r"\d+", running.stdout.readline())]
    return found


def is_running(pid):
    try:
        os.kill(pid, 0)
        return Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rsplit(")", 1)[1].split()[0] != "Z"
    except OSError:
        return False


def wait_for_the_end_of(pids):
    end = time.monotonic() + PATIENCE
    while any(map(is_running, pids)):
        assert time.monotonic() < end, "processes are left"
        time.sleep(0.02)


needs_linux = pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc")


@needs_linux
@pytest.mark.parametrize("sent", [signal.SIGKILL, signal.SIGTERM])
def test_the_processes_end_with_a_program_that_is_killed(tmp_path, sent):
    with program(tmp_path) as running:
        pids = pids_of(running)
        running.send_signal(sent)
        running.communicate(timeout=PATIENCE)
        wait_for_the_end_of(pids)
    assert not list(SHARED.glob(f"pym-{running.pid}-*"))


@needs_linux
def test_ctrl_c_ends_the_program_and_the_processes_say_nothing(tmp_path):
    with program(tmp_path) as running:
        pids = pids_of(running)
        os.killpg(running.pid, signal.SIGINT)  # as a terminal does: to the program and to its processes
        _, said = running.communicate(timeout=PATIENCE)
        wait_for_the_end_of(pids)
    assert said.count("Traceback") == said.count("KeyboardInterrupt") == 1, said
    assert running.returncode == -signal.SIGINT


@needs_linux
@pytest.mark.parametrize("then", ["raise SystemExit(0)", "loader.close(); raise SystemExit(0)"])
def test_a_program_may_end_in_the_middle_of_a_loop(tmp_path, then):
    with program(tmp_path, then=then) as running:
        said, errors = running.communicate(timeout=PATIENCE)
        wait_for_the_end_of([int(pid) for pid in re.findall(r"\d+", said)])
    assert (running.returncode, errors) == (0, "")


@needs_linux
def test_a_program_that_does_not_guard_its_work_is_told_to(tmp_path):
    with program(tmp_path, guard="if True:") as running:
        _, said = running.communicate(timeout=PATIENCE)
    assert running.returncode == 1
    assert re.search(r"worker \d of 2, process \d+, was ended with exit code 1 before", said)
    assert "must begin its work under `if __name__ == '__main__':`" in said


def test_importing_minidl_loads_no_processes():
    program = "import sys, minidl; print([m for m in sys.modules if m.startswith('multiprocessing')])"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=PATIENCE)
    assert (done.stdout, done.stderr) == ("[]\n", "")
