"""One run: the same start for all arms, controls that replay their twin, the same bits however often it is killed."""

import json
import os
import random
import signal
import subprocess
import sys
import threading
import time
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from minidl import backend, nn
from minidl.experiments.reproduce import running
from minidl.experiments.reproduce.methods import METHODS, RATES
from minidl.experiments.reproduce.recipes import RECIPES, recipe_named
from minidl.experiments.reproduce.results import CHECKPOINT, RESULT, read_replay, read_result
from minidl.experiments.reproduce.running import perform
from minidl.files.arrays import load_arrays, save_arrays

TIMES = ("seconds", "cpu_seconds")
REPLAYED = ("constant", "per-step")


def spec(**changes):
    made = {
        "id": "a-run",
        "recipe": "digits",
        "scale": "quick",
        "method": "sgd",
        "rate": "uniform",
        "base": "recipe",
        "seed": 0,
        "role": "report",
        "iterations": 40,
        "needs": [],
        "stage": 0,
    }
    return made | changes


def timeless(result):
    """A result without its times, which differ from run to run."""
    looks = [{name: value for name, value in look.items() if name not in TIMES} for look in result["looks"]]
    return {name: value for name, value in result.items() if name not in TIMES} | {"looks": looks}


@pytest.fixture(scope="module")
def arms(tmp_path_factory):
    """(method, rate) -> (folder, result) of all arms of two methods and one seed."""
    out = tmp_path_factory.mktemp("out") / "runs"
    found = {}
    for method in METHODS:
        for rate in RATES:
            folder = out / f"{method}-{rate}"
            twin = found[method, "ln"][0] if rate in REPLAYED else None
            found[method, rate] = folder, perform(spec(method=method, rate=rate), folder, twin=twin)
    return found


def test_all_arms_of_a_seed_begin_alike(arms):
    """The same weights and the same first batch: so the same first loss, and the same gradients in the first step."""
    results = [result for _, result in arms.values()]
    for of in (
        lambda result: result["checks"]["first_weights"],
        lambda result: result["curve"]["loss"][0],
        lambda result: result["flow"]["norms"][0],
        lambda result: result["data"],
    ):
        assert all(of(result) == of(results[0]) for result in results)
    assert len({result["checks"]["last_weights"] for result in results}) == len(results)


def test_another_seed_begins_otherwise(arms, tmp_path):
    other = perform(spec(seed=1), tmp_path / "other")
    assert other["checks"]["first_weights"] != arms["sgd", "uniform"][1]["checks"]["first_weights"]


def test_a_run_repeats_to_the_same_bits(arms, tmp_path):
    again = perform(spec(rate="ln"), tmp_path / "again")
    assert timeless(again) == timeless(arms["sgd", "ln"][1])


@pytest.mark.parametrize("method", METHODS)
def test_controls_replay_what_the_ln_run_did(arms, method):
    folder, ln = arms[method, "ln"]
    replayed = read_replay(folder)
    steps = ln["flow"]["steps"]
    assert replayed.shape == (40,)
    for step, own in zip(steps, ln["flow"]["multipliers"], strict=True):
        assert np.mean(own) == pytest.approx(replayed[step - 1], rel=1e-3)
    assert ln["mean_multiplier"] == pytest.approx(replayed.mean(), rel=1e-5)
    constant, per_step = arms[method, "constant"][1], arms[method, "per-step"][1]
    assert constant["mean_multiplier"] == per_step["mean_multiplier"] == ln["mean_multiplier"]
    assert np.array(constant["flow"]["multipliers"]) == pytest.approx(replayed.mean(), rel=1e-3)
    for step, own in zip(steps, per_step["flow"]["multipliers"], strict=True):
        assert own == pytest.approx([replayed[step - 1]] * len(own), rel=1e-3)
    assert arms[method, "uniform"][1]["mean_multiplier"] == 1.0


