"""A step in one launch changes weights, state and report as the optimizers' own lines do."""

from __future__ import annotations

import gc
from collections.abc import Callable
from itertools import pairwise
from types import ModuleType
from typing import Any

import numpy as np
import pytest

import minidl as md
from minidl import backend
from minidl.fast.gpu.update import Fused
from minidl.optim import LARS, LayerSpecific, Replayed, TrustRatio
from tests.arrays import host
from tests.cupy_standin import cupy as standin_cupy
from tests.cupy_standin import kernels as standin_kernels

pytestmark = pytest.mark.skipif(standin_kernels.COMPILER is None, reason="kernels without a GPU need a C++ compiler")

OPTIMIZERS: dict[str, Callable[[Any], Any]] = {
    "sgd": lambda m: md.optim.SGD(m, lr=0.1),
    "momentum": lambda m: md.optim.SGD(m, lr=0.1, momentum=0.9, weight_decay=0.01),
    "dampening": lambda m: md.optim.SGD(m, lr=0.1, momentum=0.9, dampening=0.3),
    "nesterov": lambda m: md.optim.SGD(m, lr=0.1, momentum=0.9, nesterov=True),
    "caffe": lambda m: md.optim.SGD(m, lr=0.1, momentum=0.9, momentum_form="caffe", weight_decay=0.01),
    "caffe_nesterov": lambda m: md.optim.SGD(m, lr=0.1, momentum=0.9, momentum_form="caffe", nesterov=True),
    "layer_specific": lambda m: md.optim.SGD(m, lr=0.1, momentum=0.9, layer_rate=LayerSpecific()),
    "layer_specific_caffe": lambda m: md.optim.SGD(
        m, lr=0.1, momentum=0.9, momentum_form="caffe", layer_rate=LayerSpecific("tensor", "gradient+decay")
    ),
    "lars": lambda m: md.optim.SGD(m, lr=0.1, momentum=0.9, weight_decay=0.01, layer_rate=LARS()),
    "replayed": lambda m: md.optim.SGD(m, lr=0.1, layer_rate=Replayed([1.5, 0.5, 2.0, 1.0])),
    "adam": lambda m: md.optim.Adam(m, lr=0.01, weight_decay=0.01),
    "adam_layer_specific": lambda m: md.optim.Adam(m, lr=0.01, layer_rate=LayerSpecific()),
    "adamw": lambda m: md.optim.AdamW(m, lr=0.01, weight_decay=0.1),
    "rmsprop": lambda m: md.optim.RMSprop(m, lr=0.01, weight_decay=0.01),
    "rmsprop_centered": lambda m: md.optim.RMSprop(m, lr=0.01, centered=True),
    "rmsprop_momentum": lambda m: md.optim.RMSprop(m, lr=0.01, centered=True, momentum=0.9),
    "adagrad": lambda m: md.optim.AdaGrad(m, lr=0.1),
    "scaled": lambda m: md.optim.SGD(m, lr=0.1, momentum=0.9, weight_decay=0.1).scale("*.bias", lr=2.0, decay=0.0),
}
TOLERANCE = {"float16": 4e-3, "float32": 3e-6, "float64": 1e-13}


def fused_step(optimizer: Any) -> bool:
    """Whether the kernel can make the step; if so it does, but for the hooks and `step_count`."""
    fits = Fused.fits(optimizer)
    if fits:
        Fused.update_all(optimizer)
    return fits


def model(dtype: str, layers: int = 3) -> Any:
    """Layers of several sizes, the first with several pieces (2048 elements) to a weight."""
    md.seed(0)
    sizes = (70, 50, *(3,) * (layers - 1))
    linear = [md.nn.Linear(a, b) for a, b in pairwise(sizes)]
    network = md.nn.Sequential(*linear)
    for p in network.parameters():
        p.data = p.data.astype(dtype)
    return network


def give_gradients(network: Any, dtype: str, step: int) -> None:
    rng = np.random.default_rng(step)
    for p in network.parameters():
        grad = rng.standard_normal(p.shape).astype(dtype)
        p.grad = md.Tensor(backend.to_device(grad, p.device))


