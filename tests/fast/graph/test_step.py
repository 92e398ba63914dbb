"""GraphedStep: a captured step trains as one that is made line by line, and says what it cannot capture."""

from __future__ import annotations

import gc
import itertools
import weakref
from types import ModuleType
from typing import Any

import numpy as np
import pytest

import minidl as md
import minidl.functional as F
from minidl import backend
from minidl.fast.graph import capture
from minidl.optim import Replayed, TrustRatio
from tests.arrays import host
from tests.cupy_standin.memory import MemoryPool
from tests.fast.graph.steps import (
    OPTIMIZERS,
    assert_alike,
    batches,
    eager_and_graphed,
    eager_step,
    model,
    on_a_device,
    on_device,
    sgd,
)

pytestmark = on_a_device


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_it_trains_as_the_lines_do(name: str) -> None:
    graphed, plain = model(), model()
    optimizer, other = OPTIMIZERS[name](graphed), OPTIMIZERS[name](plain)
    step = md.GraphedStep(graphed, optimizer)
    schedules = [md.optim.ExponentialLR(o, 0.8) for o in (optimizer, other)]
    for i, batch in enumerate(batches(7)):
        loss = step(*(batch if i % 2 else on_device(batch)))
        expected = eager_step(plain, other, batch)
        assert loss.item() == pytest.approx(expected.item(), rel=1e-4, abs=1e-6)
        for schedule in schedules:
            schedule.step()
    assert_alike(graphed, plain)
    assert_alike(optimizer, other)
    assert optimizer.step_count == other.step_count == 7
    reports = optimizer.layer_report(), other.layer_report()
    for layer, report in reports[1].items():
        assert reports[0][layer].grad_norm == pytest.approx(report.grad_norm, rel=1e-3)
        assert reports[0][layer].rate == pytest.approx(report.rate, rel=1e-3)


def test_a_replay_is_one_launch_and_never_waits(standin: ModuleType) -> None:
    network = model()
    step = md.GraphedStep(network, md.optim.SGD(network, lr=0.1, momentum=0.9), warm_up=1)
    data = [on_device(batch) for batch in batches(6)]
    for batch in data[:3]:
        step(*batch)
    standin.reset_launches()
    standin.reset_synchronizations()
    step(*data[3])
    first, second, graph, copy = standin.launches()
    assert (first, second, copy) == ("setitem", "setitem", "copy")  # inputs, labels; the loss
    assert graph.startswith("graph of")
    step.optimizer.lr = 0.05
    step(*data[4])
    assert "put_numbers" in standin.launches()
    assert standin.synchronizations() == ()


def test_dropout_drops_the_same_numbers() -> None:
    losses = []
    for graphed in (True, False):
        network = model(md.nn.Dropout(0.5), md.nn.Dropout(0.2))
        optimizer = md.optim.SGD(network, lr=0.1)
        step = md.GraphedStep(network, optimizer, warm_up=1) if graphed else None
        md.seed(3)
        losses.append(
            [(eager_step(network, optimizer, batch) if step is None else step(*batch)).item() for batch in batches(6)]
        )
        losses[-1].append(backend.random_state()["dropout"]["state"]["state"])
    assert losses[0][:-1] == pytest.approx(losses[1][:-1], rel=1e-4)
    assert losses[0][-1] == losses[1][-1]


def test_losses_and_gradients_are_those_of_their_step() -> None:
    network = model()
    step = md.GraphedStep(network, md.optim.SGD(network, lr=0.0))
    losses = [step(*batch) for batch in batches(5)]
    assert len({loss.item() for loss in losses}) == 5
    assert np.isfinite(host(network[0].weight.grad)).all()


def test_writes_are_counted() -> None:
    network = model()
    step = md.GraphedStep(network, md.optim.SGD(network, lr=0.1), warm_up=1)
    data = batches(4)
    for batch in data[:3]:
        step(*batch)
    loss = F.cross_entropy(network(on_device(data[3])[0]), on_device(data[3])[1])
    step(*data[3])
    with pytest.raises(md.GraphError, match="in place"):
        loss.backward()


