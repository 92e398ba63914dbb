"""`minidl reproduce` from its command line: help that teaches, plans, reports, errors, Ctrl-C."""

import errno
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time

import pytest

from minidl.cli import main
from minidl.experiments.reproduce import command, sets
from minidl.experiments.reproduce.command import core_hours, plan_of
from minidl.experiments.reproduce.holding import Hold, LostError, iteration_in
from minidl.experiments.reproduce.methods import METHODS, RATES
from minidl.experiments.reproduce.plan_file import open_plan
from minidl.experiments.reproduce.recipes import RECIPES, SCALES
from minidl.experiments.reproduce.results import read_result
from minidl.experiments.reproduce.scheduling import Outcome
from tests.programs import started

SMALL = ("--methods", "sgd", "--rates", "uniform,ln", "--seeds", "1", "--workers", "1", "--quiet")


@pytest.fixture(scope="module")
def done(tmp_path_factory):
    """(folder, exit status) of a small reproduction on the digits, by the command line."""
    out = tmp_path_factory.mktemp("reproduce") / "out"
    return out, main(["reproduce", "digits", *SMALL, "--out", str(out)])


def test_it_leaves_the_plan_the_runs_their_collection_and_a_report(done):
    out, status = done
    assert status == 0
    assert {path.name for path in out.iterdir()} == {"plan.json", "runs", "results.json", "report"}
    assert (out / "report" / "index.html").exists()
    plan = json.loads((out / "plan.json").read_text())
    assert all((out / "runs" / run["id"] / "result.json").exists() for run in plan["runs"])
    result = read_result(out / "runs" / "sgd-ln-recipe-seed0")
    words = "minidl reproduce digits --scale quick --methods sgd --rates uniform,ln"
    assert result["command"].startswith(words)


@pytest.fixture
def no_report(monkeypatch):
    """The report is written, and tested, elsewhere: drawing it takes seconds."""
    monkeypatch.setattr(command, "write", lambda found, out: None)


def test_a_report_of_another_experiment_is_refused(done, capsys, no_report):
    assert main(["reproduce", "mnist", "--report-only", "--out", str(done[0])]) == 2
    assert "holds the experiment digits, not mnist: name that, or another --out" in capsys.readouterr().err


def test_the_same_command_again_runs_nothing_and_reports(done, monkeypatch, capsys, no_report):
    out, _ = done
    monkeypatch.setattr(command, "read", lambda *_: pytest.fail("data were read"))
    before = (out / "runs" / "sgd-ln-recipe-seed0" / "result.json").stat().st_mtime_ns
    assert main(["reproduce", "digits", *SMALL, "--out", str(out)]) == 0
    assert (out / "runs" / "sgd-ln-recipe-seed0" / "result.json").stat().st_mtime_ns == before
    assert f"Report: {out / 'report' / 'index.html'}" in capsys.readouterr().out


def test_a_report_only_runs_nothing(done, monkeypatch, no_report):
    monkeypatch.setattr(command, "do", lambda *_, **__: pytest.fail("it ran"))
    assert main(["reproduce", "digits", "--report-only", "--out", str(done[0])]) == 0


def test_a_folder_with_other_settings_is_refused(done, capsys):
    assert main(["reproduce", "digits", *SMALL, "--scale", "paper", "--out", str(done[0])]) == 2
    assert "other settings" in capsys.readouterr().err


