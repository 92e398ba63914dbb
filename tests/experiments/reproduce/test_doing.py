"""minidl/experiments/reproduce/doing.py: one run in its folder."""

import json
import threading
import time

import pytest

from minidl.experiments.reproduce import holding
from minidl.experiments.reproduce.doing import STOPPED, do_run, result_of
from minidl.experiments.reproduce.holding import Hold, ask_to_stop
from tests.experiments.reproduce.fake import doing, small_plan

RUN = small_plan().runs[0]


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    monkeypatch.setattr(holding, "BEAT", 0.05)


def do(folder, does=None, pause=0.0, run=RUN):
    return do_run(doing({run.id: does}, pause), run.as_spec(), folder, 0.05, None)


def test_a_run_leaves_its_result_and_gives_its_folder_up(tmp_path):
    assert result_of(RUN, tmp_path) is None
    assert do(tmp_path) is None
    assert result_of(RUN, tmp_path)["base_rate"] == 0.05
    assert sorted(path.name for path in tmp_path.iterdir()) == ["log.txt", "result.json"]


def test_what_goes_wrong_is_returned_in_one_line_and_left_in_full(tmp_path):
    assert do(tmp_path, "fail") == "ZeroDivisionError: by nothing"
    assert "and more" in (tmp_path / "error.txt").read_text(encoding="utf-8")
    assert not (tmp_path / "running.json").exists()


def test_a_run_that_is_done_is_not_done_again(tmp_path):
    do(tmp_path)
    assert do(tmp_path, "fail") is None


def test_a_second_process_waits_and_finds_the_run_done(tmp_path):
    """As on a cluster that took the first for lost."""
    found = []
    with Hold(tmp_path):
        second = threading.Thread(target=lambda: found.append(do(tmp_path, "fail")))
        second.start()
        do(tmp_path / "elsewhere")
        (tmp_path / "elsewhere" / "result.json").rename(tmp_path / "result.json")
    second.join()
    assert found == [None]


def test_a_run_that_is_asked_to_stop_leaves_its_checkpoint(tmp_path):
    long = small_plan(iterations=10_000).runs[0]
    found = []
    thread = threading.Thread(target=lambda: found.append(do(tmp_path, pause=0.005, run=long)), daemon=True)
    thread.start()
    while (holding.iteration_in(tmp_path) or 0) < 3:
        time.sleep(0.01)
    ask_to_stop(tmp_path)
    thread.join()
    assert found == [STOPPED]
    assert json.loads((tmp_path / "checkpoint.json").read_text(encoding="utf-8")) >= 3
    assert not (tmp_path / "error.txt").exists()


def test_a_run_whose_folder_was_taken_over_ends_and_leaves_no_mark(tmp_path):
    long = small_plan(iterations=10_000).runs[0]
    found = []
    thread = threading.Thread(target=lambda: found.append(do(tmp_path, pause=0.005, run=long)), daemon=True)
    thread.start()
    while holding.iteration_in(tmp_path) is None:
        time.sleep(0.01)
    (tmp_path / "running.json").write_text('{"token": "another"}', encoding="utf-8")
    thread.join()
    assert found == [f"LostError: {tmp_path} was taken over by another process"]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["log.txt", "running.json"]


def test_the_result_of_another_run_is_refused(tmp_path):
    do(tmp_path)
    with pytest.raises(
        ValueError, match=r"result\.json is of another run than plan\.json says: expected (id|method) .*nesterov"
    ):
        result_of(small_plan(methods=["nesterov"]).runs[0], tmp_path)
