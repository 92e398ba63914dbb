"""What a timed Caffe is given: the network, the weights and the batch of the workload."""

import os

import numpy as np
import pytest

import minidl as md
from benchmarks.peers import Peer, reason, steps_of
from benchmarks.prototxt import MODELS, blob_of, write_workload
from benchmarks.race import check
from benchmarks.serving import results
from benchmarks.turns import Contestant
from benchmarks.workloads import WORKLOADS


@pytest.mark.parametrize("name", MODELS)
def test_the_files_have_every_weight_and_plain_sgd(name, tmp_path):
    assert reason("caffe", name) is None
    workload = WORKLOADS[name]
    write_workload(workload, tmp_path)
    given = workload.arrays()
    with np.load(tmp_path / "arrays.npz") as arrays:
        np.testing.assert_array_equal(arrays["images"], given.inputs)
        np.testing.assert_array_equal(arrays["conv1.0"], given.weights[0])
        np.testing.assert_array_equal(arrays["ip2.1"], given.weights[-1])
        assert len(arrays.files) == 2 + len(given.weights)
    text = (tmp_path / "net.prototxt").read_text(encoding="utf-8")
    assert text.count("lr_mult: 1 ") == len(given.weights)  # biases learn as fast as weights
    solver = (tmp_path / "solver.prototxt").read_text(encoding="utf-8")
    assert f"base_lr: {workload.rate}\n" in solver
    assert "momentum: 0\n" in solver


def test_parameters_have_caffes_names():
    assert [blob_of(name) for name in ("conv1.weight", "fc1.bias")] == ["conv1.0", "ip1.1"]


@pytest.mark.skipif(not os.environ.get("CAFFE_PYTHON"), reason="CAFFE_PYTHON leads to no Caffe")
@pytest.mark.parametrize("name", MODELS)
def test_caffe_has_the_losses_of_minidl(name):
    with md.using("numpy"), Contestant(Peer("caffe", 1), name) as contestant:
        ours = results(steps_of("minidl").STEPS[name](WORKLOADS[name]), 3)
        check(name, {Peer("minidl", 1): ours, Peer("caffe", 1): contestant.results(3)})
        assert contestant.turn(1, "cpu") > 0
