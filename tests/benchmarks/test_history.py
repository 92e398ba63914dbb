"""What runs found is kept whole, and read again as it was."""

import subprocess
import sys
import time

import pytest

from benchmarks import history
from benchmarks.fresh import Memory
from benchmarks.history import Row
from benchmarks.peers import ROOT, Peer
from benchmarks.race import Result

TORCH, OURS, CAFFE = Peer("torch", 1), Peer("minidl", 1), Peer("caffe", 1)


def row(**changes):
    known = {
        "date": "2026-11-30 05:00", "commit": "1234567890", "clean": "yes", "measured": "cpu, 1 thread",
        "versions": "Python 3.11, numpy 2.4", "workload": "W1", "peer": "minidl, 1 thread",
        "measure": "PyTorch, 1 thread", "ratio": "0.85",
    }  # fmt: skip
    return Row(**{**known, **changes})


def test_rows_are_added_and_read_as_they_were(tmp_path):
    file = tmp_path / "history.csv"
    first, second = row(versions='a "b", c'), row(workload="W2", ratio="1.2e+03")
    assert history.read(file) == []
    history.keep([first], file)
    history.keep([second], file)
    assert history.read(file) == [first, second]
    assert file.read_bytes().startswith(b"date,commit,clean,measured,versions,workload,peer,measure,ratio\n")
    assert [path.name for path in tmp_path.iterdir()] == ["history.csv"]


@pytest.mark.skipif(history.fcntl is None, reason="this system locks no folder")
def test_a_run_that_ends_while_another_adds_its_rows_waits_for_it(tmp_path):
    file = tmp_path / "history.csv"
    later = "from benchmarks.history import Row, keep; from pathlib import Path; print('ready', flush=True); input(); "
    later += f"keep([Row(*'abcdefghi')], Path({str(file)!r}))"
    with subprocess.Popen(
        [sys.executable, "-c", later], cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as other:
        assert other.stdout.readline() == b"ready\n"
        with history._alone_in(tmp_path):
            other.stdin.write(b"\n")
            other.stdin.flush()
            time.sleep(0.2)
            assert not file.exists()
        assert other.wait() == 0
    assert history.read(file) == [Row(*"abcdefghi")]


@pytest.mark.parametrize("text", ["a,b\n1,2\n", "date,commit,clean,measured,versions,workload,peer,measure,ratio\n1\n"])
def test_another_table_is_refused_and_stays(tmp_path, text):
    file = tmp_path / "history.csv"
    file.write_text(text, encoding="utf-8")
    with pytest.raises(ValueError, match="expected a table with the columns date, commit"):
        history.keep([row()], file)
    assert file.read_text(encoding="utf-8") == text


def test_a_run_becomes_rows_with_the_median_of_the_rounds():
    results = [Result("W3", {TORCH: [1.0, 2.0, 4.0], OURS: [1.0, 1.0, 1.0], CAFFE: [2.0, 2.0, 2.0]})]
    memory = {"W4": {"torch": Memory(380.0, 80.0), "minidl": Memory(82.0, 40.0)}}
    rows = history.rows_of(results, memory, [TORCH, OURS, CAFFE], "cpu")
    assert [(one.measured, one.workload, one.peer, one.measure, one.ratio) for one in rows] == [
        ("cpu, 1 thread", "W3", "minidl, 1 thread", "PyTorch, 1 thread", "0.5"),
        ("cpu, 1 thread", "W3", "Caffe, 1 thread", "PyTorch, 1 thread", "1"),
        ("cpu, 1 thread", "W3", "minidl, 1 thread", "Caffe, 1 thread", "0.5"),
        ("memory", "W4", "minidl", "PyTorch", "0.5"),
    ]
    assert len({one.date for one in rows}) == 1
    assert "numpy" in rows[0].versions


def test_a_rough_look_is_kept_apart():
    results, memory = (
        [Result("W3", {TORCH: [2.0], OURS: [1.0]})],
        {"W4": {"torch": Memory(9, 8), "minidl": Memory(9, 4)}},
    )
    rows = history.rows_of(results, memory, [TORCH, OURS], "cpu", rough=True)
    assert [row.measured for row in rows] == ["cpu, 1 thread, rough", "memory, rough"]


def test_without_git_the_commit_is_unknown(monkeypatch):
    def no_git(*_):
        raise FileNotFoundError("git")

    monkeypatch.setattr(history, "git", no_git)
    assert history.revision() == ("unknown", "no")


def test_the_last_runs_stand_side_by_side():
    rows = [
        row(date=f"2026-11-{day:02} 05:00", ratio=f"0.{day}", clean="yes" if day > 12 else "no") for day in (11, 12, 13)
    ]
    rows += [row(date="2026-11-13 05:00", workload="W2", ratio="1.2"), row(peer="MyGrad, 1 thread")]
    assert history.shown(rows, runs=2) == (
        "| cpu, 1 thread |  | over | 2026-11-12 05:00 (1234567890, changed) | 2026-11-13 05:00 (1234567890) |\n"
        "| --- | --: | --: | --: | --: |\n"
        "| W1 | minidl, 1 thread | PyTorch, 1 thread | .12 | .13 |\n"
        "| W2 | minidl, 1 thread | PyTorch, 1 thread | - | 1.20 |\n"
    )
    assert "No run was kept yet" in history.shown([])
