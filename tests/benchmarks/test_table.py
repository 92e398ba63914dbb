"""The tables, from given numbers."""

import pytest

from benchmarks import table
from benchmarks.fresh import Memory
from benchmarks.peers import Peer
from benchmarks.race import Result

TORCH, NUMPY, OURS, OURS_1 = Peer("torch", 2), Peer("numpy", 2), Peer("minidl", 2), Peer("minidl", 1)
SINGLE, CAFFE, OLD = Peer("torch", 1), Peer("caffe", 1), Peer("old", 1, commit="1234567")


def result(workload, **seconds):
    """A result with the seconds of these peers."""
    peers = {"torch": TORCH, "numpy": NUMPY, "ours": OURS, "ours_1": OURS_1}
    return Result(workload, {peers[name]: list(values) for name, values in seconds.items()})


def test_a_ratio_is_taken_within_a_round():
    drifting = result("W1", torch=(1e-3, 2e-3, 8e-3), ours=(2e-3, 4e-3, 8e-3))
    assert drifting.ratio(OURS, TORCH) == 2  # the median of 2, 2 and 1, not 4/2
    assert drifting.ratio(NUMPY, TORCH) is None


def test_the_table_of_times():
    results = [
        result("W1", torch=(9.5e-4,), numpy=(7.6e-4,), ours=(8.6e-4,), ours_1=(1.9e-3,)),
        result("W5", torch=(8e-6,), ours=(1e-5,), ours_1=(9.6e-6,)),
    ]
    assert table.times(results, [TORCH, NUMPY, OURS, OURS_1]) == (
        "| time: ratio to PyTorch | PyTorch, 2 threads takes | NumPy by hand, 2 threads | minidl, 2 threads |"
        " minidl, 1 thread | **minidl, the faster** | *minidl, target* |\n"
        "| --- | --: | --: | --: | --: | --: | --: |\n"
        "| W1 | .950 ms | .80 | .91 | 2.0 | **.91** | .85 |\n"
        "| W5 | 8.00 us | - | 1.25 | 1.20 | **1.20** | .60 |"
    )


def test_the_table_of_processor_time_says_that_each_has_one_thread():
    results = [Result("CE", {SINGLE: [1e-4], OURS_1: [1.1e-4]})]
    assert table.times(results, [SINGLE, OURS_1], "cpu") == (
        "| processor time, one thread each: ratio to PyTorch | PyTorch takes | **minidl** | *minidl, target* |\n"
        "| --- | --: | --: | --: |\n"
        "| CE | .100 ms | **1.10** | 1.20 |"
    )


def test_targets_are_shown_beside_the_measure_they_were_set_for():
    alone = Result("W1", {SINGLE: [1e-3], OURS_1: [1e-3]})
    assert "target" not in table.times([alone], [SINGLE, OURS_1])


def test_minidl_is_set_beside_caffe_and_beside_what_it_was():
    results = [
        Result("W1", {SINGLE: [1.0], OURS_1: [1.0], OLD: [2.0]}),
        Result("W3", {SINGLE: [1.0], OURS_1: [1.0], OLD: [1.25], CAFFE: [1.6]}),
        Result("W4", {SINGLE: [1.0], OURS_1: [1.0]}),
    ]
    assert table.beside(results, [SINGLE, OURS_1, CAFFE, OLD]) == (
        "| minidl's time over that of | Caffe | *target* | minidl at 1234567 |\n"
        "| --- | --: | --: | --: |\n"
        "| W1 | - | - | .50 |\n"
        "| W3 | .62 | .75 | .80 |"
    )
    assert table.beside(results, [SINGLE, OURS_1]) == ""


def test_the_table_of_fresh_processes():
    memory = {"W3": {"torch": Memory(335.3, 39.4), "minidl": Memory(58.2, 9.3)}, "GPT": {"minidl": Memory(107.8, 65.9)}}
    text = table.once({"numpy": 76.0, "minidl": 99.6}, memory)
    assert text.splitlines()[0] == "| in a fresh process | PyTorch | NumPy | minidl | *minidl, target* |"
    assert text.splitlines()[2:] == [
        "| import, ms | - | 76 | 100 | NumPy + 40 = 116 |",
        "| memory of W3 at its peak, beyond the import, MiB | 39 | - | 9 | PyTorch's = 39 |",
        "| memory of W3 at its peak, in all, MiB | 335 | - | 58 | 75 |",
        "| memory of GPT at its peak, beyond the import, MiB | - | - | 66 | - |",
        "| memory of GPT at its peak, in all, MiB | - | - | 108 | - |",
    ]
    assert "| import, ms of processor time | 100 |" in table.once({"minidl": 100.0}, {}, "cpu")
    assert table.once({}, {}) == ""


@pytest.mark.parametrize(
    ("value", "text"), [(0.136, ".14"), (0.994, ".99"), (1.0, "1.00"), (1.05, "1.05"), (2.04, "2.0"), (77.4, "77")]
)
def test_ratios_have_two_or_three_figures(value, text):
    assert table.ratio(value) == text


@pytest.mark.parametrize(
    ("seconds", "text"), [(6.81e-6, "6.81 us"), (9.5e-4, ".950 ms"), (0.0155, "15.5 ms"), (0.124, "124 ms")]
)
def test_times_have_three_figures(seconds, text):
    assert table.duration(seconds) == text


def test_what_is_missing_is_named_with_the_reason():
    text = table.left_out(["W1", "W3", "W4"], [TORCH, Peer("mygrad", 2), OURS])
    assert text.splitlines()[0] == "Not installed and so not timed: NumPy by hand, HIPS autograd."
    assert text.splitlines()[1].startswith("W4: MyGrad ")
    assert table.left_out(["GPT"], [TORCH, NUMPY, Peer("mygrad", 2)]).splitlines()[-1].startswith("GPT: of the ")


def test_a_machine_that_did_something_else_meanwhile_is_noticed():
    steady = result("W1", torch=(1.0, 1.1, 1.0, 1.05, 1.0), ours=(1.0, 1.0, 9.0, 1.0, 1.0))
    busy = result("W3", torch=(1.0, 1.1, 1.0, 1.05, 1.0), ours=(1.0, 1.0, 9.0, 9.0, 1.0))
    assert table.disturbance([steady]) == ""
    assert "Unsteady: W3:" in table.disturbance([steady, busy])
    steady.share = 0.5
    assert "Not to be trusted: W1: other programs ran.** A thread had 50%" in table.disturbance([steady, busy])
