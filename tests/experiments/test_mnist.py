"""`minidl mnist`: what it writes, that it goes on where it was stopped, and what LeNet reaches on the real images."""

import json
import os
import pathlib
import signal
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest

import minidl as md
from minidl import backend, cli
from minidl.cli import main
from minidl.experiments import mnist
from minidl.experiments.mnist import _Record, train_lenet
from minidl.observe import FlowRecording
from minidl.training import load_checkpoint
from tests.data.test_idx import idx

NAMES = ("train-images-idx3-ubyte", "train-labels-idx1-ubyte", "t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte")


@pytest.fixture(scope="module")
def images(tmp_path_factory):
    """A folder with 700 and 60 images in MNIST's format; a bright bar stands where the label says."""
    folder, rng = tmp_path_factory.mktemp("bars"), np.random.default_rng(0)
    for pair, count in ((NAMES[:2], 700), (NAMES[2:], 60)):
        labels = rng.integers(0, 10, count).astype(np.uint8)
        pixels = rng.integers(0, 40, (count, 28, 28)).astype(np.uint8)
        for image, label in zip(pixels, labels, strict=True):
            image[2 * label + 3 : 2 * label + 6] = 250
        for name, content in zip(pair, (pixels, labels), strict=True):
            (folder / name).write_bytes(idx(content))
    return folder


@pytest.fixture
def no_figures(monkeypatch):
    """Of the tests of steps, looks and files: what is drawn at the end of a run takes most of its time."""
    monkeypatch.setattr(mnist, "_draw", lambda folder, history, flow, seed: None)


def train(root, folder, **options):
    return train_lenet(md.data.mnist(root=root), folder, **options)


def test_it_writes_results_weights_and_a_checkpoint(images, tmp_path):
    seen = []
    results = train(images, tmp_path, iterations=12, every=5, on_look=seen.append)
    assert [look["iteration"] for look in seen] == [5, 10, 12]
    assert results["looks"] == seen
    assert json.loads((tmp_path / "results.json").read_text()) == results
    model = md.models.lenet()
    model.load_state_dict(md.load(tmp_path / "lenet.npz"))
    test = md.data.mnist(root=images).test
    test = md.data.Dataset(test.inputs * np.float32(255 / 256), test.labels)
    assert md.evaluate(model, test).accuracy == seen[-1]["accuracy"]


def test_a_run_that_goes_on_equals_one_that_was_never_stopped(images, tmp_path, no_figures):
    whole = train(images, tmp_path / "whole", iterations=13, every=4)
    train(images, tmp_path / "parts", iterations=6, every=4)
    parts = train(images, tmp_path / "parts", iterations=13, every=4)
    for name, weights in md.load(tmp_path / "whole" / "lenet.npz").items():
        np.testing.assert_array_equal(md.load(tmp_path / "parts" / "lenet.npz")[name], weights)
    assert [look for look in parts["looks"] if look["iteration"] != 6] == whole["looks"]
    (tmp_path / "parts" / "lenet.npz").unlink()
    (tmp_path / "parts" / "results.json").unlink()
    again = train(images, tmp_path / "parts", iterations=13, every=4)  # nothing is left to do
    assert again["looks"] == parts["looks"][-1:]
    assert (tmp_path / "parts" / "lenet.npz").exists()


def test_the_figures_show_the_whole_run_also_when_it_was_stopped(images, tmp_path, monkeypatch):
    monkeypatch.setattr(mnist, "RECORDED", 2)
    train(images, tmp_path, iterations=3)
    train(images, tmp_path, iterations=6)
    flow = FlowRecording.load(tmp_path / "flow.npz")
    assert flow.steps.tolist() == [0, 2, 3, 5]  # the first of each part, every second, and the last
    assert np.isfinite(flow.update_norm).all()
    for name in ("loss_curves", "update_heatmap", "flow_profile"):
        assert {path.suffix for path in tmp_path.glob(f"{name}.*")} == {".png", ".svg", ".json"}
    assert len(md.training.History.load(tmp_path / "history.json").step_loss) == 6


def test_another_seed_wants_another_folder(images, tmp_path, no_figures):
    train(images, tmp_path, iterations=1)
    with pytest.raises(ValueError, match="is of a run with seed 0, not 1: name another folder"):
        train(images, tmp_path, iterations=2, seed=1)
    (tmp_path / "results.json").unlink()
    with pytest.raises(ValueError, match=r"checkpoint\.npz is not of a run with seed 1"):
        train(images, tmp_path, iterations=2, seed=1)
    assert train(images, tmp_path, iterations=2)["iterations"] == 2


@pytest.mark.parametrize(
    "content",
    [
        "",
        "[]",
        "{}",
        '{"seed": 0}',
        '{"seed": 0, "iterations": 3, "looks": 5}',
        '{"seed": 0, "iterations": 3, "looks": [{}]}',
        '{"seed": 0, "iterations": 3, "looks": [{"iteration": "5", "accuracy": 1, "loss": 1}]}',
        '{"seed": 0, "iterations": 3, "looks": [{"iteration": 5, "accuracy": [1], "loss": 1}]}',
        '{"seed": "0", "iterations": 3, "looks": []}',
        '{"seed": 0, "iterations": 3, "looks": [], "looks": []}',
    ],
)
def test_damaged_results_are_named(images, tmp_path, content):
    (tmp_path / "results.json").write_text(content)
    with pytest.raises(ValueError, match=r"results\.json is damaged.*Delete it, the run goes on without it"):
        train(images, tmp_path, iterations=1)