def refuses(words: str, network: Any, optimizer: Any, error: type[Exception], loss: Any = F.cross_entropy) -> Any:
    """A GraphedStep that fails when it is made or when it captures."""

    def train() -> None:
        step = md.GraphedStep(network, optimizer, loss, warm_up=1)
        for batch in batches(3):
            step(*batch)

    with pytest.raises(error, match=words):
        train()


def test_what_cannot_be_captured_is_said() -> None:
    network = model()
    sgd = md.optim.SGD(network, lr=0.1)
    refuses("on a GPU", network.to("numpy"), sgd, md.DeviceError)
    network = model()
    sgd = md.optim.SGD(network, lr=0.1)
    refuses("Replayed", network, md.optim.SGD(network, layer_rate=Replayed([1.0])), ValueError)
    refuses("TrustRatio", network, md.optim.AdamW(network, layer_rate=TrustRatio()), ValueError)

    def looks(output: Any, labels: Any) -> Any:
        loss = F.cross_entropy(output, labels)
        return loss * 2 if loss.item() > 1 else loss

    refuses(r"may wait for the GPU", network, sgd, md.GraphError, looks)

    def copies(output: Any, labels: Any) -> Any:
        return F.cross_entropy(output * md.tensor(np.float32([1, 2, 3])).to("cupy"), labels)

    refuses("copy from the host", network, sgd, md.GraphError, copies)
    handle = network[0].register_forward_hook(lambda *args: None)
    refuses("hooks of 0", network, sgd, md.GraphError)
    handle.remove()
    handle = sgd.register_step_post_hook(lambda optimizer: None)
    refuses("hooks of the optimizer", network, sgd, md.GraphError)
    handle.remove()
    with md.detect_anomaly():
        refuses("detect_anomaly", network, sgd, md.GraphError)


def test_after_a_failed_capture_one_can_go_on() -> None:
    network, plain = model(), model()
    sgd, other = md.optim.SGD(network, lr=0.1, momentum=0.9), md.optim.SGD(plain, lr=0.1, momentum=0.9)
    data = batches(4)
    eager_step(plain, other, data[0])

    def looks(output: Any, labels: Any) -> Any:
        return F.cross_entropy(output, labels) * (1.0 if output.sum().item() < 1e9 else 2.0)

    refuses("may wait", network, sgd, md.GraphError, looks)
    assert network[0].weight.grad is None
    for batch in data[1:]:
        eager_step(network, sgd, batch)
        eager_step(plain, other, batch)
    assert_alike(network, plain)


def test_another_shape_or_array_is_refused_and_changes_nothing() -> None:
    network = model()
    step = md.GraphedStep(network, md.optim.Adam(network, lr=0.1), warm_up=1)
    for batch in batches(3):
        step(*batch)
    before = host(network[0].weight), step.optimizer.state["0.weight"]["steps"]
    with pytest.raises(md.ShapeError, match=r"inputs of shape \(5, 6\).*got \(4, 6\).*drop_last"):
        step(*batches(1, size=4)[0])
    with pytest.raises(md.DTypeError, match="float64"):
        step(batches(1)[0][0].astype(np.float64), batches(1)[0][1])
    np.testing.assert_array_equal(host(network[0].weight), before[0])
    assert step.optimizer.state["0.weight"]["steps"] == before[1]


# ---- a capture that fails


class Once:
    """A loss that fails in one call."""

    def __init__(self, call: int, error: BaseException) -> None:
        self.calls = itertools.count(1)
        self.call = call
        self.error = error

    def __call__(self, output: Any, labels: Any) -> Any:
        loss = F.cross_entropy(output, labels)
        if next(self.calls) == self.call:
            raise self.error
        return loss