def test_the_result_says_what_was_run(arms):
    folder, result = arms["sgd", "ln"]
    text = (folder / RESULT).read_text()
    assert json.loads(text, parse_constant=pytest.fail) == result == read_result(folder)
    assert len(text) < 20_000
    assert result["spec"] == spec(rate="ln")
    assert result["base_rate"] == 0.1
    assert result["layers"] == ["fc1", "fc2", "fc3"]
    assert result["looks"][-1]["iteration"] == result["iterations"] == 40
    assert result["looks"][-1]["examples"] == result["data"]["test"] == 360
    assert result["threads"] == 1
    assert (np.diff([look["seconds"] for look in result["looks"]]) >= 0).all()
    assert sorted(path.name for path in folder.iterdir()) == ["replay.npz", "result.json"]
    assert sorted(path.name for path in arms["sgd", "uniform"][0].iterdir()) == ["result.json"]


def test_a_run_that_is_done_is_only_read(arms, monkeypatch):
    folder, result = arms["sgd", "uniform"]
    monkeypatch.setattr(running._Run, "finish", lambda self: pytest.fail("it ran again"))
    assert perform(spec(), folder) == result
    with pytest.raises(ValueError, match="holds the result of another run, a-run"):
        perform(spec(seed=3), folder)


def test_a_control_wants_the_twin_of_its_own_method_rate_and_seed(arms, tmp_path):
    folder = arms["sgd", "ln"][0]
    for wrong in (spec(rate="constant", seed=1), spec(rate="constant", method="nesterov")):
        with pytest.raises(ValueError, match=r"replays the ln run with the same method, base rate and seed; .*sgd-ln"):
            perform(wrong, tmp_path / "x", twin=folder)
    with pytest.raises(ValueError, match=r"at 0\.1, not at 0\.3"):
        perform(spec(rate="per-step"), tmp_path / "x", base_rate=0.3, twin=folder)
    with pytest.raises(ValueError, match="name its folder"):
        perform(spec(rate="per-step"), tmp_path / "x")
    assert not (tmp_path / "x").exists()


def test_a_spec_that_cannot_be_is_refused(tmp_path):
    for wrong, words in (
        (spec(recipe="mnits"), "unknown recipe 'mnits'"),
        (spec(method="adam"), "method: expected .*got 'adam'"),
        (spec(rate="best"), "rate: expected .*got 'best'"),
        (spec(base="tuned"), "give the number that the tuning found"),
        ({**spec(), "iterations": "many"}, "the spec of a run, iterations: expected a whole number"),
    ):
        with pytest.raises(ValueError, match=words):
            perform(wrong, tmp_path / "x")


def test_two_runs_at_once_in_one_process_are_refused(tmp_path):
    inside, go_on = threading.Event(), threading.Event()

    def wait(done):
        inside.set()
        go_on.wait(30)

    other = threading.Thread(target=perform, args=(spec(), tmp_path / "one"), kwargs={"on_iteration": wait})
    other.start()
    inside.wait(30)
    with pytest.raises(RuntimeError, match="does a run already"):
        perform(spec(), tmp_path / "two")
    go_on.set()
    other.join()
    assert (tmp_path / "one" / RESULT).exists()  # a thread may do a run, if it is the only one


# ---- divergence


@pytest.mark.filterwarnings("error")
def test_a_run_that_diverges_ends_there_without_a_word(tmp_path):
    result = perform(spec(rate="ln", base=1e30), tmp_path / "runs" / "ln")
    at = result["diverged_at"]
    assert 2 <= at <= 20
    assert result["validation"] == {"accuracy": 0.1, "loss": None}
    late = [look for look in result["looks"] if look["iteration"] >= at]
    assert [look["iteration"] for look in result["looks"]] == [1, 2, 4, 8, 12, 16, 20, 24, 28, 32, 36, 40]
    assert {(look["accuracy"], look["loss"], look["examples"], look["seconds"]) for look in late} == {
        (0.1, None, 0, None)
    }
    assert result["train_loss"] is None
    assert len(read_replay(tmp_path / "runs" / "ln")) == at - 1
    control = perform(spec(rate="per-step", base=1e30), tmp_path / "runs" / "control", twin=tmp_path / "runs" / "ln")
    assert control["diverged_at"] is not None