def test_a_folder_that_cannot_be_written_to_is_found_out_before_the_training(images, tmp_path):
    (tmp_path / "run").write_text("a file")
    seen = []
    with pytest.raises(OSError, match="run"):
        train(images, tmp_path / "run", iterations=2, every=1, on_look=seen.append)
    assert seen == []


def test_a_look_that_fails_loses_no_step_and_is_made_up_for(images, tmp_path, no_figures):
    def fails(look):
        (tmp_path / "results.json").unlink()
        raise RuntimeError("nobody looks")

    whole = train(images, tmp_path / "whole", iterations=3, every=2)
    for step in (2, 3):
        with pytest.raises(RuntimeError, match="nobody looks"):
            train(images, tmp_path, iterations=3, every=2, on_look=fails)
        assert len(load_checkpoint(tmp_path / "checkpoint.npz").history.step_loss) == step
        if step == 2:
            (tmp_path / "results.json").write_text(
                json.dumps({"seed": 0, "iterations": 2, "looks": whole["looks"][:1]})
            )
    assert train(images, tmp_path, iterations=3, every=2)["looks"] == whole["looks"][1:]


def test_a_weights_file_that_cannot_be_written_is_found_out_before_the_training(images, tmp_path):
    (tmp_path / "lenet.npz").mkdir()
    with pytest.raises(IsADirectoryError, match=r"lenet\.npz"):
        train(images, tmp_path, iterations=2)
    assert not (tmp_path / "checkpoint.npz").exists()


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has other pipes")
@pytest.mark.parametrize("closed", ["stdout", "never open"])
def test_who_stops_reading_what_is_printed_does_not_stop_the_training(images, tmp_path, closed):
    words = ["mnist", "--iterations", "2", "--every", "1", "--data", str(images), "--out", str(tmp_path)]
    command = [sys.executable, "-m", "minidl", *words]
    if closed == "never open":
        command = ["sh", "-c", 'exec "$@" >&- 2>&-', "sh", *command]
    reading, writing = os.pipe()
    os.close(reading)
    environment = {**os.environ, "PYTHONPATH": str(pathlib.Path(md.__file__).parents[1])}
    found = subprocess.run(command, env=environment, stdout=writing, stderr=subprocess.PIPE, text=True, check=False)
    os.close(writing)
    assert (found.returncode, found.stderr) == (0, "")
    assert len(load_checkpoint(tmp_path / "checkpoint.npz").history.step_loss) == 2
    assert len(json.loads((tmp_path / "results.json").read_text())["looks"]) == 2
    assert (tmp_path / "lenet.npz").exists()


@pytest.mark.parametrize("step", [1, 3])
def test_ctrl_c_says_how_to_go_on_and_the_same_command_does(images, tmp_path, capsys, monkeypatch, no_figures, step):
    out = tmp_path / "run"
    command = ["mnist", "--iterations", "4", "--every", "1", "--data", str(images), "--out", str(out)]
    shown = []

    def press(look):
        shown.append(look)
        if look["iteration"] == step:
            signal.raise_signal(signal.SIGINT)

    with monkeypatch.context() as patched:
        patched.setattr(cli, "_show_look", press)
        assert main(command) == 130
    assert f"--out {out}" in capsys.readouterr().err
    assert len(shown) == step
    assert main(command) == 0
    assert "after 4 iterations" in capsys.readouterr().out


def test_ctrl_c_in_the_last_step_interrupts_nothing(images, tmp_path, monkeypatch, no_figures):
    monkeypatch.setattr(cli, "_show_look", lambda look: signal.raise_signal(signal.SIGINT))
    assert main(["mnist", "--iterations", "2", "--data", str(images), "--out", str(tmp_path / "run")]) == 0


def test_ctrl_c_while_the_images_are_read(tmp_path, monkeypatch, capsys):
    def interrupted(**options):
        raise KeyboardInterrupt

    monkeypatch.setattr(cli, "mnist", interrupted)
    assert main(["mnist", "--out", str(tmp_path / "run")]) == 130
    assert "To go on: minidl mnist" in capsys.readouterr().err


