"""The command line of the benchmarks."""

import pytest

from benchmarks import __main__ as command
from benchmarks import scaling
from benchmarks.__main__ import main, names, parser
from benchmarks.peers import Peer
from benchmarks.workloads import WORKLOADS


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


def test_processor_time_is_measured_with_one_thread_each(capsys, monkeypatch):
    seen = []
    monkeypatch.setattr(command, "measure", lambda run, peers: seen.append((run, peers)) or "a table\n")
    main(["--cpu", "--only", "W1", "--old", "none"])
    ((run, peers),) = seen
    assert (run.clock, run.rounds, run.only) == ("cpu", 15, ["W1"])
    assert {peer.threads for peer in peers} == {1}
    assert "old" not in {peer.library for peer in peers}
    assert capsys.readouterr().out == "a table\n"


def test_a_commit_that_is_not_here_is_refused():
    with pytest.raises(SystemExit, match="no minidl at 'nowhere' here"):
        main(["--cpu", "--only", "W1", "--old", "nowhere"])


def test_a_turn_that_is_timed_ends_in_a_table():
    text = command.measure(command.Run(["CE"], 1, 0.001, 1, "cpu"), [Peer("numpy", 1), Peer("minidl", 1)])
    assert "| processor time, one thread each: ratio to NumPy by hand | NumPy by hand takes | **minidl** |" in text