def pair(name: str, dtype: str, layers: int = 3) -> Any:
    """(model, optimizer) on the device and on NumPy, alike."""
    there, here = model(dtype, layers).to("cupy"), model(dtype, layers).to("numpy")
    return there, OPTIMIZERS[name](there), here, OPTIMIZERS[name](here)


@pytest.mark.usefixtures("cupy")
@pytest.mark.parametrize("dtype", list(TOLERANCE))
@pytest.mark.parametrize("name", OPTIMIZERS)
def test_four_steps(name: str, dtype: str) -> None:
    there, fused, here, plain = pair(name, dtype)
    for step in range(4):
        give_gradients(there, dtype, step)
        give_gradients(here, dtype, step)
        if step == 2:
            there[0].bias.grad = here[0].bias.grad = None  # one may be left out
            fused.lr = plain.lr = 0.05
        assert fused_step(fused)
        fused.step_count += 1
        plain.step()
    for (key, found), (other, expected) in zip(there.state_dict().items(), here.state_dict().items(), strict=True):
        assert key == other
        np.testing.assert_allclose(host(found), host(expected), rtol=0, atol=TOLERANCE[dtype], err_msg=key)
    state, expected_state = fused.state_dict(), plain.state_dict()
    assert set(state) == set(expected_state)
    for key, value in expected_state.items():
        np.testing.assert_allclose(
            np.asarray(state[key], np.float64), np.asarray(value, np.float64), rtol=TOLERANCE[dtype] * 5,
            atol=TOLERANCE[dtype] * 5, err_msg=key,
        )  # fmt: skip
    for layer, report in plain.layer_report().items():
        found_report = fused.layer_report()[layer]
        assert found_report.multiplier == pytest.approx(report.multiplier, rel=TOLERANCE[dtype])
        assert found_report.rate == pytest.approx(report.rate, rel=TOLERANCE[dtype])


@pytest.mark.usefixtures("cupy")
@pytest.mark.parametrize("name", [name for name in OPTIMIZERS if name.startswith(("ada", "rms"))])
def test_float16_is_computed_in_float32(name: str) -> None:
    there, fused, _, _ = pair(name, "float16")
    here = model("float16").to("numpy").float()
    plain = OPTIMIZERS[name](here)
    give_gradients(there, "float16", 0)
    for p, like in zip(here.parameters(), there.parameters(), strict=True):
        p.grad = md.Tensor(host(like.grad).astype(np.float32))
    assert fused_step(fused)
    plain.step()
    for found, expected in zip(there.parameters(), here.parameters(), strict=True):
        np.testing.assert_allclose(host(found), host(expected), rtol=0, atol=1e-3)


def test_it_is_one_launch_and_does_not_wait(standin: ModuleType) -> None:
    for name in ("momentum", "adam", "rmsprop_momentum", "adagrad"):
        there, fused, _, _ = pair(name, "float32")
        give_gradients(there, "float32", 0)
        fused_step(fused)  # makes the slots
        standin.reset_launches()
        standin.reset_synchronizations()
        assert fused_step(fused)
        assert len(standin.launches()) == 1
        assert standin.synchronizations() == ()


def test_a_layer_rate_never_leaves_the_device(standin: ModuleType) -> None:
    there, fused, _, _ = pair("layer_specific", "float32")
    give_gradients(there, "float32", 0)
    standin.reset_synchronizations()
    assert fused_step(fused)
    assert standin.synchronizations() == ()


def test_more_tensors_than_a_launch_takes(standin: ModuleType) -> None:
    there, fused, here, plain = pair("adam", "float64", layers=40)
    for step in range(2):
        give_gradients(there, "float64", step)
        give_gradients(here, "float64", step)
        standin.reset_launches()
        assert fused_step(fused)
        plain.step()
    assert standin.launches() == ("adam",) * 3
    for found, expected in zip(there.parameters(), here.parameters(), strict=True):
        np.testing.assert_allclose(host(found), host(expected), rtol=0, atol=1e-13)