# ---- stopped and gone on with


def test_an_interrupt_leaves_a_checkpoint_from_which_the_same_bits_follow(arms, tmp_path):
    def stop(done):
        if done == 17:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        perform(spec(rate="ln"), tmp_path, on_iteration=stop)
    assert [path.name for path in tmp_path.iterdir()] == [CHECKPOINT]
    seen = []
    result = perform(spec(rate="ln"), tmp_path, on_iteration=seen.append)
    assert seen == list(range(18, 41))
    assert timeless(result) == timeless(arms["sgd", "ln"][1])
    assert np.array_equal(read_replay(tmp_path), read_replay(arms["sgd", "ln"][0]))


def test_a_run_that_goes_on_under_a_later_commit_names_both(tmp_path, monkeypatch):
    def stop(done):
        raise KeyboardInterrupt

    for name in ("aaaa", "bbbb", "bbbb", "aaaa"):
        monkeypatch.setattr(running, "commit", lambda name=name: name)
        with pytest.raises(KeyboardInterrupt):
            perform(spec(), tmp_path, on_iteration=stop)
    monkeypatch.setattr(running, "commit", lambda: None)
    assert perform(spec(), tmp_path)["versions"]["commit"] == "aaaa, then bbbb, then aaaa, then unknown"


def test_what_an_older_minidl_began_without_naming_its_commit_is_told(tmp_path, monkeypatch):
    monkeypatch.setattr(running, "commit", lambda: "aaaa")

    def stop(done):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        perform(spec(), tmp_path, on_iteration=stop)
    arrays, meta = load_arrays(tmp_path / CHECKPOINT, kind=running.KIND, format=running.CHECKPOINT_FORMAT)
    del meta["commits"]
    save_arrays(tmp_path / CHECKPOINT, arrays, kind=running.KIND, format=running.CHECKPOINT_FORMAT, meta=meta)
    assert perform(spec(), tmp_path)["versions"]["commit"] == "unknown, then aaaa"


ARMS = (("nesterov", "per-step"), ("adagrad-layer", "ln"), ("adagrad", "constant"))


@pytest.mark.parametrize(("method", "rate"), ARMS)
def test_an_error_in_many_steps_loses_no_bit(arms, tmp_path, monkeypatch, method, rate):
    """A checkpoint after each step, and errors: in the last step of an epoch (33) and after it, and at the end."""
    monkeypatch.setattr(running, "CHECKPOINT_SECONDS", 0.0)
    monkeypatch.setattr(running, "CHECKPOINT_SHARE", 1e9)
    twin = arms[method, "ln"][0] if rate in REPLAYED else None
    failing = [2, 7, 33, 34, 35, 40]

    def fail(done):
        if failing and done == failing[0]:
            failing.pop(0)
            raise OSError("the disk is gone")

    while failing:
        with pytest.raises(OSError, match="the disk is gone"):
            perform(spec(method=method, rate=rate), tmp_path, twin=twin, on_iteration=fail)
    result = perform(spec(method=method, rate=rate), tmp_path, twin=twin)
    assert timeless(result) == timeless(arms[method, rate][1])


