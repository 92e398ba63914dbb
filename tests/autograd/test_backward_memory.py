"""Memory comes back by itself: no cycles, so all of this holds with the cyclic collector off."""

from __future__ import annotations

import gc
import sys
import tracemalloc
import weakref
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest

import minidl as md
import minidl.functional as F
from minidl.autograd.function import Function
from minidl.autograd.writes import activity
from tests.arrays import device, host, tensor


@pytest.fixture(autouse=True)
def _nobody_watches_other_arrays(monkeypatch: pytest.MonkeyPatch) -> None:
    """Such as those that other tests have looked at and still hold."""
    monkeypatch.setattr(activity, "guards", 0)


@pytest.fixture(autouse=True)
def _collector_off() -> Iterator[None]:
    gc.collect()
    gc.disable()
    yield
    gc.enable()


class Watch:
    """Weak references to Tensors, arrays and nodes, which must all be gone at the end."""

    def __init__(self) -> None:
        self.seen: list[tuple[str, weakref.ref[Any]]] = []

    def __call__(self, name: str, tensor: md.Tensor) -> md.Tensor:
        self.seen.append((name, weakref.ref(tensor)))
        self.seen.append((f"array of {name}", weakref.ref(tensor._data)))
        return tensor

    def alive(self) -> list[str]:
        return [name for name, reference in self.seen if reference() is not None]


def network(watch: Watch, x: md.Tensor, w: md.Tensor) -> md.Tensor:
    """A bit of everything: saved inputs, saved outputs, views, shared nodes, indices."""
    hidden = watch("hidden", F.sigmoid(watch("product", x @ w)))
    hidden = watch("sum", hidden + hidden * hidden)
    picked = watch("picked", hidden[:, 1:].reshape(-1))
    return watch("loss", F.logsumexp(picked) + F.relu(picked).mean() + F.cross_entropy(hidden, labels(2)))


def labels(n: int) -> md.Tensor:
    return md.Tensor(device(np.zeros(n, np.int64)))


def start() -> tuple[md.Tensor, md.Tensor]:
    return tensor(np.ones((2, 3))), tensor(np.ones((3, 3)), requires_grad=True)


def test_nothing_stays_after_backward() -> None:
    watch, (x, w) = Watch(), start()
    loss = network(watch, x, w)
    loss.backward()
    del loss
    assert watch.alive() == []
    assert gc.collect() == 0


def test_the_walk_gives_saved_arrays_back_while_the_loss_is_still_held() -> None:
    watch, (x, w) = Watch(), start()
    loss = network(watch, x, w)
    loss.backward()
    assert watch.alive() == ["loss", "array of loss"]


def test_nothing_stays_of_a_graph_that_is_dropped() -> None:
    watch, (x, w) = Watch(), start()
    loss = network(watch, x, w)
    del loss
    assert watch.alive() == []
    assert gc.collect() == 0


def test_nothing_stays_after_grad_with_create_graph() -> None:
    watch, (x, w) = Watch(), start()
    loss = network(watch, x, w)
    slope = watch("slope", md.grad(loss, w, create_graph=True))
    penalty = watch("penalty", (slope * slope).sum())
    penalty.backward()
    assert w.grad is not None
    del loss, slope, penalty
    assert watch.alive() == []
    assert gc.collect() == 0


def test_nothing_stays_after_third_derivatives() -> None:
    watch = Watch()
    x = tensor(2.0, requires_grad=True)
    y = watch("y", x**4 * F.exp(x))
    for order in range(3):
        y = watch(f"derivative {order + 1}", md.grad(y, x, create_graph=True))
    del y
    assert watch.alive() == []
    assert gc.collect() == 0


def test_nothing_stays_after_hooks_and_retained_gradients() -> None:
    watch, (x, w) = Watch(), start()
    hidden = watch("hidden", x @ w)
    hidden.retain_grad()
    handle = hidden.register_hook(lambda grad: grad * 2)
    hidden.sum().backward()
    watch("gradient", hidden.grad)
    del hidden, handle
    assert watch.alive() == []
    assert gc.collect() == 0


def test_nothing_stays_after_writing_in_place() -> None:
    watch, (x, w) = Watch(), start()
    buffer = watch("buffer", tensor(np.zeros((2, 3))))
    buffer[0] += watch("row", (x @ w)[0])
    buffer *= buffer
    buffer.sum().backward()
    del buffer
    assert watch.alive() == []
    assert gc.collect() == 0


def test_nothing_stays_after_an_error_in_backward() -> None:
    class Failing(Function):
        def forward(self, x: Any) -> Any:
            return x * 1

        def backward(self, grad_out: Any) -> Any:
            raise ZeroDivisionError("on purpose")

    watch, (x, w) = Watch(), start()
    loss = watch("loss", Failing()(watch("product", x @ w)).sum())
    with pytest.raises(ZeroDivisionError):
        loss.backward()
    sys.last_value = sys.last_exc = None  # nor does a shell's memory of the error count
    del loss
    assert watch.alive() == []


def traced_bytes() -> int:
    """The bytes in use, without the freed tuples that Python keeps at hand until a collection."""
    gc.collect()
    return tracemalloc.get_traced_memory()[0]


def run(step: Callable[[], None], times: int) -> None:
    for _ in range(times):
        step()


def test_many_steps_take_no_more_memory() -> None:
    x, w = tensor(np.ones((4, 8), np.float32)), tensor(np.ones((8, 8), np.float32), requires_grad=True)

    def step() -> None:
        loss = F.cross_entropy(F.tanh(x @ w), labels(4)) + (w * w).sum() * 1e-3
        loss.backward()
        with md.no_grad():
            w[...] = w - 0.01 * w.grad
        w.zero_grad()

    tracemalloc.start()
    try:
        run(step, 600)  # fills what Python and NumPy keep at hand
        before = traced_bytes()
        run(step, 600)
        unreachable = gc.collect()
        grown = traced_bytes() - before
    finally:
        tracemalloc.stop()
    assert unreachable == 0
    assert grown < 600 * 32  # less than the smallest object at each step


def test_a_long_chain_holds_a_bounded_number_of_bytes_an_op() -> None:
    x = tensor(1.0, requires_grad=True)
    tracemalloc.start()
    try:
        y = x
        for _ in range(40_000):
            y = y * 1.5
        held = traced_bytes() / 40_000
        y.backward()
        left = traced_bytes() / 40_000
    finally:
        tracemalloc.stop()
    assert held < 700
    assert left < 3
    assert np.isfinite(host(x)).all()
