"""minidl/experiments/reproduce/scheduling.py: a plan is followed to its end, whatever happens to single runs."""

import json
import multiprocessing
import os
import signal
import subprocess
import sys
import threading
import time

import pytest

from minidl.experiments.reproduce import holding, scheduling
from minidl.experiments.reproduce.collected import collect
from minidl.experiments.reproduce.holding import BusyError, Hold, ask_to_stop
from minidl.experiments.reproduce.results import read_result
from minidl.experiments.reproduce.scheduling import do
from tests.experiments.reproduce.fake import GRID, Here, doing, small_plan, tuned_plan
from tests.programs import started

KILLS = pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="no process is killed like that here")


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    monkeypatch.setattr(holding, "BEAT", 0.05)
    monkeypatch.setattr(scheduling, "LOOK", 0.05)


def follow(plan, out, does=None, pool=None):
    return do(plan, out, doing(does or {}), pool=pool or Here(), show=False)


def rate_of(out, name):
    return read_result(out / "runs" / name)["base_rate"]


def losses_of(rate, losses):
    return {f"sgd-{rate}-grid{base:g}-seed1000": loss for base, loss in zip(GRID, losses, strict=True)}


# ---- the order, and what is skipped


def test_the_runs_are_begun_in_the_plans_order(tmp_path):
    pool = Here()
    outcome = follow(small_plan(seeds=2), tmp_path, pool=pool)
    assert pool.begun == [run.id for run in small_plan(seeds=2).runs]
    assert outcome.complete
    assert outcome.words("again") == ""
    assert outcome.done == set(pool.begun)


def test_a_run_that_is_done_is_not_done_again(tmp_path):
    follow(small_plan(), tmp_path)
    again = Here()
    assert follow(small_plan(), tmp_path, pool=again).complete
    assert again.begun == []


def test_of_a_plan_with_more_runs_only_the_new_ones_are_done(tmp_path):
    follow(small_plan(seeds=1), tmp_path)
    again = Here()
    follow(small_plan(seeds=2), tmp_path, pool=again)
    assert {name[-5:] for name in again.begun} == {"seed1"}


@pytest.mark.parametrize("content", ["", "{", "[1]", "{}", '{"format": 2}'])
def test_a_damaged_result_is_left_out_and_one_line_says_what_to_do(tmp_path, content, capsys):
    follow(small_plan(), tmp_path)
    path = tmp_path / "runs" / "sgd-ln-recipe-seed0" / "result.json"
    path.write_text(content, encoding="utf-8")
    outcome = do(small_plan(), tmp_path, doing({}), pool=Here())
    assert set(outcome.failed) == {"sgd-ln-recipe-seed0"}
    told, last = (capsys.readouterr().err + outcome.words("minidl reproduce mnist")).splitlines()
    assert told.startswith(f"left out: sgd-ln-recipe-seed0: {path} is ")
    assert "delete it, and the run is done again" in told
    assert last == (
        "4 of 5 runs are done. Delete what is left out, and try the others again with: minidl reproduce mnist"
    )
    path.unlink()
    assert follow(small_plan(), tmp_path).complete


def test_what_waits_for_a_run_that_is_left_out_says_so(tmp_path):
    follow(small_plan(rates=["ln"]), tmp_path)
    (tmp_path / "runs" / "sgd-ln-recipe-seed0" / "result.json").write_text("{", encoding="utf-8")
    outcome = follow(small_plan(rates=["ln", "constant"]), tmp_path)
    assert outcome.waiting == {"sgd-constant-recipe-seed0": "waiting for sgd-ln-recipe-seed0, which was left out"}


def test_a_file_is_named_only_if_it_is_there(tmp_path):
    outcome = follow(small_plan(), tmp_path, {"sgd-log10-recipe-seed0": "fail"})
    path = tmp_path / "runs" / "sgd-log10-recipe-seed0" / "error.txt"
    assert f"({path})" in outcome.words("again")
    path.unlink()
    assert "error.txt" not in outcome.words("again")


