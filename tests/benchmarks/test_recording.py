"""minidl and PyTorch are recorded alike: what makes the cost of recording comparable."""

import numpy as np
import pytest

import minidl as md
from benchmarks import recording
from benchmarks.peers import steps_of
from benchmarks.workloads import WORKLOADS


def seen(library, workload):
    """What the recorder of a library saw in two steps, in this process."""
    peer = steps_of(library)
    with md.using("numpy"):
        model, optimizer, step = peer.training(peer.MODELS[workload], WORKLOADS[workload])
        flow = recording.MinidlFlow if library == "minidl" else recording.TorchFlow
        with flow(model, optimizer) as recorder:
            step()
            step()
        return recorder.table()


@pytest.mark.parametrize("workload", recording.AIMS)
def test_pytorchs_hooks_take_the_numbers_that_the_recorder_takes(workload):
    pytest.importorskip("torch")
    np.testing.assert_allclose(seen("torch", workload), seen("minidl", workload), rtol=2e-3, atol=1e-12)


def test_a_ratio_comes_from_turns_of_recorded_and_bare_steps():
    peer = steps_of("minidl")
    with md.using("numpy"):
        model, optimizer, step = peer.training(peer.MODELS["W1"], WORKLOADS["W1"])
        found = recording.ratios(step, recording.MinidlFlow(model, optimizer), 2)
    assert len(found) == 2
    assert all(ratio > 0 for ratio in found)


def test_unknown_workloads_are_refused(capsys):
    with pytest.raises(SystemExit):
        recording.main(["--only", "W9"])
    assert "unknown: W9; there are W1, W2, W3" in capsys.readouterr().err