@pytest.mark.parametrize("error", [KeyboardInterrupt(), MemoryError("no room"), ValueError("no"), RuntimeError("CUDA")])
@pytest.mark.parametrize("name", ["caffe", "adam", "layer_specific"])
@pytest.mark.parametrize("call", [1, 2])
def test_after_a_failure_the_next_call_goes_on_as_if_there_had_been_none(
    name: str, error: BaseException, call: int
) -> None:
    network, plain = model(), model()
    optimizer, other = OPTIMIZERS[name](network), OPTIMIZERS[name](plain)
    step = md.GraphedStep(network, optimizer, Once(call, error), warm_up=1)
    for i, batch in enumerate(batches(4)):
        if i == call - 1:
            before = {key: np.array(value) for key, value in optimizer.state_dict().items()}
            with pytest.raises((type(error), md.GraphError)):
                step(*batch)
            for key, value in optimizer.state_dict().items():
                np.testing.assert_array_equal(value, before[key])
            if call == 1:  # what a warm-up has done to the layers' statistics stays, as it does without a graph
                network.load_state_dict(plain.state_dict())
        step(*batch)
        eager_step(plain, other, batch)
    assert_alike(network, plain)
    assert_alike(optimizer, other)


def test_too_little_memory_while_capture_stays_that_error() -> None:
    network = model()
    step = md.GraphedStep(network, sgd(network), Once(2, MemoryError("no room")), warm_up=1)
    step(*batches(1)[0])
    with pytest.raises(MemoryError, match="no room"):
        step(*batches(1)[0])


def test_forgetting_gradients_before_each_call_does_no_harm() -> None:
    (plain, _, by_hand), (network, optimizer, step) = eager_and_graphed(sgd, captured=0)
    for batch in batches(4):
        optimizer.zero_grad()
        step(*batch)
        by_hand(*batch)
    assert_alike(network, plain)


@pytest.mark.parametrize("late", ["load", "momentum"])
def test_what_the_optimizer_remembers_may_begin_just_before_the_capture(late: str) -> None:
    found = []
    for graphed in (False, True):
        network = model()
        optimizer = md.optim.SGD(network, lr=0.1, momentum=0.9 if late == "load" else 0.0)
        fresh = optimizer.state_dict()
        step = md.GraphedStep(network, optimizer, warm_up=1) if graphed else None
        for i, batch in enumerate(batches(5)):
            if i == 1 and late == "load":
                optimizer.load_state_dict(fresh)
            elif i == 1:
                optimizer.momentum = 0.9
            eager_step(network, optimizer, batch) if step is None else step(*batch)
        found.append((network, optimizer))
    assert_alike(found[1][0], found[0][0])
    assert_alike(found[1][1], found[0][1])