def test_the_result_of_a_run_with_other_settings_is_not_taken_for_it(tmp_path):
    follow(small_plan(iterations=4), tmp_path)
    outcome = follow(small_plan(iterations=8), tmp_path)
    assert not outcome.done
    words = (
        "is of another run than plan.json says: expected iterations 8; got 4. Mend the plan, or delete the folder, and "
        "the run is done again"
    )
    assert all(words in why for why in outcome.failed.values())


# ---- failures


def test_a_run_that_fails_stops_only_those_that_need_it(tmp_path):
    outcome = follow(small_plan(seeds=2), tmp_path, {"sgd-ln-recipe-seed0": "fail"})
    waits = "waiting for sgd-ln-recipe-seed0, which failed"
    assert outcome.failed == {"sgd-ln-recipe-seed0": "ZeroDivisionError: by nothing"}
    assert outcome.waiting == {"sgd-constant-recipe-seed0": waits, "sgd-per-step-recipe-seed0": waits}
    assert len(outcome.done) == 7
    words = outcome.words("minidl reproduce mnist")
    assert "failed: sgd-ln-recipe-seed0: ZeroDivisionError: by nothing" in words
    assert words.endswith("7 of 10 runs are done. Try the others again with: minidl reproduce mnist")


def test_error_txt_tells_it_in_words_and_then_in_full_and_goes_when_the_run_is_tried_again(tmp_path):
    follow(small_plan(), tmp_path, {"sgd-ln-recipe-seed0": "fail"})
    path = tmp_path / "runs" / "sgd-ln-recipe-seed0" / "error.txt"
    text = path.read_text(encoding="utf-8")
    assert text.startswith("The run sgd-ln-recipe-seed0 failed: ZeroDivisionError: by nothing\nIt is tried again when")
    assert "Traceback" in text
    assert text.endswith("ZeroDivisionError: by nothing\nand more\n")
    assert follow(small_plan(), tmp_path).complete
    assert not path.exists()


def test_a_run_that_ends_without_a_result_has_failed(tmp_path):
    outcome = follow(small_plan(), tmp_path, {"sgd-log10-recipe-seed0": "no result"})
    assert outcome.failed == {"sgd-log10-recipe-seed0": "RuntimeError: it ended without a result.json"}


def test_a_run_that_the_pool_loses_has_failed(tmp_path):
    class Loses(Here):
        def submit(self, function, *task):
            return super().submit(min if task[1]["rate"] == "log10" else function, *task)

    outcome = follow(small_plan(), tmp_path, pool=Loses())
    assert list(outcome.failed) == ["sgd-log10-recipe-seed0"]
    assert outcome.failed["sgd-log10-recipe-seed0"].startswith("the pool lost it")
    assert "the pool lost it" in (tmp_path / "runs/sgd-log10-recipe-seed0/error.txt").read_text(encoding="utf-8")


# ---- tuned rates


def test_a_tuned_run_has_the_rate_with_the_lowest_validation_loss(tmp_path):
    does = losses_of("uniform", (0.5, 0.2, 0.9)) | losses_of("ln", (0.1, 0.1, 0.1))
    follow(tuned_plan(rates=["uniform", "ln"]), tmp_path, does)
    assert rate_of(tmp_path, "sgd-uniform-tuned-seed0") == 0.03
    assert rate_of(tmp_path, "sgd-ln-tuned-seed0") == 0.01
    assert rate_of(tmp_path, "sgd-uniform-recipe-seed0") == 0.05


