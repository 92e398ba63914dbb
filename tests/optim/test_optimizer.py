"""What every optimizer does: group, pass over, write in place, report, save, move, refuse."""

from __future__ import annotations

from collections.abc import Callable
from types import ModuleType
from typing import Any

import numpy as np
import pytest

import minidl as md
import minidl.functional as F
from minidl import backend, models
from minidl.errors import DeviceError, DTypeError, GraphError
from minidl.optim import SGD, AdaGrad, Adam, AdamW, LayerSpecific, Optimizer, RMSprop, clip_grad_norm_
from tests.arrays import host, tensor
from tests.optim.trajectories import Layer, Pair, give, scalar

METHODS: dict[str, Callable[..., Optimizer]] = {
    "sgd": lambda p, **options: SGD(p, lr=0.1, **options),
    "momentum": lambda p, **options: SGD(p, lr=0.1, momentum=0.9, dampening=0.1, weight_decay=0.01, **options),
    "caffe": lambda p, **options: SGD(p, lr=0.1, momentum=0.9, nesterov=True, momentum_form="caffe", **options),
    "adagrad": lambda p, **options: AdaGrad(p, lr=0.1, **options),
    "adagrad-layer": lambda p, **options: AdaGrad(p, lr=0.1, denominator="layer", **options),
    "rmsprop": lambda p, **options: RMSprop(p, lr=0.1, momentum=0.5, centered=True, **options),
    "adam": lambda p, **options: Adam(p, lr=0.1, weight_decay=0.01, **options),
    "adamw": lambda p, **options: AdamW(p, lr=0.1, **options),
}
every_method = pytest.mark.parametrize("method", METHODS.values(), ids=METHODS.keys())


def network() -> md.nn.Module:
    """A small network with weights from its seed."""
    backend.seed(3)
    return models.mlp((4, 5, 3))


def train(model: md.nn.Module, optimizer: Optimizer, steps: range) -> None:
    """Steps on a batch that depends on the step's number only."""
    for k in steps:
        rng = np.random.default_rng(k)
        inputs = tensor(rng.standard_normal((6, 4)).astype(np.float32))
        labels = tensor(rng.integers(0, 3, 6))
        optimizer.zero_grad()
        F.cross_entropy(model(inputs), labels).backward()
        optimizer.step()


def weights_of(model: md.nn.Module) -> list[Any]:
    return [host(p) for p in model.parameters()]


# ---- the rate


@pytest.mark.parametrize("lr", [-0.1, float("nan"), float("inf"), "fast", None])
def test_refuses_a_rate_that_is_none(lr: Any) -> None:
    with pytest.raises(ValueError, match="SGD: lr: expected a"):
        SGD([scalar()], lr=lr)
    optimizer = SGD([scalar()], lr=0.5)
    with pytest.raises(ValueError, match="SGD: lr: expected a"):
        optimizer.lr = lr
    assert optimizer.lr == 0.5


def test_the_rate_is_a_plain_float() -> None:
    optimizer = SGD([scalar()], lr=np.float32(0.5))
    assert type(optimizer.lr) is float
    optimizer.lr = 1
    assert type(optimizer.lr) is float


# ---- the step


@every_method
def test_passes_over_what_has_no_gradient_and_what_is_frozen(method: Any) -> None:
    model = Pair()
    optimizer = method(model)
    give(model.first.weight, [1, 1])
    give(model.second.weight, [1, 1])
    model.second.weight.requires_grad_(False)
    before = {name: host(p) for name, p in model.named_parameters()}
    optimizer.step()
    changed = {name for name, p in model.named_parameters() if (host(p) != before[name]).any()}
    assert changed == {"first.weight"}
    assert list(optimizer.layer_report()) == ["first"]
    assert optimizer.step_count == 1
    optimizer.zero_grad()
    optimizer.step()
    assert optimizer.layer_report() == {}


