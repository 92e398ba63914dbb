"""The command line of the benchmarks."""

import pytest

from benchmarks import scaling
from benchmarks.__main__ import main, names, parser
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