def test_writes_are_counted(cupy: ModuleType) -> None:
    there, fused, _, _ = pair("sgd", "float32")
    x = md.Tensor(backend.to_device(np.ones((2, 70), np.float32), "cupy"))
    loss = (there(x) ** 2).sum()
    give_gradients(there, "float32", 0)
    assert fused_step(fused)
    with pytest.raises(md.GraphError, match="in place"):
        loss.backward()


def test_what_has_no_kernel_is_left_to_the_optimizer(cupy: ModuleType) -> None:
    there = model("float32").to("cupy")
    give_gradients(there, "float32", 0)
    before = host(there[0].weight)

    class Mine(md.optim.SGD):
        def direction(self, state: Any, gradient: Any, scaled: Any) -> Any:
            return -scaled

    for optimizer in (
        Mine(there, lr=0.1),
        md.optim.AdamW(there, layer_rate=TrustRatio()),
        md.optim.AdaGrad(there, denominator="layer"),
        md.optim.SGD(model("float32").to("numpy"), lr=0.1),
    ):
        assert not fused_step(optimizer)
    np.testing.assert_array_equal(host(there[0].weight), before)


def fourth_of(there: Any, here: Any, change: Callable[[Any], None]) -> None:
    """Gradients on both, and then `change` of each gradient's Tensor of the first layer."""
    for network in (there, here):
        give_gradients(network, "float32", 0)
        for p in network[0].parameters():
            change(p.grad)


def widen(grad: Any) -> None:  # as clipping by hand with a norm in float64 does
    grad.data = grad.data.astype(np.float64) * 0.5


def narrow(grad: Any) -> None:
    grad.data = grad.data[:1]


def turn(grad: Any) -> None:
    grad.data = backend.module_of(grad._data).asfortranarray(grad._data) if grad.ndim > 1 else grad.data[::-1]


@pytest.mark.usefixtures("cupy")
@pytest.mark.parametrize("change", [widen, narrow])
@pytest.mark.parametrize("name", ["sgd", "momentum", "adam"])
def test_gradients_of_another_dtype_or_shape_are_what_they_are_on_numpy(name: str, change: Any) -> None:
    there, fused, here, plain = pair(name, "float32")
    fourth_of(there, here, change)
    assert not fused_step(fused)
    fused.step()
    plain.step()
    for found, expected in zip(there.parameters(), here.parameters(), strict=True):
        np.testing.assert_allclose(host(found), host(expected), rtol=0, atol=2e-6)


@pytest.mark.usefixtures("cupy")
def test_a_saved_state_in_another_order_is_read_as_it_is() -> None:
    there, fused, here, plain = pair("momentum", "float32")
    for network, optimizer in ((there, fused), (here, plain)):
        give_gradients(network, "float32", 0)
        optimizer.step()
        state = optimizer.state_dict()
        optimizer.load_state_dict({key: np.array(value, order="F") for key, value in state.items()})
        give_gradients(network, "float32", 1)
    assert fused_step(fused)
    plain.step()
    for found, expected in zip(there.parameters(), here.parameters(), strict=True):
        np.testing.assert_allclose(host(found), host(expected), rtol=0, atol=2e-6)


@pytest.mark.usefixtures("cupy")
def test_parameters_that_share_an_array_are_updated_one_after_the_other() -> None:
    there, fused, here, plain = pair("sgd", "float32", layers=4)
    for network, optimizer in ((there, fused), (here, plain)):
        network[2].weight.data = network[1].weight._data
        give_gradients(network, "float32", 0)
        optimizer.step()
    assert not fused_step(fused)
    for found, expected in zip(there.parameters(), here.parameters(), strict=True):
        np.testing.assert_allclose(host(found), host(expected), rtol=0, atol=2e-6)


