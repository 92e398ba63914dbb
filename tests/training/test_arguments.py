"""minidl/training/arguments.py: what does not fit is refused before the first step."""

import os
import sys

import numpy as np
import pytest

from minidl import nn, optim
from minidl.data import Dataset, Loader, Mapped
from minidl.training import fit
from tests.training.runs import DATA, At, Run

# ---- arguments


@pytest.mark.parametrize(
    ("options", "error", "words"),
    [
        ({"loss": nn.MSELoss}, TypeError, r"fit: expected a loss, .*; got a class: make one, MSELoss"),
        ({"loss": DATA}, TypeError, r"fit: expected a loss, loss\(outputs, labels\), such as .*; got Dataset"),
        ({"schedule": optim.CosineLR}, TypeError, "fit: expected a Schedule, such as .*; got (type|ABCMeta)"),
        ({"schedule": Run().schedule}, ValueError, "the schedule writes the rate of another optimizer"),
        ({"epochs": 0}, ValueError, "fit: epochs: expected a whole number of at least 1; got 0"),
        ({"epochs": 2.0}, ValueError, "epochs: expected a whole number"),
        ({"steps": 0}, ValueError, "fit: steps: expected a whole number of at least 1; got 0"),
        ({"epochs": None}, ValueError, "say how long to train: epochs=, steps= or both"),
        ({"validation": DATA.inputs}, TypeError, r"as validation; got ndarray .*: wrap it, Dataset"),
        ({"loss": 5}, TypeError, "fit: expected a loss, .*; got 5: numbers are given by name, epochs=5"),
        ({"validation": (1, 2)}, TypeError, "expected a Dataset as validation; got tuple"),
        ({"checkpoint": "a.npz", "checkpoint_every": True}, ValueError, "a whole number of at least 1"),
        ({"checkpoint_every": 5}, ValueError, "needs a path, checkpoint="),
        ({"checkpoint": "a.npz", "checkpoint_every": 0}, ValueError, "a whole number of at least 1"),
        (
            {"callbacks": At(1, print)},
            TypeError,
            r"a list of callbacks; got At: put it in a list, \[callback\]",
        ),
        ({"callbacks": [print]}, TypeError, r"objects with on_step\(state\) or on_epoch\(state\)"),
        ({"callbacks": [At]}, TypeError, r"objects with on_step\(state\) or on_epoch\(state\)"),
        (
            {"validation": Dataset(np.zeros((0, 6)), np.zeros(0))},
            ValueError,
            "the validation data set is empty; leave it out",
        ),
    ],
)
def test_arguments_that_do_not_fit_are_refused_before_the_first_step(options, error, words):
    run = Run()
    before = run.state()
    with pytest.raises(error, match=words):
        run.fit(**options)
    np.testing.assert_equal(run.state(), before)


@pytest.mark.parametrize(
    ("path", "error", "words"),
    [
        ("file/c.npz", OSError, "file.c.npz"),
        ("folder", OSError, "folder"),
        ("c" * 300, OSError, "ccc"),
        ("", ValueError, "expected the path of a file or folder"),
        (b"c.npz", TypeError, "expected a path, a str or a pathlib.Path; got b'c.npz'"),
        (3, TypeError, "expected a path, a str or a pathlib.Path; got 3"),
    ],
)
def test_a_checkpoint_that_cannot_be_written_is_refused_before_the_first_step(
    tmp_path, monkeypatch, path, error, words
):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "file").write_text("old")
    (tmp_path / "folder").mkdir()
    run = Run()
    before = run.state()
    with pytest.raises(error, match=words) as caught:
        run.fit(checkpoint=path)
    assert "fit writes its checkpoint there; nothing was trained yet" in caught.value.__notes__
    np.testing.assert_equal(run.state(), before)
    assert sorted(entry.name for entry in tmp_path.iterdir()) == ["file", "folder"]


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such files")
def test_a_pipe_is_no_checkpoint(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(FileExistsError, match="This is a pipe"):
        Run().fit(checkpoint=tmp_path / "pipe")
    assert (tmp_path / "pipe").is_fifo()


def test_a_data_set_in_place_of_a_loader_is_refused():
    run = Run()
    with pytest.raises(TypeError, match=r"expected a Loader; got Dataset: Loader\(dataset, batch_size=32\) makes one"):
        fit(run.model, run.optimizer, DATA, epochs=1)


def test_an_optimizer_of_another_model_is_refused():
    run = Run()
    with pytest.raises(ValueError, match="updates none of this model's parameters"):
        fit(run.model, Run().optimizer, run.loader, epochs=1)


def test_arguments_in_another_order_are_refused_with_the_right_one():
    run = Run()
    order = r"the order is fit\(model, optimizer, loader, loss, epochs=\.\.\.\)"
    with pytest.raises(TypeError, match=f"fit: expected a model, a Module; got SGD: {order}"):
        fit(run.optimizer, run.model, run.loader, epochs=1)
    with pytest.raises(TypeError, match=f"fit: expected an Optimizer; got Loader: {order}"):
        fit(run.model, run.loader, run.optimizer, epochs=1)
    with pytest.raises(TypeError, match=r"got the class SGD: SGD\(model\)"):
        fit(run.model, optim.SGD, run.loader, epochs=1)
    with pytest.raises(TypeError, match=r"got the class Linear: make one"):
        fit(nn.Linear, run.optimizer, run.loader, epochs=1)


def test_validation_data_of_other_classes_are_refused():
    def named(*classes):
        return Dataset(DATA.inputs, DATA.labels, classes=classes)

    run = Run()
    run.loader = Loader(named("cat", "dog", "owl"), 4)
    before = run.state()
    for other, words in [
        (named("cat", "owl", "dog"), r"label 1 is 'owl' there and 'dog' here, of 3 and 3 classes"),
        (Mapped(named("cat", "dog"), lambda x, rng: x), r"label 2 is None there and 'owl' here, of 2 and 3 classes"),
    ]:
        with pytest.raises(ValueError, match=words):
            run.fit(validation=other)
    np.testing.assert_equal(run.state(), before)
    for fitting in (named("cat", "dog", "owl"), DATA):
        run.fit(epochs=1, validation=fitting)
