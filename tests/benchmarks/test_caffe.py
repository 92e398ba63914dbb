"""minidl has the losses that real Caffe had, step by step from the same weights on the same batches.

Caffe's are stored (`python -m benchmarks.caffe --store`); where CAFFE_PYTHON leads to a Caffe, they are made again.
"""

import os
import sys

import numpy as np
import pytest

import minidl as md
from benchmarks import caffe

CLOSE = 3e-6  # the last bits, on whatever processor; Adam without the recipe is .01 away


@pytest.fixture(scope="module")
def stored():
    with np.load(caffe.STORED / "stored.npz") as file:
        return dict(file)


@pytest.mark.parametrize("name", caffe.CASES)
def test_the_losses_are_caffes(stored, name):
    with md.using("numpy"):
        losses, _ = caffe.in_minidl(caffe.CASES[name])
    assert len(losses) == caffe.CASES[name].steps
    assert caffe.apart(losses, stored[name]) < CLOSE


def test_adam_without_the_recipe_for_eps_is_not_caffes(stored):
    """Caffe adds eps before the second moment is corrected: at step 1 it counts 1/sqrt(1 - 0.999) = 31.6 times."""
    case = caffe.CASES["lenet, Adam"]
    with md.using("numpy"):
        losses, _ = caffe.in_minidl(case, recipe=False)
    assert caffe.apart(losses, stored["lenet, Adam"]) > 1e-3


@pytest.mark.skipif(not os.environ.get("CAFFE_PYTHON"), reason="CAFFE_PYTHON leads to no Caffe")
def test_caffe_has_them_still(stored, tmp_path):
    result = caffe.in_caffe(caffe.CASES["tiny"], os.environ["CAFFE_PYTHON"], tmp_path)
    np.testing.assert_allclose(result["losses"], stored["tiny"], atol=CLOSE)


def test_without_caffe_the_command_says_how_to_get_one(monkeypatch, capsys):
    monkeypatch.delenv("CAFFE_PYTHON", raising=False)
    with pytest.raises(SystemExit):
        caffe.main([])
    assert "set CAFFE_PYTHON to a Python that has Caffe" in capsys.readouterr().err


def test_a_python_without_caffe_is_named(tmp_path):
    with pytest.raises(SystemExit, match=r"Caffe failed:\n(.|\n)*No module named 'caffe'"):
        caffe.in_caffe(caffe.CASES["tiny"], sys.executable, tmp_path)
