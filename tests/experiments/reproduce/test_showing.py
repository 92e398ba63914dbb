"""minidl/experiments/reproduce/showing.py: how far a plan is."""

import io

import pytest
from rich.console import Console

from minidl.data import progress
from minidl.experiments.reproduce import showing as module
from minidl.experiments.reproduce.showing import Showing, clock
from tests.experiments.reproduce.fake import small_plan

RUNS = small_plan(iterations=100).runs


@pytest.fixture
def at(monkeypatch):
    """Sets the time."""
    now = [0.0]
    monkeypatch.setattr(module.time, "perf_counter", lambda: now[0])
    return lambda seconds: now.__setitem__(0, seconds)


def test_the_words_beside_the_bar_are_the_runs_being_done_and_the_time_that_is_left(at):
    showing = Showing(RUNS, show=False)
    assert showing.text() == ""
    showing.found(RUNS[0])
    showing.running({RUNS[1].id: 0})
    assert showing.text() == "sgd-ln-recipe-seed0 0/100"
    at(60)
    showing.running({RUNS[1].id: 50})
    # 50 steps took a minute; 50 of this run and 300 of the others are left
    assert showing.text() == "sgd-ln-recipe-seed0 50/100, about 7 min left"
    at(120)
    showing.ended(RUNS[1], "done")
    showing.running({RUNS[2].id: 0})
    assert showing.text() == "sgd-constant-recipe-seed0 0/100, about 6 min left"


def test_steps_that_were_made_before_took_no_time_now(at):
    showing = Showing(RUNS[:1], show=False)
    showing.running({RUNS[0].id: 80})
    assert "left" not in showing.text()
    at(10)
    showing.running({RUNS[0].id: 90})
    assert showing.text() == "sgd-uniform-recipe-seed0 90/100, about 10 s left"


def test_a_run_that_failed_at_once_promises_no_speed(at):
    showing = Showing(RUNS, show=False)
    at(1)
    showing.ended(RUNS[0], "failed", done=False)
    assert showing.text() == ""


def test_a_terminal_gets_one_bar(monkeypatch):
    monkeypatch.setattr(progress, "REFRESH", 0.0)
    console = Console(file=io.StringIO(), force_terminal=True, width=150)
    with Showing(RUNS, show=True, console=console) as showing:
        showing.found(RUNS[0])
        showing.running({RUNS[1].id: 7})
    drawn = console.file.getvalue()
    assert "1/5" in drawn
    assert "sgd-ln-recipe-seed0 7/100" in drawn


def test_elsewhere_each_run_that_ends_is_a_line_and_those_that_were_done_before_are_none(capsys):
    with Showing(RUNS) as showing:
        showing.found(RUNS[0])
        showing.running({RUNS[1].id: 7})
        showing.ended(RUNS[1], "accuracy 0.9")
    assert capsys.readouterr().err == "2/5 sgd-ln-recipe-seed0: accuracy 0.9\n"


def test_nothing_is_shown_if_that_is_asked_for(capsys):
    with Showing(RUNS, show=False) as showing:
        showing.ended(RUNS[0], "accuracy 0.9")
    assert capsys.readouterr().err == ""


def test_a_time_in_words():
    assert [clock(s) for s in (0.4, 59, 60, 3599, 3600, 11_100)] == [
        "0 s",
        "59 s",
        "1 min",
        "1 h 00 min",
        "1 h 00 min",
        "3 h 05 min",
    ]
