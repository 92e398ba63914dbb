"""`minidl mnist`: what it writes, that it goes on where it was stopped, and what LeNet reaches on the real images."""

import json
import os

import numpy as np
import pytest

import minidl as md
from minidl import backend
from minidl.cli import main
from minidl.experiments.mnist import train_lenet
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


def test_it_writes_results_weights_and_a_checkpoint(images, tmp_path):
    seen = []
    results = train_lenet(tmp_path, iterations=12, every=5, root=images, on_look=seen.append)
    assert [look["iteration"] for look in seen] == [5, 10, 12]
    assert results["looks"] == seen
    assert json.loads((tmp_path / "results.json").read_text()) == results
    model = md.models.lenet()
    model.load_state_dict(md.load(tmp_path / "lenet.npz"))
    test = md.data.mnist(root=images).test
    test = md.data.Dataset(test.inputs * np.float32(255 / 256), test.labels)
    assert md.evaluate(model, test).accuracy == seen[-1]["accuracy"]


def test_a_run_that_goes_on_equals_one_that_was_never_stopped(images, tmp_path):
    whole = train_lenet(tmp_path / "whole", iterations=13, every=4, root=images)
    train_lenet(tmp_path / "parts", iterations=6, every=4, root=images)
    parts = train_lenet(tmp_path / "parts", iterations=13, every=4, root=images)
    for name, weights in md.load(tmp_path / "whole" / "lenet.npz").items():
        np.testing.assert_array_equal(md.load(tmp_path / "parts" / "lenet.npz")[name], weights)
    assert [look for look in parts["looks"] if look["iteration"] != 6] == whole["looks"]
    again = train_lenet(tmp_path / "parts", iterations=13, every=4, root=images)  # nothing is left to do
    assert again == parts


def test_another_seed_wants_another_folder(images, tmp_path):
    train_lenet(tmp_path, iterations=1, root=images)
    with pytest.raises(ValueError, match="holds a run with seed 0; got seed 1: name another folder"):
        train_lenet(tmp_path, iterations=2, seed=1, root=images)


def test_the_command_prints_the_accuracy(images, tmp_path, capsys):
    arguments = ["mnist", "--iterations", "4", "--every", "2", "--data", str(images), "--out", str(tmp_path / "run")]
    assert main([*arguments, "--backend", backend.current()]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("     2 iterations   test accuracy")
    assert lines[-1].startswith("Test accuracy")
    assert str(tmp_path / "run") in lines[-1]


def test_without_mnist_it_says_how_to_get_it(tmp_path, capsys):
    assert main(["mnist", "--data", str(tmp_path), "--out", str(tmp_path / "run")]) == 2
    assert "--download" in capsys.readouterr().err


def test_numbers_out_of_range(images, tmp_path, capsys):
    assert main(["mnist", "--iterations", "0", "--data", str(images), "--out", str(tmp_path)]) == 2
    assert "iterations" in capsys.readouterr().err


@pytest.mark.big_data
@pytest.mark.slow
@pytest.mark.skipif("MINIDL_DATA" not in os.environ, reason="MINIDL_DATA is not set")
def test_lenet_recognises_96_percent_of_mnist_after_500_iterations(tmp_path, pytestconfig):
    if pytestconfig.getoption("--backend") == "standin":
        pytest.skip("on the stand-in it would take minutes; the same code runs on NumPy and on CuPy")
    results = train_lenet(tmp_path, iterations=500)
    assert results["looks"][-1]["accuracy"] >= 0.96