def test_a_plan_says_what_it_costs_and_runs_nothing(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(command, "do", lambda *_, **__: pytest.fail("it ran"))
    assert main(["reproduce", "mnist", "--plan-only", "--out", str(tmp_path / "out")]) == 0
    printed = capsys.readouterr().out
    recipe = RECIPES["mnist"]
    plan = plan_of(recipe, "quick")
    assert re.search(rf"all +{len(plan.runs)} +{core_hours(plan, recipe):.2f}", printed)
    assert "To follow it: minidl reproduce mnist --scale quick --out" in printed
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["plan.json"]


def test_the_folder_is_named_by_experiment_and_scale(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert main(["reproduce", "deep-mlp", "--plan-only"]) == 0
    assert (tmp_path / "runs" / "reproduce-deep-mlp-quick" / "plan.json").exists()


def test_the_help_teaches(capsys):
    with pytest.raises(SystemExit):
        main(["reproduce", "--help"])
    text = capsys.readouterr().out
    for word in (*METHODS, *RATES, *(name for name in RECIPES if name != "digits"), "core-hours", "report/index.html"):
        assert word in text
    assert max(map(len, text.splitlines())) <= 120


def test_every_experiment_has_a_plan_at_every_scale():
    for recipe in RECIPES.values():
        for scale in SCALES:
            plan = plan_of(recipe, scale)
            assert recipe.milliseconds > 0
            assert {run.iterations for run in plan.runs} == {recipe.iterations[scale]}
            assert any(run.base == "tuned" for run in plan.runs) == recipe.tuned


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["mnits"], "unknown recipe 'mnits'; expected one of mnist"),
        (["mnist", "--methods", "adam"], "methods: unknown 'adam'; choose from sgd"),
        (["mnist", "--rates", "constant"], "add ln"),
        (["mnist", "--seeds", "0"], "--seeds: expected a whole number of at least 1; got 0"),
        (["mnist", "--seeds", "2000"], "is reported too"),
        (["mnist", "--workers", "0"], "--workers: expected a whole number of at least 1; got 0"),
        (["mnist", "--methods", ""], "methods: none given; choose from sgd"),
        (["mnist", "--rates", " , "], "rates: none given; choose from uniform"),
        (["deep-mlp-0"], "deep-mlp-N: expected at least 1 hidden layer; got 'deep-mlp-0'"),
        (
            ["imagenet32", "--download"],
            "--download fetches MNIST and CIFAR-10; imagenet32 needs other data: name them",
        ),
        (["digits", "--download"], "--download: digits needs no download, its digits come with minidl: leave it out"),
        (["saddle", "--download"], "--download: saddle needs no download, its digits come with minidl: leave it out"),
        (["digits", "--report-only"], "expected the folder of a reproduction, with plan.json and runs/; got"),
    ],
)
def test_bad_input_gives_one_clear_error(words, message, tmp_path, capsys):
    assert main(["reproduce", *words, "--out", str(tmp_path / "out")]) == 2
    error = capsys.readouterr().err
    assert message in error
    assert error.startswith("minidl reproduce: ")
    assert error.count("\n") == 1
    assert list(tmp_path.iterdir()) == []


def test_while_a_process_works_in_the_folder_another_command_does_not_change_its_plan(tmp_path, capsys):
    out = tmp_path / "out"
    words = ["reproduce", "digits", "--methods", "sgd", "--out", str(out)]
    assert main([*words, "--seeds", "1", "--plan-only"]) == 0
    before = (out / "plan.json").read_bytes()
    with Hold(out):
        for more in (["--seeds", "4"], ["--seeds", "4", "--plan-only"]):
            assert main([*words, *more]) == 2
            assert "is being worked on by process" in capsys.readouterr().err
    assert (out / "plan.json").read_bytes() == before
    assert main([*words, "--seeds", "1", "--plan-only"]) == 0  # which goes on with it


def test_the_folder_is_held_from_the_plan_to_the_last_run(tmp_path, monkeypatch, no_report):
    out, held = tmp_path / "out", []

    def look(*_, **__):
        held.append(iteration_in(out) is not None)
        return Outcome(0, out / "runs")

    monkeypatch.setattr(command, "open_plan", lambda wanted, out: (look(), open_plan(wanted, out))[1])
    monkeypatch.setattr(command, "read", look)
    monkeypatch.setattr(command, "do", look)
    assert main(["reproduce", "digits", *SMALL, "--out", str(out)]) == 0
    assert held == [True, True, True]
    assert not (out / "running.json").exists()


# ---- folders that cannot be used


def test_a_folder_that_cannot_be_made_is_one_clear_error(tmp_path, capsys):
    (tmp_path / "file").touch()
    out = tmp_path / "file" / "out"
    assert main(["reproduce", "digits", "--out", str(out)]) == 2
    error = capsys.readouterr().err
    assert error.startswith(f"minidl reproduce: {out} could not be written to: ")
    assert error.endswith(". Choose another --out\n")
    assert error.count("\n") == 1


def test_where_the_report_cannot_be_written_the_answer_is_printed_and_that_is_said(done, monkeypatch, capsys):
    def refuse(found, out):
        raise OSError(errno.EROFS, os.strerror(errno.EROFS), str(out / "results.json"))

    monkeypatch.setattr(command, "write", refuse)
    assert main(["reproduce", "digits", "--report-only", "--out", str(done[0])]) == 1
    printed = capsys.readouterr()
    assert printed.out.startswith("Does a rate for each layer train a network better?\n")
    assert "Report:" not in printed.out
    words = f"the report is not written: {done[0]} could not be written to: {os.strerror(errno.EROFS)}. Make it from"
    assert words in printed.err
    assert printed.err.count("\n") == 1


