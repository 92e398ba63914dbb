"""The command line of the benchmarks."""

import sys

import pytest

from benchmarks import __main__ as command
from benchmarks import history, scaling
from benchmarks.__main__ import Found, main, names, parser
from benchmarks.peers import Peer, alike
from benchmarks.race import Result
from benchmarks.workloads import WORKLOADS

NOTHING = Found([], {}, {})


def test_help_teaches_every_workload(capsys):
    with pytest.raises(SystemExit, match="0"):
        main(["--help"])
    text = capsys.readouterr().out
    assert all(f"\n  {name} " in text for name in [*WORKLOADS, "import", "memory"])
    assert "python -m benchmarks --only W5,Ca" in text


def test_workloads_are_chosen_by_name_and_run_in_the_order_of_the_table():
    assert names("Ca, W1") == ["W1", "Ca"]
    assert parser().parse_args([]).only == [*WORKLOADS, "import", "memory"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--only", "W1,W9,X"], "unknown: W9, X; there are W1, W2"),
        (["--rounds", "0"], "expected a whole number of at least 1; got '0'"),
        (["--threads", "100000"], "cores; got 100000"),
        (["--threads", "two"], "expected a whole number of at least 1; got 'two'"),
        (["--old", "9bfb804"], "an older minidl takes part with --cpu alone"),
    ],
)
def test_what_is_not_there_is_refused(arguments, message, capsys):
    with pytest.raises(SystemExit, match="2"):
        main(arguments)
    assert message in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["height", "3"], "invalid choice: 'height'"),
        (["depth"], "a size of depth too"),
        (["depth", "0"], "at least 1"),
        (["--rounds", "0"], "expected a whole number of at least 1; got '0'"),
    ],
)
def test_scaling_refuses_too(arguments, message, capsys):
    with pytest.raises(SystemExit, match="2"):
        scaling.main(arguments)
    assert message in capsys.readouterr().err


def test_processor_time_is_measured_with_one_thread_each(monkeypatch):
    seen = []
    monkeypatch.setattr(command, "measure", lambda run, peers: seen.append((run, peers)) or NOTHING)
    main(["--cpu", "--only", "W1", "--old", "none"])
    ((run, peers),) = seen
    assert (run.clock, run.rounds, run.only) == ("cpu", 11, ["W1"])
    assert {peer.threads for peer in peers} == {1}
    assert "old" not in {peer.library for peer in peers}


def test_caffe_takes_part_where_there_is_one(monkeypatch):
    seen = []
    monkeypatch.setattr(command, "measure", lambda run, peers: seen.append(peers) or NOTHING)
    monkeypatch.setenv("CAFFE_PYTHON", sys.executable)
    main(["--cpu", "--old", "none"])
    monkeypatch.setenv("CAFFE_PYTHON", "/no/python")
    main(["--cpu", "--old", "none"])
    assert [Peer("caffe", 1, keep_freed=True) in peers for peers in seen] == [True, False]


def test_a_commit_that_is_not_here_is_refused():
    with pytest.raises(SystemExit, match="no minidl at 'nowhere' here"):
        main(["--cpu", "--only", "W1", "--old", "nowhere"])


def test_what_was_measured_is_written_and_kept(monkeypatch, tmp_path, capsys):
    ours, theirs = alike([Peer("minidl", 1), Peer("torch", 1)])
    result = Result("CE", {theirs: [2.0], ours: [1.0]})
    monkeypatch.setattr(command, "entrants", lambda threads: [theirs, ours])
    monkeypatch.setattr(command, "measure", lambda run, peers: Found([result], {}, {}))
    monkeypatch.setattr(history, "FILE", tmp_path / "history.csv")
    monkeypatch.delenv("CAFFE_PYTHON", raising=False)
    main(["--cpu", "--old", "none", "--keep", "--output", str(tmp_path / "table.md")])
    text = (tmp_path / "table.md").read_text(encoding="utf-8")
    assert text == capsys.readouterr().out
    assert "| CE | 2000 ms | **.50** | 1.20 |" in text
    main(["--history"])
    assert "| CE | minidl, 1 thread | PyTorch, 1 thread | .50 |" in capsys.readouterr().out


@pytest.mark.parametrize("arguments", [["--keep"], ["--output", "nowhere/latest.md"]])
def test_what_cannot_be_written_is_refused_before_the_work(arguments, monkeypatch, tmp_path):
    (tmp_path / "history.csv").write_text("a,b\n1,2\n", encoding="utf-8")
    (tmp_path / "nowhere").write_text("", encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(history, "FILE", tmp_path / "history.csv")
    monkeypatch.setattr(command, "measure", lambda run, peers: pytest.fail("it was measured"))
    with pytest.raises(SystemExit, match=r"error: .*(history\.csv|nowhere)"):
        main(["--cpu", "--old", "none", *arguments])


def test_that_the_older_minidl_is_not_here_is_said(monkeypatch, capsys):
    monkeypatch.setattr(command, "REDRAWN", "nowhere")
    monkeypatch.setattr(command, "measure", lambda run, peers: NOTHING)
    monkeypatch.delenv("CAFFE_PYTHON", raising=False)
    main(["--cpu"])
    assert "minidl at nowhere takes no part" in capsys.readouterr().err


def test_it_is_said_which_minidl_was_measured(monkeypatch):
    for revision, words in ((("abc", "yes"), "minidl at abc. 3 rounds"), (("abc", "no"), "at abc, changed. 3 rounds")):
        monkeypatch.setattr(history, "revision", lambda revision=revision: revision)
        assert words in command.written(command.Run([], 3, 0.1, 1, "cpu"), [Peer("minidl", 1)], NOTHING)


def test_a_turn_that_is_timed_ends_in_a_table():
    run, peers = command.Run(["CE"], 1, 0.001, 1, "cpu"), [Peer("numpy", 1), Peer("minidl", 1)]
    text = command.written(run, peers, command.measure(run, peers))
    assert "| processor time, one thread each: ratio to NumPy by hand | NumPy by hand takes | **minidl** |" in text