def test_a_parameter_that_first_gets_a_gradient_while_capture_is_refused() -> None:
    md.seed(0)
    first, second = md.nn.Linear(6, 3).to("cupy"), md.nn.Linear(6, 3).to("cupy")

    class Net(md.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.first = first
            self.second = second
            self._calls = [0]

        def forward(self, x: Any) -> Any:
            self._calls[0] += 1
            return self.first(x) + self.second(x) if self._calls[0] > 1 else self.first(x)

    network = Net()
    optimizer = md.optim.SGD(network, lr=0.1, momentum=0.9)
    step = md.GraphedStep(network, optimizer, warm_up=1)
    step(*batches(1)[0])
    with pytest.raises(md.GraphError, match="other parameters got a gradient"):
        step(*batches(1)[0])
    assert optimizer.state["second.weight"] == {"steps": 0}
    eager_step(network, optimizer, batches(1)[0])
    assert np.isfinite(host(network.second.weight)).all()


@pytest.mark.parametrize("labels", [np.int64(2), np.array([0, 1, 2])])
def test_batches_of_any_shape_come_from_the_host(labels: Any) -> None:
    md.seed(0)
    network = md.nn.Linear(4, 3).to("cupy")
    shape = (*np.shape(labels), 4)

    def loss(output: Any, labels: Any) -> Any:
        return (output * output).sum() * labels.sum()

    step = md.GraphedStep(network, md.optim.SGD(network, lr=0.0), loss, warm_up=1)
    losses = [step(np.full(shape, i + 1, np.float32), labels).item() for i in range(4)]
    assert losses == sorted(losses)
    assert len(set(losses)) == 4


# ---- networks of other kinds


class Attention(md.nn.Module):
    """Products of stacks of matrices, of vectors, and of transposed ones."""

    def __init__(self) -> None:
        super().__init__()
        self.inputs = md.nn.Linear(6, 6)
        self.mixed = md.nn.Parameter(np.random.default_rng(0).standard_normal((2, 1, 3, 3)).astype(np.float32))
        self.vector = md.nn.Parameter(np.ones(6, np.float32))

    def forward(self, x: Any) -> Any:
        h = self.inputs(x).reshape((1, -1, 2, 3)) @ self.mixed  # (2, N, 2, 3)
        scores = F.softmax(h @ h.swapaxes(-1, -2), axis=-1) @ h
        parts = [scores[:, :, 0, :].sum(axis=0) * (i + 1) for i in range(10)]
        return F.concatenate(parts, axis=-1)[:, :3] + (x @ self.vector).reshape((-1, 1))


class OverTime(md.nn.Module):
    """A recurrent network over 12 steps."""

    def __init__(self, make: Any) -> None:
        super().__init__()
        self.recurrent = make(3, 5)
        self.last = md.nn.Linear(5, 3)

    def forward(self, x: Any) -> Any:
        steps = F.stack([x[:, :3] * (t + 1) for t in range(12)])
        return self.last(self.recurrent(steps)[0][-1])


KINDS = {
    "attention": Attention,
    "lstm": lambda: OverTime(md.nn.LSTM),
    "gru": lambda: OverTime(md.nn.GRU),
    "rnn": lambda: OverTime(md.nn.RNN),
}


@pytest.mark.parametrize("dtype", ["float32", "float64", "float16"])
@pytest.mark.parametrize("kind", KINDS)
def test_products_of_all_kinds_are_captured(kind: str, dtype: str) -> None:
    losses = []
    for graphed in (False, True):
        md.seed(0)
        network = KINDS[kind]().to("cupy", dtype)
        optimizer = md.optim.SGD(network, lr=0.01)
        step = md.GraphedStep(network, optimizer, warm_up=1) if graphed else None
        data = [(inputs.astype(dtype), labels) for inputs, labels in batches(4)]
        losses.append(
            [(eager_step(network, optimizer, batch) if step is None else step(*batch)).item() for batch in data]
        )
    assert losses[1] == pytest.approx(losses[0], rel=2e-2 if dtype == "float16" else 1e-4)


def test_memory_is_kept_that_the_pool_of_a_capture_asked_for(standin: ModuleType, monkeypatch: Any) -> None:
    """Where it is short CuPy's pool gives back what is free there, and captured launches would write to."""
    asked = []

    class Memory:
        def __init__(self, size: int) -> None:
            self.size = size
            asked.append(weakref.ref(self))

    cuda, pools = standin.cupy.cuda, []

    def pool(allocator: Any) -> Any:
        pools.append(MemoryPool(allocator))
        return pools[-1]

    monkeypatch.setattr(cuda, "Memory", Memory, raising=False)
    monkeypatch.setattr(cuda, "MemoryPointer", lambda memory, offset: (memory, offset), raising=False)
    monkeypatch.setattr(cuda, "MemoryPool", pool)

    def work() -> None:
        pools[-1].allocator(512)  # as CuPy's pool does, and lets go of it

    graph, _ = capture.captured(work)
    gc.collect()
    assert asked[0]() is not None
    pools.clear()
    del graph
    gc.collect()
    assert asked[0]() is None


def test_a_model_and_an_optimizer_in_the_other_order() -> None:
    model = md.nn.Linear(2, 1)
    optimizer = md.optim.SGD(model, lr=0.1)
    with pytest.raises(TypeError, match="GraphedStep: expected a model and then its optimizer; got SGD and Linear"):
        md.GraphedStep(optimizer, model)