def test_results_that_are_left_out_are_named_on_the_terminal_too(done, tmp_path, capsys):
    out = tmp_path / "copy"
    shutil.copytree(done[0], out)
    names = sorted(path.name for path in (out / "runs").iterdir())
    for name in names[:7]:
        path = out / "runs" / name / "result.json"
        path.write_text(json.dumps({**json.loads(path.read_text()), "checks": 3}))
    capsys.readouterr()
    assert main(["reproduce", "digits", "--report-only", "--out", str(out)]) == 1
    lines = capsys.readouterr().err.splitlines()
    assert [line.split(":")[1].split()[0] for line in lines[:5]] == names[:5]
    assert all("is left out: " in line and "checks" in line for line in lines[:5])
    assert lines[5:] == ["minidl reproduce: 2 more are left out: the report names them"]


def test_a_damaged_plan_is_an_error_also_where_only_the_report_is_wanted(tmp_path, capsys):
    out = tmp_path / "out"
    assert main(["reproduce", "digits", *SMALL, "--out", str(out), "--plan-only"]) == 0
    (out / "plan.json").write_text("{", encoding="utf-8")
    for more in ([], ["--report-only"], ["--plan-only"]):
        capsys.readouterr()
        assert main(["reproduce", "digits", *SMALL, "--out", str(out), *more]) == 2
        printed = capsys.readouterr()
        assert printed.out == ""
        assert "plan.json is damaged or not a plan" in printed.err
        assert "Mend it, or delete it and ask for the same again" in printed.err
    (out / "plan.json").unlink()
    assert main(["reproduce", "digits", *SMALL, "--out", str(out), "--plan-only"]) == 0


def test_missing_data_are_an_error_that_says_how_to_get_them(tmp_path, capsys):
    sets._read.cache_clear()
    (tmp_path / "empty").mkdir()
    words = ["mnist", "--data", str(tmp_path / "empty"), "--out", str(tmp_path / "out")]
    assert main(["reproduce", *words]) == 2
    error = capsys.readouterr().err
    assert "found no train-images" in error
    words = f"--data {tmp_path / 'empty'} --out {tmp_path / 'out'}"
    assert f"Here: minidl reproduce mnist --scale quick {words} --download" in error
    assert not (tmp_path / "out" / "runs").exists()


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="of a system with its signals")
def test_ctrl_c_says_how_to_go_on_and_the_same_command_does(tmp_path, no_report):
    out = tmp_path / "out"
    words = ["digits", "--scale", "paper", *SMALL[:-1], "--out", str(out)]
    assert main(["reproduce", *words, "--plan-only"]) == 0
    plan = json.loads((out / "plan.json").read_text())
    # A plan may be edited. A run has to last longer than the two seconds in which it hears that it is to stop.
    plan["runs"] = [{**run, "iterations": 8_000} for run in plan["runs"][:2]]
    (out / "plan.json").write_text(json.dumps(plan))
    program = [sys.executable, "-m", "minidl", "reproduce", *words]
    with started(program, stderr=subprocess.PIPE, env=os.environ) as process:
        while not list(out.glob("runs/*/running.json")) and process.poll() is None:
            time.sleep(0.02)
        process.send_signal(signal.SIGINT)
        _, error = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "stopped: 0 of 2 runs are done" in error
    assert f"minidl reproduce {' '.join(words[:3])}" in error
    assert "--report-only" in error
    assert main(["reproduce", *words, "--quiet"]) == 0
    assert {path.parent.name for path in out.glob("runs/*/result.json")} == {run["id"] for run in plan["runs"]}


def test_a_folder_that_another_process_took_over_is_one_line(tmp_path, monkeypatch, capsys):
    def lose(*arguments, **options):
        raise LostError(f"{tmp_path} was taken over by another process")

    monkeypatch.setattr(command, "_follow", lose)
    assert main(["reproduce", "digits", *SMALL, "--out", str(tmp_path / "out")]) == 2
    assert capsys.readouterr().err == f"minidl reproduce: {tmp_path} was taken over by another process\n"
