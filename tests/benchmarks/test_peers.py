"""All peers compute the same: what makes their times comparable."""

import os

import numpy as np
import pytest

import minidl as md
from benchmarks import turns
from benchmarks.peers import LIBRARIES, Peer, able, alike, entrants, installed, reason, steps_of
from benchmarks.race import DisagreementError, check
from benchmarks.serving import results
from benchmarks.turns import Contestant, PeerError
from benchmarks.workloads import WORKLOADS
from minidl.fast.cpu import memory

STEPS = 2


def found(library, workload):
    """The results of a library, in this process."""
    with md.using("numpy"):
        step = steps_of(library).STEPS[workload](WORKLOADS[workload])
        return results(step, min(STEPS, WORKLOADS[workload].steps))


@pytest.mark.parametrize("workload", WORKLOADS)
def test_minidl_pytorch_and_numpy_by_hand_agree(workload):
    pytest.importorskip("torch")
    there = [library for library in ("torch", "numpy", "minidl") if not reason(library, workload)]
    check(workload, {Peer(library, 1): found(library, workload) for library in there})


@pytest.mark.parametrize("library", ["autograd", "mygrad"])
@pytest.mark.parametrize("workload", ["W1", "W2", "W3", "Ca", "LSTM", "GRU", "LN", "GN", "BN", "CE", "Att"])
def test_other_libraries_agree_where_they_are_installed(library, workload):
    pytest.importorskip(library)
    if reason(library, workload):
        pytest.skip(reason(library, workload))
    check(workload, {Peer(name, 1): found(name, workload) for name in ("numpy", library)})


@pytest.mark.parametrize("library", LIBRARIES)
def test_a_workload_is_computed_or_there_is_a_reason(library):
    if not installed(library):
        pytest.skip(f"{library} is not installed")
    computed = steps_of(library).STEPS
    assert set(computed) == {name for name in WORKLOADS if reason(library, name) is None}


def test_the_losses_change_so_much_that_a_missing_update_is_seen():
    for name in ("W1", "W2", "W3", "W4", "LSTM", "GRU", "GPT"):
        (losses,) = found("minidl", name)
        assert abs(losses[1] - losses[0]) > 2e-4 * losses[0], name


@pytest.mark.parametrize("wrong", [1.001, np.nan])
def test_peers_that_disagree_are_refused(wrong):
    right = [np.array([2.3, 2.2]), np.ones((2, 3))]
    off = [right[0], right[1] * np.array([1, 1, wrong])]
    first, second = Peer("torch", 2), Peer("minidl", 1)
    check("W1", {first: right, second: right})
    with pytest.raises(DisagreementError, match=r"W1: minidl, 1 thread and PyTorch, 2 threads do not .* Result 1"):
        check("W1", {first: right, second: off})


def test_the_reference_comes_first_and_three_peers_take_part_with_one_thread_too():
    pytest.importorskip("torch")
    there = entrants(2)
    assert there[0] == Peer("torch", 2)
    assert {peer.library for peer in there if peer.threads == 1} == {"torch", "numpy", "minidl"}
    assert {peer.threads for peer in entrants(1)} == {1}
    assert there[-1] == Peer("minidl", 2, blas_alone=True)
    assert there[-1].title == "minidl, 2 threads of BLAS alone"
    assert "autograd" not in {peer.library for peer in able(there, "Ca")}


def test_a_peer_computes_in_a_process_of_its_own_with_its_number_of_threads():
    peer = Peer("numpy", 1)
    assert peer.environment()["OPENBLAS_NUM_THREADS"] == "1"
    alone = Peer("minidl", 2, blas_alone=True).environment()
    assert (alone["OPENBLAS_NUM_THREADS"], alone["MINIDL_TUNE_PROCESS"]) == ("2", "0")
    with Contestant(peer, "W5") as contestant:
        check("W5", {peer: contestant.results(1), Peer("minidl", 1): found("minidl", "W5")})
        assert contestant.turn(1) > 0
        assert contestant.turn(1, "cpu") > 0


def test_with_freed_memory_kept_all_are_told_alike_unless_the_user_says_else(monkeypatch):
    monkeypatch.delenv("MALLOC_TRIM_THRESHOLD_", raising=False)
    (peer,) = alike([Peer("torch", 1)])
    assert peer.environment()["MALLOC_TRIM_THRESHOLD_"] == str(memory.KEPT)
    assert peer.environment()["MALLOC_MMAP_THRESHOLD_"] == str(memory.LARGE)
    assert "MALLOC_TRIM_THRESHOLD_" not in Peer("torch", 1).environment()
    monkeypatch.setenv("MALLOC_TRIM_THRESHOLD_", "7")
    assert peer.environment()["MALLOC_TRIM_THRESHOLD_"] == "7"


def test_a_process_finds_the_minidl_that_is_to_be_measured(tmp_path):
    there = Peer("old", 1, commit="1234567", folder=str(tmp_path))
    assert there.environment()["PYTHONPATH"].split(os.pathsep)[0] == str(tmp_path) == str(there.at)
    assert there.title == "minidl at 1234567, 1 thread"
    assert reason("old", "Att") is None


def test_a_peer_that_cannot_be_started_is_named_and_leaves_no_folder(monkeypatch, tmp_path):
    monkeypatch.setattr(turns.tempfile, "tempdir", str(tmp_path))
    monkeypatch.setenv("CAFFE_PYTHON", str(tmp_path / "python"))
    with pytest.raises(PeerError, match=r"could not be started .*: set CAFFE_PYTHON to a Python that has"):
        Contestant(Peer("caffe", 1), "W3")
    with pytest.raises(KeyError):
        Contestant(Peer("caffe", 1), "no workload")
    assert not list(tmp_path.iterdir())


def test_a_peer_that_fails_is_named(capfd):
    with Contestant(Peer("numpy", 1), "W6") as contestant, pytest.raises(PeerError, match="NumPy by hand, 1 thread"):
        contestant.results(1)
    assert "KeyError: 'W6'" in capfd.readouterr().err
