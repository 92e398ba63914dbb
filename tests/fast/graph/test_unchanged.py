"""minidl/fast/graph/unchanged.py: what a replay would not notice is refused, and what it follows it follows."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import minidl as md
import minidl.functional as F
from minidl import backend
from minidl.optim import LARS, LayerSpecific
from tests.arrays import host
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


def test_a_layer_rate_that_looks_at_the_decay_keeps_the_captured_one() -> None:
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


def net(assigns: str = "nothing", loss: Any = F.cross_entropy, captured: int = 3) -> Any:
    """(network, step) captured."""
    md.seed(0)
    network = Net().to("cupy")
    network.constant = network.constant.to("cupy")
    network.assigns = assigns
    step = md.GraphedStep(network, md.optim.SGD(network, lr=0.1, momentum=0.5), loss, warm_up=1)
    for batch in batches(captured):
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


def test_a_batch_of_another_shape_before_the_capture_is_one_more_step_of_the_warm_up() -> None:
    (plain, _, by_hand), (network, _, step) = eager_and_graphed(sgd, captured=1)
    captured = []
    for size in (3, 5, 5, 5):
        by_hand(*batches(1, size=size)[0])
        step(*batches(1, size=size)[0])
        captured.append(step._captured is not None)
    assert captured == [False, False, True, True]
    assert_alike(network, plain)


@pytest.mark.parametrize("name", ["average", "calls"])
def test_what_a_forward_assigns_and_a_replay_would_not_is_refused_and_put_back(name: str) -> None:
    network, step = net(name, captured=1)
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


@pytest.mark.parametrize("holder", ["model", "loss"])
def test_a_tensor_that_learns_beside_the_optimizers_is_refused(holder: str) -> None:
    network, bound = model(), Bound()
    free = md.Tensor(backend.to_device(np.ones(3, np.float32), "cupy"), requires_grad=True)
    optimizer = sgd(network)  # which would warn of it
    (network if holder == "model" else bound).free = free
    with pytest.raises(ValueError, match=rf"gradients of free of the {holder} would add up"):
        md.GraphedStep(network, optimizer, bound.loss)