def test_where_every_rate_diverged_the_tuned_run_fails_with_that_word(tmp_path):
    does = dict.fromkeys(losses_of("uniform", GRID), "diverge")
    outcome = follow(tuned_plan(rates=["uniform"]), tmp_path, does)
    assert set(outcome.failed) == {"sgd-uniform-tuned-seed0"}
    text = (tmp_path / "runs/sgd-uniform-tuned-seed0/error.txt").read_text(encoding="utf-8")
    assert "failed: ValueError: every rate of the grid diverged, or led nowhere (0.01, 0.03, 0.1)" in text


def test_a_tuned_run_waits_for_a_tuning_run_that_failed(tmp_path):
    outcome = follow(tuned_plan(rates=["uniform"]), tmp_path, {"sgd-uniform-grid0.1-seed1000": "fail"})
    assert outcome.waiting == {"sgd-uniform-tuned-seed0": "waiting for sgd-uniform-grid0.1-seed1000, which failed"}


def test_the_tuned_control_replays_a_twin_at_its_own_rate(tmp_path):
    """The fake run itself asserts that its twin has its base rate."""
    does = losses_of("ln", (0.5, 0.5, 0.1)) | losses_of("per-step", (0.1, 0.5, 0.5))
    assert follow(tuned_plan(seeds=2), tmp_path, does).complete
    assert rate_of(tmp_path, "sgd-per-step-tuned-seed1") == 0.01 == rate_of(tmp_path, "sgd-ln-twin-seed1")
    assert rate_of(tmp_path, "sgd-ln-tuned-seed1") == 0.1


def test_a_twin_that_would_be_a_run_that_is_there_is_not_run(tmp_path):
    does = losses_of("ln", (0.5, 0.5, 0.1)) | losses_of("per-step", (0.5, 0.5, 0.1))
    outcome = follow(tuned_plan(), tmp_path, does)
    assert outcome.complete
    assert rate_of(tmp_path, "sgd-per-step-tuned-seed0") == 0.1
    assert not (tmp_path / "runs" / "sgd-ln-twin-seed0").exists()


def test_the_runs_are_counted_as_the_report_counts_them(tmp_path):
    """A twin that was not needed is none of those that are planned, if its control is done."""
    plan = tuned_plan(seeds=2)
    does = losses_of("ln", (0.5, 0.5, 0.1)) | losses_of("per-step", (0.5, 0.5, 0.1))
    names = ("sgd-uniform-recipe-seed0", "sgd-per-step-tuned-seed1")
    for failing in ({}, dict.fromkeys(names, "fail")):
        out = tmp_path / str(len(failing))
        outcome = follow(plan, out, does | failing)
        plan.save(out / "plan.json")
        found = collect(out)
        assert outcome.spared == {"sgd-ln-twin-seed0", "sgd-ln-twin-seed1"}
        assert outcome.complete == (not failing)
        assert outcome._how_many() == f"{len(found['runs'])} of {found['planned']} runs are done"
        (out / "runs" / "sgd-ln-recipe-seed1" / "result.json").write_text("{", encoding="utf-8")
        again, found = follow(plan, out, does | failing), collect(out)
        assert again._how_many() == f"{len(found['runs'])} of {found['planned']} runs are done"


# ---- processes


@KILLS
def test_in_processes_with_one_thread_each_a_run_that_the_system_kills_fails_alone(tmp_path):
    does = {"sgd-constant-recipe-seed0": "kill"}
    outcome = do(small_plan(seeds=2), tmp_path, doing(does), workers=2, show=False)
    why = "the system ended its process (too little memory?)"
    assert outcome.failed == {"sgd-constant-recipe-seed0": why}
    assert len(outcome.done) == 9
    assert why in (tmp_path / "runs/sgd-constant-recipe-seed0/error.txt").read_text(encoding="utf-8")
    logs = [path.read_text(encoding="utf-8").split() for path in (tmp_path / "runs").glob("*/log.txt")]
    assert {threads for _, threads in logs} == {"1"}
    assert str(os.getpid()) not in {pid for pid, _ in logs}
    assert do(small_plan(seeds=2), tmp_path, doing({}), workers=1, show=False).complete