@every_method
@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
def test_writes_in_place_and_keeps_the_dtype(method: Any, dtype: str) -> None:
    parameters = [tensor(np.ones(shape, dtype), requires_grad=True) for shape in ((2, 3), ())]
    arrays = [p._data for p in parameters]
    optimizer = method(parameters, layer_rate=LayerSpecific())
    if hasattr(optimizer, "eps"):
        optimizer.eps = 1e-3  # float16 cannot hold the usual ones
    for _ in range(3):
        for p in parameters:
            give(p, np.full(p.shape, 0.5))
        optimizer.step()
    for p, array in zip(parameters, arrays, strict=True):
        assert p._data is array
        assert p.dtype == np.dtype(dtype)
        assert (host(p) < 1).all()


def test_a_graph_from_before_the_step_is_refused() -> None:
    w = tensor([1.0, 2.0], requires_grad=True)
    loss = (w * w).sum()
    loss.backward(retain_graph=True)
    SGD([w], lr=0.1).step()
    with pytest.raises(GraphError, match="overwritten"):
        loss.backward()
    (w * w).sum().backward()  # a new one is fine


def test_gradients_with_a_graph_are_used_as_numbers() -> None:
    w = tensor([1.0, 2.0], requires_grad=True)
    (w * w).sum().backward(create_graph=True)
    optimizer = SGD([w], lr=0.25, momentum=0.5, layer_rate=lambda view: 1.0)
    optimizer.step()
    np.testing.assert_allclose(host(w), [0.5, 1.0])
    assert w.requires_grad
    assert w.is_leaf
    optimizer.zero_grad()
    assert w.grad is None


@every_method
def test_trains(method: Any) -> None:
    model = network()
    optimizer = method(model, layer_rate=LayerSpecific())
    inputs, labels = tensor(np.eye(4, dtype=np.float32)), tensor(np.array([0, 1, 2, 0]))
    losses = []
    for _ in range(60):
        optimizer.zero_grad()
        loss = F.cross_entropy(model(inputs), labels)
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < 0.8 * losses[0]


def test_hooks_run_around_the_step_until_they_are_removed() -> None:
    w = scalar(1.0)
    give(w, [1])
    optimizer = SGD([w], lr=0.5)
    seen: list[Any] = []
    before = optimizer.register_step_pre_hook(lambda o: seen.append(("before", o.step_count, w.item())))
    after = optimizer.register_step_post_hook(lambda o: seen.append(("after", o.step_count, w.item())))
    optimizer.step()
    assert seen == [("before", 0, 1.0), ("after", 1, 0.5)]
    before.remove()
    with after:
        optimizer.step()
    optimizer.step()
    assert seen[2:] == [("after", 2, 0.0)]


@every_method
def test_a_step_does_not_wait_for_the_device(method: Any, standin: ModuleType) -> None:
    rates = (None, LayerSpecific(), LayerSpecific(norm_scope="tensor"), lambda view: 1 / (1 + view.gradient_norm))
    for rate in rates:
        with md.using("cupy"):
            model = models.mlp((4, 3, 2))
        for p in model.parameters():
            p.grad = md.Tensor(backend.to_device(np.ones(p.shape, np.float32), "cupy"))
        optimizer = method(model, layer_rate=rate)
        standin.reset_synchronizations()
        for _ in range(3):
            clip_grad_norm_(model.parameters(), 1.0)
            optimizer.step()
            raw = optimizer.raw_report
        assert standin.synchronizations() == ()
        assert backend.device_of(raw["fc1"].grad_norm) == "cupy"
        report = optimizer.layer_report()
        assert standin.synchronizations() != ()
        assert report["fc1"].grad_norm > 0
        assert report["fc1"].rate == pytest.approx(0.1 * report["fc1"].multiplier)


def test_a_subclass_that_steps_in_its_own_way_is_left_to_it() -> None:
    class Still(SGD):
        def update_all(self) -> None:
            """Nothing."""

    model = Layer([1.0, 2.0], [0.5], "float32")
    give(model.bias, [1])
    Still(model, lr=0.1).step()
    np.testing.assert_array_equal(host(model.bias), [0.5])


