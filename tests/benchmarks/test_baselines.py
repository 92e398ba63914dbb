"""benchmarks/baselines.py: the recipe in PyTorch is that in minidl: rates, multipliers, steps; and what is kept."""

from __future__ import annotations

import json
from copy import copy

import numpy as np
import pytest

import minidl as md
from benchmarks import baselines
from minidl.data import Dataset
from minidl.experiments.reproduce import sets
from minidl.experiments.reproduce.recipes import RECIPES
from tests.pytorch import torch


@pytest.fixture(autouse=True)
def on_the_cpu():
    with md.using("numpy"):
        yield


@pytest.mark.parametrize("name", baselines.NAMES)
@pytest.mark.parametrize("iterations", [70, 5_000])
def test_the_rates_are_those_of_minidls_schedule(name, iterations):
    recipe = RECIPES[name]
    optimizer = md.optim.SGD(recipe.network(), lr=1.0)
    schedule = recipe.scheduled(optimizer, iterations)
    stretch = iterations / recipe.iterations["paper"]
    for k in range(iterations):
        assert baselines.factor(recipe, k, stretch) == pytest.approx(optimizer.lr, rel=1e-12)
        schedule.step()


@pytest.mark.parametrize("name", baselines.NAMES)
def test_the_steps_are_minidls(name):
    torch.zeros(0)
    recipe = copy(RECIPES[name])
    md.seed(1)
    model = recipe.network()
    for p in model.parameters():  # Caffe's start so small that little would be compared
        p.data = p.data * 3 if p.ndim > 1 else p.data + 0.1
    side = (1, 28, 28) if name == "mnist" else (3, 32, 32)
    images = np.random.default_rng(0).random((3, 4, *side)).astype(np.float32)
    labels = np.array([[0, 3, 9, 1]] * 3)
    test = Dataset(images[0], labels[0], classes=tuple("0123456789"))
    theirs, see_theirs = baselines.in_torch(recipe, 100, model, test)  # a copy of the weights, before they change
    ours, see_ours = baselines.in_minidl(recipe, 100, model, test)
    for batch, wanted in zip(images, labels, strict=True):
        assert ours(batch, wanted) == pytest.approx(theirs(batch, wanted), rel=1e-5)
    assert see_ours() == pytest.approx(see_theirs(), rel=1e-5)


def test_no_training_image_is_held_out():
    everything = Dataset(np.arange(24, dtype=np.uint8).reshape(6, 4), np.array([0, 1, 0, 1, 0, 1]), classes=("a", "b"))
    train, validation = sets.without_last(everything, 1)
    given = sets.Sets("six", train, validation, everything, transform=md.data.transforms.ToFloat(1 / 4))
    joined, test = baselines.joined(given)
    inputs, labels = joined.take(np.arange(len(joined)))
    assert len(joined) == 6
    assert sorted(inputs[:, 0]) == [0, 1, 2, 3, 4, 5]
    np.testing.assert_array_equal(test.take(np.arange(6))[0], np.arange(24).reshape(6, 4) / 4)
    np.testing.assert_array_equal(labels, inputs[:, 0].astype(int) % 2)


def test_the_table_has_a_row_for_each_library_and_says_how_far_the_losses_part(tmp_path, capsys):
    look = {"iteration": 20, "accuracy": 0.5, "loss": 1.0, "cpu_seconds": 2.0}
    for library, loss in (("minidl", 2.0), ("torch", 2.25)):
        found = {"name": "mnist", "library": library, "seed": 0, "iterations": 20, "looks": [look]}
        path = baselines.place(tmp_path, "mnist", 20, library, 0)
        path.write_text(json.dumps({**found, "first_losses": [2.0] * 9 + [loss]}))
    baselines.main(["--table", "--out", str(tmp_path)])
    printed = capsys.readouterr().out
    assert "| mnist | 0 | minidl | 20: 50.00% | - | 100 ms |" in printed
    assert "| mnist | 0 | torch | 20: 50.00% | 2.5e-01 | 100 ms |" in printed


def test_a_run_looks_at_all_test_images_and_is_done_once(tmp_path, monkeypatch, capsys):
    """The command, with LeNet on images drawn at random in place of MNIST."""
    torch.zeros(0)
    rng = np.random.default_rng(0)

    def drawn(count):
        return Dataset(rng.integers(0, 256, (count, 1, 28, 28)).astype(np.uint8), rng.integers(0, 10, count),
                       classes=tuple("0123456789"))  # fmt: skip

    made = sets.Sets("drawn", drawn(70), drawn(10), drawn(20), transform=md.data.transforms.ToFloat(1 / 256))
    monkeypatch.setattr(baselines, "read", lambda data, folder, cache: made)
    before, words = md.get_num_threads(), ["mnist", "--iterations", "10", "--out", str(tmp_path)]
    try:
        for library in baselines.LIBRARIES:
            baselines.main([*words, "--library", library])
    finally:
        md.set_num_threads(before)
    ours, theirs = baselines.kept(tmp_path)
    assert [look["iteration"] for look in ours["looks"]] == [1, 2, 4, 6, 8, 10]
    np.testing.assert_allclose(ours["first_losses"], theirs["first_losses"], rtol=1e-4)
    assert ours["looks"][0]["accuracy"] == theirs["looks"][0]["accuracy"]
    assert (ours["library"], theirs["library"]) == ("minidl", "torch")
    monkeypatch.setattr(baselines, "trained", None)
    baselines.main([*words, "--library", "minidl"])  # it is there
    assert "mnist in torch: after step 10 of 10" in capsys.readouterr().err


def test_data_that_are_not_there_are_told_in_a_line(tmp_path, monkeypatch):
    monkeypatch.delenv("MINIDL_DATA", raising=False)
    with pytest.raises(SystemExit, match=r"error: .*found no train-images"):
        baselines.main(["mnist", "--data", str(tmp_path), "--out", str(tmp_path / "out")])
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ([], "name a recipe"),
        (["mnist", "--table"], "--table shows all that is done"),
        (["mnist", "--seed", "-1"], "--seed: expected at least 0; got -1"),
        (["lenet"], "expected mnist, cifar10-quick, cifar10-full; got 'lenet'"),
        (["mnist", "--iterations", "3"], "expected at least 10; got 3"),
    ],
)
def test_what_cannot_be_is_refused(words, message, capsys):
    with pytest.raises(SystemExit):
        baselines.main(words)
    assert message in capsys.readouterr().err
