"""Too little memory on the GPU is said with what is free and what helps, and a failed step leaves nothing behind."""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import ModuleType
from typing import Any

import numpy as np
import pytest

import minidl as md
import minidl.functional as F
from minidl import backend

pytestmark = pytest.mark.gpu  # on NumPy the operating system has the last word

MIB = 2**20


def on_gpu(*shape: int) -> Any:
    return backend.to_device(np.ones(shape, np.float32), "cupy")


@contextmanager
def room_for(size: int) -> Iterator[None]:
    """The device has so many bytes more than are used now, and no garbage is collected."""
    pool = backend.module("cupy").get_default_memory_pool()
    gc.collect()
    pool.free_all_blocks()
    gc.disable()
    pool.set_limit(size=pool.total_bytes() + size)
    try:
        yield
    finally:
        pool.set_limit(size=0)
        gc.enable()


def network() -> Any:
    with md.using("cupy"):
        return md.nn.Sequential(md.nn.Linear(256, 256), md.nn.Tanh(), md.nn.Linear(256, 256), md.nn.Tanh())


def a_forward() -> Callable[[], Any]:
    """Every layer needs 4 MiB more."""
    model = network()
    inputs = md.Tensor(on_gpu(4096, 256))
    return lambda: model(inputs).sum()


def a_backward() -> Callable[[], Any]:
    loss = a_forward()()
    return lambda: loss.backward(retain_graph=True)


def a_transfer() -> Callable[[], Any]:
    return lambda: on_gpu(4096, 256)


@pytest.mark.parametrize(
    ("prepare", "where"),
    [
        (a_forward, "in Linear, of Tensor of shape (4096, 256), float32, cupy"),
        (a_backward, "in the backward of "),
        (a_transfer, ""),
    ],
)
def test_the_error_says_what_was_asked_for_what_is_free_and_what_helps(
    prepare: Callable[[], Callable[[], Any]], where: str
) -> None:
    work = prepare()
    with room_for(MIB), pytest.raises(MemoryError, match="allocating 4,194,304 bytes") as caught:
        work()
    notes = "\n".join(caught.value.__notes__)
    assert notes.count("Smaller batches need less") == 1
    for words in ("arrays hold", "are free", "md.no_grad()", "loss.item()", where):
        assert words in notes


@pytest.mark.parametrize(("prepare", "room"), [(a_forward, 9 * MIB), (a_backward, 5 * MIB), (a_transfer, MIB)])
def test_after_what_failed_the_memory_is_free_again(prepare: Callable[[], Callable[[], Any]], room: int) -> None:
    work = prepare()
    with room_for(room):
        held = backend.memory_used("cupy")
        with pytest.raises(MemoryError) as caught:
            work()
        del caught  # and with it the traceback, which knows the arrays of the step
        assert backend.memory_used("cupy") == held


def test_a_smaller_batch_works_after_one_that_was_too_large() -> None:
    model = network()
    with room_for(9 * MIB):
        with pytest.raises(MemoryError):
            model(md.Tensor(on_gpu(4096, 256))).sum().backward()
        model(md.Tensor(on_gpu(16, 256))).sum().backward()
        assert all(parameter.grad is not None for parameter in model.parameters())


@pytest.mark.parametrize(
    "fail",
    [
        lambda x: x @ x,  # shapes
        lambda x: F.cross_entropy(x, x[0]),
        lambda x: x + md.Tensor(np.ones((3, 5))),  # devices
        lambda x: x[7],
        lambda x: F.sum(x, axis=5),
    ],
)
def test_no_error_keeps_arrays_alive(fail: Callable[[Any], Any]) -> None:
    held = backend.memory_used("cupy")
    gc.disable()
    try:
        with md.using("cupy"):
            try:
                fail(md.Tensor(on_gpu(3, 5), requires_grad=True) * 2)
            except (ValueError, TypeError, IndexError):
                pass
            else:
                raise AssertionError("there was no error")
        assert backend.memory_used("cupy") == held
    finally:
        gc.enable()


def test_arrays_of_two_gpus_are_told_apart(standin: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    near, far = md.Tensor(on_gpu(2)), md.Tensor(on_gpu(3))
    place = type(near._data.device)
    monkeypatch.setattr(standin.ndarray, "device", property(lambda self: place(int(self is far._data))))
    with pytest.raises(md.DeviceError, match=r"Add needs its operands on one device.*they live on cupy, cupy:1"):
        near + far


def test_a_move_that_does_not_fit_moves_nothing(cupy: ModuleType) -> None:
    with md.using("numpy"):
        model = md.nn.Sequential(md.nn.Linear(256, 256), md.nn.Linear(256, 256), md.nn.Linear(256, 256))
        optimizer = md.optim.Adam(model)
        model(md.Tensor(np.ones((2, 256), np.float32))).sum().backward()
        optimizer.step()
    with room_for(600 * 1024), pytest.raises(MemoryError):
        model.to("cupy")
    assert {p.device for p in model.parameters()} == {p.grad.device for p in model.parameters()} == {"numpy"}
    with room_for(600 * 1024), pytest.raises(MemoryError):
        optimizer.to("cupy")
    kept = [value for state in optimizer.state.values() for value in state.values() if backend.is_array(value)]
    assert {backend.device_of(value) for value in kept} == {"numpy"}