KILLED = """
import sys
from minidl import backend, nn
from minidl.experiments.reproduce import running
running.CHECKPOINT_SECONDS, running.CHECKPOINT_SHARE = 0.0, 1e9
print("ready", flush=True)
running.perform({spec!r}, {folder!r})
"""


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="of a system that can kill a process")
def test_a_run_that_is_killed_at_any_moment_ends_with_the_same_bits(tmp_path):
    wanted = spec(rate="ln", iterations=300)
    with backend.using("numpy"):  # as the processes that are killed
        undisturbed = perform(wanted, tmp_path / "undisturbed")
    folder, draw = tmp_path / "killed", random.Random(0)
    program = KILLED.format(spec=wanted, folder=str(folder))
    kills = 0
    while not (folder / RESULT).exists():
        with subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, env=os.environ) as process:
            process.stdout.readline()
            if kills < 3:
                begun = time.monotonic()
                while not (folder / CHECKPOINT).exists() and process.poll() is None and time.monotonic() - begun < 20:
                    time.sleep(0.01)
                time.sleep(draw.random() * 0.3)
                process.kill()
                kills += 1
    assert kills >= 1
    assert timeless(read_result(folder)) == timeless(undisturbed)
    assert np.array_equal(read_replay(folder), read_replay(tmp_path / "undisturbed"))
    assert sorted(path.name for path in folder.iterdir()) == ["replay.npz", "result.json"]  # nothing half written


def _with_checkpoint(folder, **changes):
    def stop(done):
        if done == 5:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        perform(spec(**changes), folder, on_iteration=stop)


def test_a_damaged_checkpoint_is_named_and_the_run_done_again(arms, tmp_path):
    _with_checkpoint(tmp_path)
    content = bytearray((tmp_path / CHECKPOINT).read_bytes())
    content[len(content) // 2] ^= 1
    (tmp_path / CHECKPOINT).write_bytes(content)
    with pytest.warns(UserWarning, match=r"checkpoint\.npz is damaged.* done again from its first step"):
        result = perform(spec(), tmp_path)
    assert result["checks"].pop("restarted") == "its checkpoint could not be read"
    untouched = timeless(arms["sgd", "uniform"][1])
    del untouched["checks"]["restarted"]
    assert timeless(result) == untouched


def test_the_checkpoint_of_another_run_is_refused(tmp_path):
    _with_checkpoint(tmp_path)
    with pytest.raises(ValueError, match=r"checkpoint\.npz is of another run: its spec differ"):
        perform(spec(rate="ln"), tmp_path)
    with pytest.raises(ValueError, match=r"its base_rate differ"):
        perform(spec(), tmp_path, base_rate=0.5)


def test_dropout_masks_and_random_crops_go_on_where_they_were(tmp_path, monkeypatch):
    """The full-size pipeline on a small network: images out of files, threads that make batches, crops, dropout."""
    rng = np.random.default_rng(0)
    for name in ("train/n01", "train/n02", "val/n01", "val/n02"):
        (tmp_path / "imagenet" / name).mkdir(parents=True)
        for i in range(5):
            pixels = rng.integers(0, 256, (256, 256, 3)).astype(np.uint8)
            Image.fromarray(pixels).save(tmp_path / "imagenet" / name / f"{i}.jpg")

    def network():
        layers = [nn.Conv2d(3, 4, 11, stride=16), nn.ReLU(), nn.Flatten(), nn.Dropout(0.5), nn.Linear(4 * 14 * 14, 2)]
        return nn.Sequential(*layers)

    small = replace(recipe_named("imagenet"), network=network, batch=3)
    monkeypatch.setitem(RECIPES, "imagenet", small)
    wanted = spec(recipe="imagenet", rate="ln", iterations=8)
    undisturbed = perform(wanted, tmp_path / "one" / "runs" / "a", tmp_path)

    def stop(done):
        if done in (3, 6) and done not in stopped:
            stopped.append(done)
            raise KeyboardInterrupt

    stopped = []
    for _ in range(2):
        with pytest.raises(KeyboardInterrupt):
            perform(wanted, tmp_path / "two" / "runs" / "a", tmp_path, on_iteration=stop)
    result = perform(wanted, tmp_path / "two" / "runs" / "a", tmp_path)
    assert timeless(result) == timeless(undisturbed)
    assert result["data"] == {**result["data"], "name": "ImageNet", "train": 8, "validation": 2, "test": 10}
