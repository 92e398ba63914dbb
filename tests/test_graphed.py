"""GraphedStep: a recorded step trains as one that is made line by line, and says what it cannot record."""

from __future__ import annotations

from collections.abc import Callable
from types import ModuleType
from typing import Any

import numpy as np
import pytest

import minidl as md
import minidl.functional as F
from minidl import backend
from minidl.optim import LARS, LayerSpecific, Replayed, TrustRatio
from tests.arrays import host
from tests.cupy_standin import kernels as standin_kernels

pytestmark = [
    pytest.mark.skipif(standin_kernels.COMPILER is None, reason="kernels without a GPU need a C++ compiler"),
    pytest.mark.usefixtures("cupy"),
]

OPTIMIZERS: dict[str, Callable[[Any], Any]] = {
    "sgd": lambda m: md.optim.SGD(m, lr=0.1),
    "caffe": lambda m: md.optim.SGD(m, lr=0.1, momentum=0.9, momentum_form="caffe", weight_decay=0.01),
    "layer_specific": lambda m: md.optim.SGD(m, lr=0.05, momentum=0.9, nesterov=True, layer_rate=LayerSpecific()),
    "lars": lambda m: md.optim.SGD(m, lr=0.5, momentum=0.9, weight_decay=0.01, layer_rate=LARS(eta=0.1)),
    "dampening": lambda m: md.optim.SGD(m, lr=0.1, momentum=0.9, dampening=0.5),
    "adam": lambda m: md.optim.Adam(m, lr=0.01),
    "adamw": lambda m: md.optim.AdamW(m, lr=0.01),
    "rmsprop": lambda m: md.optim.RMSprop(m, lr=0.01, momentum=0.5, centered=True),
    "adagrad": lambda m: md.optim.AdaGrad(m, lr=0.1),
}


def model(*extra: Any) -> Any:
    md.seed(0)
    layers = md.nn.Linear(6, 8), md.nn.BatchNorm1d(8), md.nn.Tanh(), *extra, md.nn.Linear(8, 3)
    return md.nn.Sequential(*layers).to("cupy")


def batches(number: int, size: int = 5) -> list[tuple[Any, Any]]:
    rng = np.random.default_rng(1)
    return [(rng.standard_normal((size, 6)).astype(np.float32), rng.integers(0, 3, size)) for _ in range(number)]


def on_device(batch: tuple[Any, Any]) -> tuple[Any, ...]:
    return tuple(md.Tensor(backend.to_device(x, "cupy")) for x in batch)


def eager_step(network: Any, optimizer: Any, batch: tuple[Any, Any]) -> Any:
    inputs, labels = on_device(batch)
    loss = F.cross_entropy(network(inputs), labels)
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    return loss


def assert_alike(ours: Any, theirs: Any) -> None:
    for (name, found), (_, expected) in zip(ours.state_dict().items(), theirs.state_dict().items(), strict=True):
        np.testing.assert_allclose(
            np.asarray(found, np.float64) if not hasattr(found, "get") else host(found),
            np.asarray(expected, np.float64) if not hasattr(expected, "get") else host(expected),
            rtol=2e-4, atol=1e-5, err_msg=name,
        )  # fmt: skip


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
    """A GraphedStep that fails when it is made or when it records."""

    def train() -> None:
        step = md.GraphedStep(network, optimizer, loss, warm_up=1)
        for batch in batches(3):
            step(*batch)

    with pytest.raises(error, match=words):
        train()


def test_what_cannot_be_recorded_is_said() -> None:
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

    refuses("copied from the host", network, sgd, md.GraphError, copies)
    handle = network[0].register_forward_hook(lambda *args: None)
    refuses("hooks of 0", network, sgd, md.GraphError)
    handle.remove()
    handle = sgd.register_step_post_hook(lambda optimizer: None)
    refuses("hooks of the optimizer", network, sgd, md.GraphError)
    handle.remove()
    with md.detect_anomaly():
        refuses("detect_anomaly", network, sgd, md.GraphError)


def test_after_a_failed_recording_one_can_go_on() -> None:
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
    with pytest.raises(md.ShapeError, match="float64"):
        step(batches(1)[0][0].astype(np.float64), batches(1)[0][1])
    np.testing.assert_array_equal(host(network[0].weight), before[0])
    assert step.optimizer.state["0.weight"]["steps"] == before[1]
    network[0].weight.data = network[0].weight.data.copy()
    with pytest.raises(md.GraphError, match=r"'0\.weight' has got another array"):
        step(*batches(1)[0])
