"""GraphedStep: a recorded step trains as one that is made line by line, and says what it cannot record."""

from __future__ import annotations

import functools
import gc
import itertools
import weakref
from collections.abc import Callable
from types import ModuleType
from typing import Any

import numpy as np
import pytest

import minidl as md
import minidl.functional as F
from minidl import backend
from minidl.backend import graphs
from minidl.optim import LARS, LayerSpecific, Replayed, TrustRatio
from tests.arrays import host
from tests.cupy_standin import kernels as standin_kernels
from tests.cupy_standin.memory import MemoryPool

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
    # No bias before a batch normalisation: its gradient is 0, but for rounding, which Adam makes steps of.
    layers = md.nn.Linear(6, 8, bias=False), md.nn.BatchNorm1d(8), md.nn.Tanh(), *extra, md.nn.Linear(8, 3)
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

    refuses("copy from the host", network, sgd, md.GraphError, copies)
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
    with pytest.raises(md.DTypeError, match="float64"):
        step(batches(1)[0][0].astype(np.float64), batches(1)[0][1])
    np.testing.assert_array_equal(host(network[0].weight), before[0])
    assert step.optimizer.state["0.weight"]["steps"] == before[1]


# ---- what is changed behind its back


def eager_and_graphed(make: Callable[[Any], Any], *extra: Any, recorded: int = 3) -> Any:
    """(network, optimizer, step) made line by line, and the same recorded, after so many equal steps."""
    found = []
    for graphed in (False, True):
        network = model(*[layer() for layer in extra])
        optimizer = make(network)
        md.seed(7)
        step: Any = md.GraphedStep(network, optimizer, warm_up=1) if graphed else None
        if step is None:

            def step(inputs: Any, labels: Any, network: Any = network, optimizer: Any = optimizer) -> Any:
                return eager_step(network, optimizer, (inputs, labels))

        for batch in batches(recorded):
            step(*batch)
        found.append((network, optimizer, step))
    return found


def sgd(network: Any) -> Any:
    return md.optim.SGD(network, lr=0.1, momentum=0.9, weight_decay=0.01)


def load_own_state(network: Any, optimizer: Any) -> None:
    optimizer.load_state_dict(optimizer.state_dict())


def there_and_back(network: Any, optimizer: Any) -> None:
    optimizer.to("numpy")
    optimizer.to("cupy")


def new_array(network: Any, optimizer: Any) -> None:
    network[0].weight.data = network[0].weight.data.copy()


def new_buffer(network: Any, optimizer: Any) -> None:
    network[1].running_mean = md.Tensor(network[1].running_mean.data.copy())


def new_layer(network: Any, optimizer: Any) -> None:
    setattr(network, "2", md.nn.ReLU())


def setting(place: str, name: str, value: Any) -> Callable[[Any, Any], None]:
    def change(network: Any, optimizer: Any) -> None:
        setattr(optimizer if place == "optimizer" else network[int(place)], name, value)

    change.__name__ = f"{place}.{name}"
    return change


UNNOTICED = [
    load_own_state,
    there_and_back,
    new_array,
    new_buffer,
    new_layer,
    lambda network, optimizer: network.eval(),
    lambda network, optimizer: network[0].requires_grad_(False),
    lambda network, optimizer: network[0].register_forward_hook(lambda *args: None),
    lambda network, optimizer: network[0].weight.register_hook(lambda grad: None),
    lambda network, optimizer: optimizer.register_step_post_hook(lambda optimizer: None),
    setting("optimizer", "momentum", 0.5),
    setting("optimizer", "nesterov", True),
    setting("optimizer", "layer_rate", LayerSpecific()),
    setting("1", "momentum", 0.5),
    setting("3", "p", 0.5),
]


@pytest.mark.parametrize("change", UNNOTICED)
def test_what_a_replay_would_not_notice_is_refused_and_changes_nothing(change: Any) -> None:
    network, optimizer, step = eager_and_graphed(sgd, lambda: md.nn.Dropout(0.1))[1]
    change(network, optimizer)
    before = host(network[-1].weight), optimizer.step_count
    with pytest.raises(md.GraphError, match=r"GraphedStep: .*(is not what it was|other parts)"):
        step(*batches(1)[0])
    np.testing.assert_array_equal(host(network[-1].weight), before[0])
    assert optimizer.step_count == before[1]


