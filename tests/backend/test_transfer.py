"""Batches reach the GPU unharmed while it computes, and the host does not wait for it."""

from __future__ import annotations

import gc
from collections.abc import Callable
from contextlib import closing
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from minidl import backend
from minidl.backend import transfer

HOST = [(np.full((3, 2), float(i), np.float32), np.arange(3) + i) for i in range(6)]


def made(batches: Any = HOST, note: Callable[[int], None] = lambda i: None) -> Any:
    """The batches in pinned memory, as the Loader makes them."""
    for i, batch in enumerate(batches):
        note(i)
        yield tuple(backend.pinned(array) for array in batch)


def on_host(batch: Any) -> list[Any]:
    assert all(backend.device_of(array) == "cupy" for array in batch)
    return [backend.to_numpy(array) for array in batch]


def assert_same(batch: Any, expected: Any) -> None:
    for array, other in zip(on_host(batch), expected, strict=True):
        assert array.dtype == other.dtype
        np.testing.assert_array_equal(array, other)


@pytest.mark.gpu
def test_batches_arrive_as_they_were() -> None:
    arrived = list(backend.sent_ahead(made()))
    assert len(arrived) == len(HOST)
    for batch, expected in zip(arrived, HOST, strict=True):
        assert_same(batch, expected)


@pytest.mark.gpu
def test_bytes_nothing_at_all_and_arrays_that_are_there_already_arrive() -> None:
    there = backend.to_device(np.arange(2.0), "cupy")
    odd = (np.arange(6, dtype=np.uint8)[::2], np.zeros((0, 4)), np.array(2.0), there)
    (batch,) = backend.sent_ahead(made([odd]))
    assert batch[3] is there
    assert_same(batch[:3], odd[:3])


@pytest.mark.gpu
def test_what_is_computed_with_each_batch_is_right_though_the_next_arrives_meanwhile() -> None:
    big = [(np.full(200_000, i, np.float32),) for i in range(20)]
    totals = [(array * 2 + 1).sum(dtype="float64") for (array,) in backend.sent_ahead(made(big))]
    assert [float(total) for total in totals] == [200_000 * (2 * i + 1) for i in range(20)]


def test_the_next_batch_is_under_way_while_one_is_out_and_no_more(standin: ModuleType) -> None:
    asked: list[int] = []
    with closing(backend.sent_ahead(made(note=asked.append))) as batches:
        next(batches)
        assert asked == [0, 1]
        next(batches)
        assert asked == [0, 1, 2]


def test_the_host_waits_for_nothing(standin: ModuleType) -> None:
    for inputs, labels in backend.sent_ahead(made()):
        inputs += labels[:, None]
    assert standin.synchronizations() == ()


def test_a_host_that_is_far_ahead_of_the_gpu_waits(standin: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(transfer, "AHEAD", 10)  # so that no batch is used, and no copy has to be done
    batches = backend.sent_ahead(made())
    next(batches)
    assert standin.synchronizations() == ("Event.synchronize()",) * (len(HOST) - transfer.KEPT)
    batches.close()


def test_an_error_in_making_a_batch_comes_in_its_turn(standin: ModuleType) -> None:
    def fail(i: int) -> None:
        if i == 2:
            raise OSError("no more")

    batches = backend.sent_ahead(made(note=fail))
    assert_same(next(batches), HOST[0])
    assert_same(next(batches), HOST[1])
    with pytest.raises(OSError, match="no more"):
        next(batches)


def test_nothing_is_left_of_an_iteration_that_ends_early(standin: ModuleType) -> None:
    before = backend.memory_used("cupy")
    gc.disable()
    try:
        batches = backend.sent_ahead(made())
        next(batches)
        batches.close()
        assert standin.synchronizations() == ("Event.synchronize()",)  # for the copy that nobody needs
        assert backend.memory_used("cupy") == before
    finally:
        gc.enable()


def test_the_standin_notices_what_is_missing(standin: ModuleType) -> None:
    cupy = standin.cupy
    source, target = backend.pinned(np.ones(3)), cupy.zeros(3)
    copying = cupy.cuda.Stream(non_blocking=True)
    target.set(source, stream=copying)
    assert np.isnan(backend.to_numpy(target)).all()  # read without waiting for the copy
    source[...] = 2  # written before the copy is done
    copying.synchronize()
    assert backend.to_numpy(target).tolist() == [2, 2, 2]
    target.set(source, stream=copying)
    del source  # given back before the copy is done
    copying.synchronize()
    assert np.isnan(backend.to_numpy(target)).all()


def test_without_memory_to_lock_batches_go_from_ordinary_memory(
    standin: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    def none_left(size: int) -> None:
        raise standin.cupy.cuda.runtime.CUDARuntimeError("cudaErrorMemoryAllocation: out of memory")

    monkeypatch.setattr(standin.cupy.cuda, "alloc_pinned_memory", none_left)
    array = np.ones(3)
    with pytest.warns(UserWarning, match="the host has no more memory to lock"):
        assert backend.pinned(array) is array