# ---- devices and dtypes


@every_method
def test_state_moves_with_the_model_or_an_error_says_how(method: Any, standin: ModuleType) -> None:
    with md.using("numpy"):
        model = models.mlp((4, 3, 2))

    def step(optimizer: Optimizer) -> None:
        for p in model.parameters():
            ones = backend.to_device(np.ones(p.shape, np.float32), p.device)
            p.grad = md.Tensor(ones)
        optimizer.step()

    early, used = method(model), method(model)
    step(used)
    model.to("cupy")
    step(early)  # remembered nothing yet
    if any(len(state) > 1 for state in used.state.values()) or any(used.layer_state.values()):
        with pytest.raises(DeviceError, match=r"build the optimizer after .to\(\), or call optimizer.to\('cupy'\)"):
            step(used)
    assert used.to("cupy") is used
    step(used)
    assert {p.device for p in model.parameters()} == {"cupy"}
    with pytest.raises(DeviceError, match="expected a backend"):
        used.to("cuda")


def test_a_gradient_left_on_the_other_device_is_named(standin: ModuleType) -> None:
    w = md.Tensor(np.ones(2), requires_grad=True, name="w")
    w.grad = md.Tensor(np.ones(2))
    w.data = backend.to_device(np.ones(2), "cupy")
    with pytest.raises(DeviceError, match="'w' is on cupy and its gradient on numpy"):
        SGD([w]).step()


def test_a_model_converted_afterwards_is_named() -> None:
    model = Layer([1.0, 2.0], [0.5], "float32")
    optimizer = SGD(model, momentum=0.9)
    for dtype in ("float32", "float64"):
        model.to(dtype=dtype)
        give(model.weight, [1, 1])
        if dtype == "float32":
            optimizer.step()
    with pytest.raises(DTypeError, match="'weight' is now float64, but its velocity is float32"):
        optimizer.step()


def test_an_optimizer_says_what_it_is() -> None:
    assert repr(Adam(network(), layer_rate=LayerSpecific())) == (
        "Adam(lr=0.001, betas=(0.9, 0.999), eps=1e-08, weight_decay=0.0, "
        "layer_rate=LayerSpecific(norm_scope='layer', norm_of='gradient', log='e'); 4 parameters in 2 layers)"
    )
    with pytest.raises(TypeError, match="abstract"):
        Optimizer(network(), lr=0.1)  # type: ignore[abstract]


@pytest.mark.parametrize("plain", [False, True])
@pytest.mark.skipif(backend.current() != "numpy", reason="arrays of a device can all be written to")
def test_a_weight_that_cannot_be_written_to_is_named_before_anything_has_changed(plain: bool) -> None:
    model = md.nn.Sequential(md.nn.Linear(2, 2), md.nn.Linear(2, 2))
    model[1].weight.data = np.broadcast_to(np.float32(0.5), (2, 2))
    optimizer = Adam(model, lr=0.1)
    (model(md.ones(1, 2)) ** 2).sum().backward()
    before = [host(p).copy() for p in model.parameters()]
    words = r"parameter '1.weight' is a read-only array.*p.data = p.data.copy\(\)"
    with md.plain() if plain else md.enable_grad(), pytest.raises(ValueError, match=words):
        optimizer.step()
    for p, array in zip(model.parameters(), before, strict=True):
        np.testing.assert_array_equal(host(p), array)
    assert all(state["steps"] == 0 for state in optimizer.state.values())
    model[1].weight.data = model[1].weight.data.copy()
    optimizer.step()


def test_the_report_says_what_the_step_used_though_the_raw_gradient_was_taken_before() -> None:
    x = tensor([3.0, 4.0], requires_grad=True)
    optimizer = SGD([x], lr=0.1)
    (x * x / 2).sum().backward()
    raw = x.grad.data  # type: ignore[union-attr]
    optimizer.step()
    raw[...] = 0
    assert next(iter(optimizer.layer_report().values())).grad_norm == pytest.approx(5.0)