@pytest.mark.parametrize("name", ["adam", "dampening", "layer_specific"])
def test_too_little_memory_changes_nothing_and_says_what_helps(name: str, standin: ModuleType) -> None:
    there = model("float32").to("cupy")
    make = OPTIMIZERS[name]
    optimizer, pool = make(there), standin.cupy.get_default_memory_pool()
    plain = model("float32").to("cupy")
    other = make(plain)
    for network in (there, plain):
        give_gradients(network, "float32", 0)
    before = optimizer.state_dict()
    gc.collect()  # none later, which would make room
    for more in (512, 1024, 2048):
        pool.set_limit(pool.used_bytes() + more)
        try:
            with pytest.raises(MemoryError) as caught:
                optimizer.step()
        finally:
            pool.set_limit(None)
        assert "this program's arrays hold" in caught.value.__notes__[0]
        assert {state["steps"] for state in optimizer.state.values()} == {0}
        optimizer.load_state_dict(before)
    optimizer.step()
    other.step()
    for found, expected in zip(there.parameters(), plain.parameters(), strict=True):
        np.testing.assert_array_equal(host(found), host(expected))


@pytest.mark.usefixtures("cupy")
@pytest.mark.parametrize("name", ["sgd", "adam", "adamw_plain", "rmsprop_centered"])
@pytest.mark.parametrize("value", [np.inf, np.nan, 3e38])
def test_what_is_not_finite_spoils_what_it_does_on_numpy(name: str, value: float) -> None:
    rounded_twice = backend.module("cupy") is standin_cupy and standin_kernels.arithmetic == "cpu"
    if (name, value) == ("rmsprop_centered", 3e38) and not rounded_twice:
        pytest.skip("v - c c is inf - inf = NaN where c c is rounded first, inf by a fused multiply-add")
    make = {**OPTIMIZERS, "adamw_plain": lambda m: md.optim.AdamW(m, lr=0.1, weight_decay=0.0)}[name]
    networks = model("float32").to("cupy"), model("float32").to("numpy")
    optimizers = [make(network) for network in networks]
    for optimizer in optimizers:
        optimizer.weight_decay = 0.0
    for step in range(3):
        for network, optimizer in zip(networks, optimizers, strict=True):
            give_gradients(network, "float32", step)
            if step == 0:  # a weight and a gradient that have blown up, for one step
                network[0].weight.data[1, 2] = value
                network[0].weight.grad.data[2, 1] = value
            with np.errstate(all="ignore"):
                optimizer.step()
            network[0].weight.data[1, 2] = 1.0  # loaded again
    for found, expected in zip(networks[0].parameters(), networks[1].parameters(), strict=True):
        np.testing.assert_allclose(host(found), host(expected), rtol=1e-4, atol=2e-6)


@pytest.mark.usefixtures("cupy")
@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
def test_a_multiplier_or_a_rate_beyond_the_dtype_makes_no_nan(dtype: str) -> None:
    """The multiplier from the device, from the host, and a base rate."""
    for rate, lr, step in (
        (lambda view: view.gradient_norm * 0 + 2.0**130, 1.0, 1024),
        (Replayed([2.0**130]), 1.0, 1024),
        (None, 2.0**130, 1024),
        (Replayed([2.0**130]), 2.0**-10, 1),
    ):
        small = 2**-120 if dtype != "float16" else 2**-20
        w = md.Tensor(backend.to_device(np.zeros(2, dtype), "cupy"), requires_grad=True)
        w.grad = md.Tensor(backend.to_device(np.array([small, 0], dtype), "cupy"))
        for optimizer in (md.optim.SGD([w], lr=lr, layer_rate=rate), md.optim.Adam([w], lr=1e-3, layer_rate=rate)):
            w.data[...] = 0
            assert fused_step(optimizer)
            assert host(w)[1] == 0
            if dtype != "float16" and type(optimizer) is md.optim.SGD:
                assert host(w)[0] == -step


@pytest.mark.usefixtures("cupy")
@pytest.mark.parametrize("name", ["momentum", "adam", "rmsprop_centered", "rmsprop_momentum", "adagrad"])
def test_what_is_remembered_of_float16_is_float32(name: str) -> None:
    there, fused, _, _ = pair(name, "float16")
    for _ in range(2):
        for p in there.parameters():
            p.grad = md.Tensor(backend.to_device(np.full(p.shape, 6e-8, np.float16), "cupy"))
        assert fused_step(fused)
    assert {a.dtype for state in fused.state.values() for a in state.values() if backend.is_array(a)} == {
        np.dtype("f4")
    }
    assert all(np.isfinite(host(p)).all() for p in there.parameters())