def test_stopped_runs_leave_checkpoints_and_the_same_command_goes_on(tmp_path):
    plan, folder = small_plan(iterations=10_000, rates=["uniform"]), tmp_path / "runs/sgd-uniform-recipe-seed0"

    def stop_soon():
        while (holding.iteration_in(folder) or 0) < 3:
            time.sleep(0.01)
        ask_to_stop(tmp_path)  # as Ctrl-C does, which pytest would get

    thread = threading.Thread(target=stop_soon, daemon=True)
    thread.start()
    outcome = do(plan, tmp_path, doing({}, pause=0.01), workers=1, show=False)
    thread.join()
    assert outcome.stopped
    assert outcome.words("minidl reproduce mnist") == (
        "stopped: 0 of 1 runs are done, begun ones keep their checkpoints. Go on with: minidl reproduce mnist"
    )
    assert multiprocessing.active_children() == []
    assert json.loads((folder / "checkpoint.json").read_text(encoding="utf-8")) >= 3
    assert not (folder / "running.json").exists()
    assert not (folder / "error.txt").exists()
    follow(plan, tmp_path)
    assert read_result(folder)["iterations"] == 10_000


@pytest.mark.skipif(sys.platform == "win32", reason="signals of a terminal")
def test_ctrl_c_in_a_terminal_stops_soon_and_leaves_checkpoints(tmp_path):
    program = f"""
from pathlib import Path
from minidl.experiments.reproduce import holding
from minidl.experiments.reproduce.scheduling import do
from tests.experiments.reproduce.fake import doing, small_plan
if __name__ == "__main__":
    outcome = do(small_plan(iterations=10_000), Path({str(tmp_path)!r}), doing({{}}, pause=0.01), workers=1)
    print(outcome.words("again"))
"""
    script = tmp_path / "script.py"
    script.write_text(program, encoding="utf-8")
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, [os.getcwd(), os.getenv("PYTHONPATH")]))}
    folder = tmp_path / "runs/sgd-uniform-recipe-seed0"
    with started([sys.executable, script], stdout=subprocess.PIPE, env=environment) as process:
        while (holding.iteration_in(folder) or 0) < 3:
            assert process.poll() is None
            time.sleep(0.05)
        os.killpg(process.pid, signal.SIGINT)
        printed, _ = process.communicate(timeout=60)
    assert process.returncode == 0
    assert printed == "stopped: 0 of 5 runs are done, begun ones keep their checkpoints. Go on with: again\n"
    assert (folder / "checkpoint.json").exists()


# ---- two at once


def test_a_second_scheduler_in_the_same_folder_is_refused(tmp_path):
    with Hold(tmp_path) as hold:
        with pytest.raises(BusyError, match="is being worked on by process"):
            follow(small_plan(rates=["uniform"]), tmp_path)
        assert do(small_plan(rates=["uniform"]), tmp_path, doing({}), pool=Here(), show=False, hold=hold).complete
    assert follow(small_plan(), tmp_path).complete


# ---- what is seen


def test_without_a_terminal_each_run_that_ends_is_a_line(tmp_path, capsys):
    does = {"sgd-ln-recipe-seed0": "fail", "sgd-log10-recipe-seed0": "diverge"}
    do(small_plan(), tmp_path, doing(does), pool=Here())
    assert capsys.readouterr().err.splitlines() == [
        "1/5 sgd-uniform-recipe-seed0: accuracy 0.9000, 1 s",
        "2/5 sgd-ln-recipe-seed0: failed: ZeroDivisionError: by nothing",
        "3/5 sgd-constant-recipe-seed0: waiting for sgd-ln-recipe-seed0, which failed",
        "4/5 sgd-per-step-recipe-seed0: waiting for sgd-ln-recipe-seed0, which failed",
        "5/5 sgd-log10-recipe-seed0: diverged at step 2",
    ]