def rescale(network: Any, optimizer: Any) -> None:
    optimizer.scale("*.bias", lr=3.0, decay=0.0)


def load_weights(network: Any, optimizer: Any) -> None:
    network.load_state_dict({name: value - value // 4 for name, value in network.state_dict().items()})


def write_to_weights(network: Any, optimizer: Any) -> None:
    with md.no_grad():
        network[0].weight[0] = 1.0


def forget_gradients(network: Any, optimizer: Any) -> None:
    optimizer.zero_grad()


def step_by_hand(network: Any, optimizer: Any) -> None:
    eager_step(network, optimizer, batches(1)[0])


FOLLOWED = [
    rescale, load_weights, write_to_weights, forget_gradients, step_by_hand, setting("optimizer", "weight_decay", 0.2),
    setting("optimizer", "dampening", 0.5), setting("optimizer", "lr", 0.01),
]  # fmt: skip


@pytest.mark.parametrize("change", FOLLOWED)
def test_what_a_replay_follows(change: Any) -> None:
    (plain, other, by_hand), (network, optimizer, step) = eager_and_graphed(sgd)
    for batch in batches(4):
        for net, optim, run in ((plain, other, by_hand), (network, optimizer, step)):
            change(net, optim)
            run(*batch)
    assert_alike(network, plain)
    assert_alike(optimizer, other)
    for name, p in network.named_parameters():
        np.testing.assert_allclose(
            host(p.grad), host(dict(plain.named_parameters())[name].grad), rtol=1e-3, atol=1e-5, err_msg=name
        )
    for layer, report in other.layer_report().items():
        assert optimizer.layer_report()[layer].grad_norm == pytest.approx(report.grad_norm, rel=1e-3)


@pytest.mark.parametrize("name", ["sgd", "layer_specific"])
def test_a_report_read_after_every_step_is_that_of_the_step(name: str) -> None:
    (_, other, by_hand), (_, optimizer, step) = eager_and_graphed(OPTIMIZERS[name])
    for batch in batches(3, size=5):
        by_hand(*batch)
        step(*batch)
        for layer, report in other.layer_report().items():
            found = optimizer.layer_report()[layer]
            assert found.grad_norm == pytest.approx(report.grad_norm, rel=1e-3)
            assert found.multiplier == pytest.approx(report.multiplier, rel=1e-3)


def test_a_layer_rate_that_looks_at_the_decay_keeps_the_recorded_one() -> None:
    _, optimizer, step = eager_and_graphed(OPTIMIZERS["lars"])[1]
    optimizer.weight_decay = 0.5
    with pytest.raises(md.GraphError, match="'weight_decay' of 'the optimizer'"):
        step(*batches(1)[0])


class OwnLARS(LARS):
    """Another class, which may compute anything on the host."""


def test_what_could_be_seen_beforehand_is_refused_when_it_is_made() -> None:
    network = model()
    with pytest.raises(ValueError, match="on the host would stay"):
        md.GraphedStep(network, md.optim.SGD(network, layer_rate=OwnLARS()))
    with pytest.raises(ValueError, match="AdaGrad with a rule for whole layers"):
        md.GraphedStep(network, md.optim.AdaGrad(network, denominator="layer"))
    with pytest.raises(ValueError, match=r"gradients of 0\.weight, 1\.weight, 1\.bias would add up"):
        md.GraphedStep(network, md.optim.SGD(network[3]))
    for layer in (network[0], network[1]):
        layer.requires_grad_(False)
    md.GraphedStep(network, md.optim.SGD(network[3]))
    with pytest.raises(ValueError, match="at least 1"):
        md.GraphedStep(network, md.optim.SGD(network), warm_up=0)


def test_without_gradients_there_is_no_step() -> None:
    step = eager_and_graphed(sgd)[1][2]
    with md.no_grad(), pytest.raises(md.GraphError, match="no_grad"):
        step(*batches(1)[0])
    with md.detect_anomaly(), pytest.raises(md.GraphError, match="is not what it was"):
        step(*batches(1)[0])


class Net(md.nn.Module):
    """Attributes of many kinds, and a forward that may assign some."""

    def __init__(self) -> None:
        super().__init__()
        self.linear = md.nn.Linear(6, 3)
        self.register_buffer("average", md.zeros(3))
        self.bend = F.tanh
        self.factors = [1.0, 2.0]
        self.options = {"slope": 1.0}
        self.number = np.float32(3)
        self.constant = md.tensor([1.0, 2.0, 3.0])
        self.calls = 0
        self.assigns = "nothing"

    def forward(self, x: Any) -> Any:
        h = self.bend(self.linear(x))
        if self.assigns == "shown":
            self.shown = h.detach()
        elif self.assigns == "average":
            self.average = (0.9 * self.average + h.mean(axis=0)).detach()
        elif self.assigns == "calls":
            self.calls += 1
        elif self.assigns == "elements":
            with md.no_grad():
                self.average[...] = 0.9 * self.average + h.mean(axis=0)
        return (h - self.average) * self.factors[1] * float(self.number) * self.options["slope"] * self.constant


def net(assigns: str = "nothing", loss: Any = F.cross_entropy, recorded: int = 3) -> Any:
    """(network, step) recorded."""
    md.seed(0)
    network = Net().to("cupy")
    network.constant = network.constant.to("cupy")
    network.assigns = assigns
    step = md.GraphedStep(network, md.optim.SGD(network, lr=0.1, momentum=0.5), loss, warm_up=1)
    for batch in batches(recorded):
        step(*batch)
    return network, step


ATTRIBUTES: dict[str, Callable[[Any], Any]] = {
    "bend": lambda network: setattr(network, "bend", F.relu),
    "factors": lambda network: network.factors.append(1.0),
    "options": lambda network: network.options.update(slope=2.0),
    "number": lambda network: setattr(network, "number", np.float32(4)),
    "constant": lambda network: setattr(network, "constant", network.constant * 2),
    "forward": lambda network: setattr(network, "forward", lambda x: network.linear(x)),
    "extra": lambda network: setattr(network, "extra", 1),
}


@pytest.mark.parametrize("name", ATTRIBUTES)
def test_attributes_of_all_kinds_must_stay(name: str) -> None:
    network, step = net()
    network.number = np.float32(3)  # the same again
    step(*batches(1)[0])
    ATTRIBUTES[name](network)
    with pytest.raises(md.GraphError, match=f"{name!r} of 'the model'"):
        step(*batches(1)[0])


class Times:
    """A loss with a setting of its own."""

    def __init__(self) -> None:
        self.factor = 1.0

    def __call__(self, output: Any, labels: Any) -> Any:
        return F.cross_entropy(output, labels) * self.factor


def test_the_loss_and_its_settings_must_stay() -> None:
    module, own = md.nn.CrossEntropyLoss(), Times()
    step = net(loss=module)[1]
    module.label_smoothing = 0.5
    with pytest.raises(md.GraphError, match="'label_smoothing' of 'the loss'"):
        step(*batches(1)[0])
    step = net(loss=own)[1]
    own.factor = 2.0
    with pytest.raises(md.GraphError, match="'factor' of 'the loss'"):
        step(*batches(1)[0])
    step = net()[1]
    step.loss = F.mse_loss
    with pytest.raises(md.GraphError, match="'function' of 'the loss'"):
        step(*batches(1)[0])


class Bound:
    """A loss that is a method, and uses another one."""

    def __init__(self) -> None:
        self.factor = 1.0
        self.inner = md.nn.CrossEntropyLoss()
        self.count = 0

    def loss(self, output: Any, labels: Any) -> Any:
        return self.inner(output, labels) * self.factor

    def counting(self, output: Any, labels: Any) -> Any:
        self.count += 1
        return self.inner(output, labels) * (1.0 + self.count)


def smoothed(factor: float) -> Any:
    return lambda output, labels: F.cross_entropy(output, labels) * factor


def test_a_loss_of_any_kind_must_stay() -> None:
    bound, partial = Bound(), functools.partial(F.cross_entropy, label_smoothing=0.1)
    for change in (lambda: setattr(bound, "factor", 2.0), lambda: setattr(bound.inner, "label_smoothing", 0.5)):
        step = net(loss=bound.loss)[1]
        step(*batches(1)[0])
        change()
        with pytest.raises(md.GraphError, match="of 'the loss"):
            step(*batches(1)[0])
    step = net(loss=partial)[1]
    partial.keywords["label_smoothing"] = 0.2
    with pytest.raises(md.GraphError, match="'keywords' of 'the loss'"):
        step(*batches(1)[0])
    step = net(loss=smoothed(2.0))[1]
    step.loss.__closure__[0].cell_contents = 3.0
    with pytest.raises(md.GraphError, match="'variable factor' of 'the loss'"):
        step(*batches(1)[0])
    counting = Bound()
    with pytest.raises(md.GraphError, match="a step changes 'count' of 'the loss'"):
        net(loss=counting.counting)
    assert counting.count == 1  # of the warm-up


class Nested(md.nn.Module):
    """A module whose part has a name that a loss's part has too."""

    def __init__(self, size: int) -> None:
        super().__init__()
        self.part = md.nn.Sequential(md.nn.Linear(6, size), md.nn.LeakyReLU(0.1))

    def forward(self, x: Any, labels: Any = None) -> Any:
        return self.part(x) if labels is None else F.cross_entropy(self.part[1](x), labels)


def test_a_part_of_the_model_is_not_taken_for_one_of_the_loss_with_its_name() -> None:
    for change in (
        lambda network: setattr(network.part[1], "negative_slope", 0.5),
        lambda network: network.part.register_forward_hook(lambda *args: None),
        lambda network: setattr(network.part[0].weight, "data", network.part[0].weight.data.copy()),
    ):
        md.seed(0)
        network, loss = Nested(3).to("cupy"), Nested(3).to("cupy").requires_grad_(False)
        step = md.GraphedStep(network, md.optim.SGD(network, lr=0.1), loss, warm_up=1)
        for batch in batches(3):
            step(*batch)
        change(network)
        with pytest.raises(md.GraphError, match="of 'part"):
            step(*batches(1)[0])


def test_an_attribute_called_hooks_hides_none() -> None:
    network, step = net()
    network.hooks = None
    with pytest.raises(md.GraphError, match="'hooks' of 'the model'"):
        step(*batches(1)[0])
    network, step = net()
    network.register_forward_hook(lambda *args: None)
    with pytest.raises(md.GraphError, match="'registered hooks' of 'the model'"):
        step(*batches(1)[0])


class Carries(md.nn.Module):
    """A network that goes on from where it was in the step before."""

    def __init__(self, how: str) -> None:
        super().__init__()
        self.linear = md.nn.Linear(6, 3)
        self.how = how
        self.state: Any = [None] if how == "list" else None

    def forward(self, x: Any) -> Any:
        h = self.linear(x)
        if self.how == "list":
            h = h if self.state[0] is None else h + self.state[0]
            self.state[0] = h.detach()
        else:
            h = h if self.state is None else h + self.state
            self.state = h.detach()
        return h


@pytest.mark.parametrize("how", ["tensor", "list"])
def test_a_state_outside_of_buffers_is_refused_and_put_back(how: str) -> None:
    md.seed(0)
    network = Carries(how).to("cupy")
    step = md.GraphedStep(network, md.optim.SGD(network, lr=0.1), warm_up=2)
    for batch in batches(2):
        step(*batch)
    before = host(network.state[0] if how == "list" else network.state)
    with pytest.raises(md.GraphError, match=r"goes on from what it left in 'state'|changes 'state' of 'the model'"):
        step(*batches(1)[0])
    np.testing.assert_array_equal(host(network.state[0] if how == "list" else network.state), before)


def test_a_batch_of_another_shape_before_the_recording_is_one_more_step_of_the_warm_up() -> None:
    (plain, _, by_hand), (network, _, step) = eager_and_graphed(sgd, recorded=1)
    recorded = []
    for size in (3, 5, 5, 5):
        by_hand(*batches(1, size=size)[0])
        step(*batches(1, size=size)[0])
        recorded.append(step._recorded is not None)
    assert recorded == [False, False, True, True]
    assert_alike(network, plain)


@pytest.mark.parametrize("name", ["average", "calls"])
def test_what_a_forward_assigns_and_a_replay_would_not_is_refused_and_put_back(name: str) -> None:
    network, step = net(name, recorded=1)
    before = host(network.average), network.calls
    with pytest.raises(md.GraphError, match=rf"a step changes {name!r} of 'the model'.*must be a buffer"):
        step(*batches(1)[0])
    np.testing.assert_array_equal(host(network.average), before[0])
    assert network.calls == before[1]
    network.assigns = "nothing"
    losses = [step(*batches(1)[0]).item() for _ in range(3)]
    assert losses[-1] < losses[0]


def test_a_forward_may_write_to_a_buffer_and_leave_tensors_to_look_at() -> None:
    network, step = net("elements")
    before, inputs = host(network.average).copy(), on_device(batches(1)[0])[0]
    weight = md.Tensor(backend.to_device(np.ones(3, np.float32), "cupy"), requires_grad=True)
    product = (network.average * weight).sum()
    step(*batches(1)[0])
    assert (host(network.average) != before).all()
    with pytest.raises(md.GraphError, match="in place"):
        product.backward()

    network, step = net("shown")
    with md.no_grad():
        expected = host(network.bend(network.linear(inputs)))
    step(*batches(1)[0])
    np.testing.assert_allclose(host(network.shown), expected, rtol=1e-5)
    with md.no_grad():
        network(on_device(batches(1, size=2)[0])[0])  # which assigns another one
    step(*batches(1)[0])
    assert network.shown.shape == (5, 3)


def test_a_gradient_that_was_replaced_is_the_steps_again() -> None:
    (plain, _, by_hand), (network, _, step) = eager_and_graphed(sgd)
    for batch in batches(2):
        for p in (plain[0].weight, network[0].weight):
            p.grad.data = p.grad.data * 0.5
        by_hand(*batch)
        step(*batch)
    np.testing.assert_allclose(host(network[0].weight.grad), host(plain[0].weight.grad), rtol=1e-3, atol=1e-5)


# ---- a recording that fails


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


def test_too_little_memory_while_recording_stays_that_error() -> None:
    network = model()
    step = md.GraphedStep(network, sgd(network), Once(2, MemoryError("no room")), warm_up=1)
    step(*batches(1)[0])
    with pytest.raises(MemoryError, match="no room"):
        step(*batches(1)[0])


def test_forgetting_gradients_before_each_call_does_no_harm() -> None:
    (plain, _, by_hand), (network, optimizer, step) = eager_and_graphed(sgd, recorded=0)
    for batch in batches(4):
        optimizer.zero_grad()
        step(*batch)
        by_hand(*batch)
    assert_alike(network, plain)


@pytest.mark.parametrize("late", ["load", "momentum"])
def test_what_the_optimizer_remembers_may_begin_just_before_the_recording(late: str) -> None:
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


def test_a_parameter_that_first_gets_a_gradient_while_recording_is_refused() -> None:
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
def test_products_of_all_kinds_are_recorded(kind: str, dtype: str) -> None:
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


@pytest.mark.parametrize("holder", ["model", "loss"])
def test_a_tensor_that_learns_beside_the_optimizers_is_refused(holder: str) -> None:
    network, bound = model(), Bound()
    free = md.Tensor(backend.to_device(np.ones(3, np.float32), "cupy"), requires_grad=True)
    (network if holder == "model" else bound).free = free
    with pytest.raises(ValueError, match=rf"gradients of free of the {holder} would add up"):
        md.GraphedStep(network, sgd(network), bound.loss)


def test_memory_is_kept_that_the_pool_of_a_recording_asked_for(standin: ModuleType, monkeypatch: Any) -> None:
    """Where it is short CuPy's pool gives back what is free there, and recorded launches would write to."""
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

    graph, _ = graphs.recorded(work)
    gc.collect()
    assert asked[0]() is not None
    pools.clear()
    del graph
    gc.collect()
    assert asked[0]() is None