def test_the_command_prints_the_accuracy(images, tmp_path, capsys):
    arguments = ["mnist", "--iterations", "4", "--every", "2", "--data", str(images), "--out", str(tmp_path / "run")]
    assert main([*arguments, "--backend", backend.current()]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("     2 iterations   test accuracy")
    assert lines[-2].startswith("Test accuracy")
    assert str(tmp_path / "run") in lines[-1]


def test_without_mnist_it_says_how_to_get_it(tmp_path, capsys):
    assert main(["mnist", "--data", str(tmp_path), "--out", str(tmp_path / "run")]) == 2
    assert f"Here: minidl mnist --iterations 1500 --every 500 --seed 0 --out {tmp_path / 'run'}" in (
        error := capsys.readouterr().err
    )
    assert f"--data {tmp_path} --download" in error


def test_numbers_out_of_range(images, tmp_path, capsys):
    assert main(["mnist", "--iterations", "0", "--data", str(images), "--out", str(tmp_path)]) == 2
    assert "iterations" in capsys.readouterr().err


@pytest.mark.big_data
@pytest.mark.slow
@pytest.mark.skipif("MINIDL_DATA" not in os.environ, reason="MINIDL_DATA is not set")
def test_lenet_recognises_96_percent_of_mnist_after_500_iterations(tmp_path, pytestconfig):
    if pytestconfig.getoption("--backend") == "standin":
        pytest.skip("on the stand-in it would take minutes; the same code runs on NumPy and on CuPy")
    results = train_lenet(md.data.mnist(), tmp_path, iterations=500)
    assert results["looks"][-1]["accuracy"] >= 0.96


# ---- what must not cost a step


def program(images, out, *more):
    return [sys.executable, "-m", "minidl", "mnist", "--data", str(images), "--out", str(out), "--every", "2", *more]


def test_a_reader_who_has_seen_enough_ends_the_printing_only(images, tmp_path):
    command = program(images, tmp_path / "run", "--iterations", "4")
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout.readline().startswith("     2 iterations")
        process.stdout.close()
        error = process.stderr.read()
    assert (process.returncode, error) == (0, "")
    assert json.loads((tmp_path / "run" / "results.json").read_text())["iterations"] == 4
    assert len(md.training.load_checkpoint(tmp_path / "run" / "checkpoint.npz").history.step_loss) == 4
    assert (tmp_path / "run" / "lenet.npz").exists()


def test_a_look_that_fails_costs_no_step_and_is_taken_when_the_run_goes_on(images, tmp_path, no_figures):
    def fail(look):
        raise RuntimeError("the caller's own")

    with pytest.raises(RuntimeError, match="the caller's own"):
        train(images, tmp_path, iterations=2, every=1, on_look=fail)
    assert len(md.training.load_checkpoint(tmp_path / "checkpoint.npz").history.step_loss) == 1
    results = json.loads((tmp_path / "results.json").read_text())
    (tmp_path / "results.json").write_text(json.dumps(results | {"looks": []}))  # as if the disk had been full
    seen = []
    again = train(images, tmp_path, iterations=2, every=1, on_look=seen.append)
    whole = train(images, tmp_path / "whole", iterations=2, every=1)
    assert [look["iteration"] for look in seen] == [1, 2]
    assert again == whole


def test_results_of_another_type_are_refused_before_the_training(images, tmp_path):
    looks = [{"iteration": "5", "accuracy": 1, "loss": 1}]
    for wrong in ({"looks": looks}, {"iterations": 1.5}, {"seed": "0"}, {"looks": [{**looks[0], "iteration": True}]}):
        (tmp_path / "results.json").write_text(json.dumps({"seed": 0, "iterations": 0, "looks": [], **wrong}))
        with pytest.raises(ValueError, match=r"results\.json is damaged.*expected.*got.*Delete it"):
            train(images, tmp_path, iterations=1)
    assert not (tmp_path / "checkpoint.npz").exists()
    (tmp_path / "results.json").write_text("[" * 100_000)
    with pytest.raises(ValueError, match=r"results\.json is damaged"):
        train(images, tmp_path, iterations=1)


def test_a_loss_that_is_not_finite_is_null_in_the_results(images, tmp_path):
    record = _Record(tmp_path / "results.json", 0, 1, 1, None, lambda look: None)
    record.results["looks"] = [{"iteration": 1, "accuracy": 0.1, "loss": float("nan")}]
    record.write(1)
    assert json.loads((tmp_path / "results.json").read_text())["looks"][0]["loss"] is None
    assert _Record(tmp_path / "results.json", 0, 1, 1, None, lambda look: None).results["looks"][0]["loss"] is None


@pytest.mark.parametrize("wrong", [{"iterations": 0}, {"every": 0}, {"seed": -1}])
def test_numbers_out_of_range_are_named(images, tmp_path, wrong):
    with pytest.raises(ValueError, match=rf"{next(iter(wrong))}: expected a whole number of at least"):
        train(images, tmp_path, **wrong)


def test_other_images_want_another_folder_also_when_all_is_done(images, tmp_path, no_figures):
    train(images, tmp_path, iterations=2, every=1)
    sets = md.data.mnist(root=images)
    other = sets._replace(test=replace(sets.test, labels=np.roll(sets.test.labels, 1)))
    before = (tmp_path / "results.json").read_bytes()
    for iterations in (2, 3):
        with pytest.raises(ValueError, match=r"results\.json is of a run with other images or labels: name another"):
            train_lenet(other, tmp_path, iterations=iterations, every=1)
    assert (tmp_path / "results.json").read_bytes() == before
    kept = json.loads(before)
    del kept["data"]  # as files were before
    (tmp_path / "results.json").write_text(json.dumps(kept))
    train(images, tmp_path, iterations=3, every=1)
