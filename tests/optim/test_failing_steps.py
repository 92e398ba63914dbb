"""A step that fails, whatever for, has changed nothing: no weight, nothing remembered, no count."""

from __future__ import annotations

from collections.abc import Callable
from types import ModuleType
from typing import Any

import numpy as np
import pytest

import minidl as md
from minidl import backend
from minidl.autograd.variable import writes_of
from minidl.errors import DeviceError, ShapeError
from minidl.optim import SGD, LayerView, Optimizer
from tests.arrays import host
from tests.optim.test_optimizer import every_method
from tests.optim.trajectories import Layer, Pair, give


class RaisesAt:
    """A layer rate that refuses one layer while it is told to."""

    def __init__(self, layer: str, applies_to: str) -> None:
        self.layer = layer
        self.applies_to = applies_to
        self.raises = False

    def __call__(self, view: LayerView) -> float:
        if self.raises and view.name == self.layer:
            raise ArithmeticError("this layer has no rate")
        return 0.5


class Careless(SGD):
    """A method of a user's, which runs out of memory in the second parameter."""

    calls = 0
    raises = False

    def direction(self, state: dict[str, Any], gradient: Any, scaled: Any) -> Any:
        self.calls += 1
        if self.raises and self.calls > 1:
            raise MemoryError("no room")
        return super().direction(state, gradient, scaled)


def everything(model: md.nn.Module, optimizer: Optimizer) -> dict[str, Any]:
    """All that a step changes."""
    found: dict[str, Any] = {name: host(p) for name, p in model.named_parameters()}
    found |= {f"count of {name}": writes_of(p).count for name, p in model.named_parameters()}
    return found | {f"state {key}": np.array(value) for key, value in optimizer.state_dict().items()}


def assert_unchanged_by(step: Callable[[], Any], error: type[Exception], model: Any, optimizer: Optimizer) -> None:
    before, reported = everything(model, optimizer), optimizer.layer_report()
    with pytest.raises(error):
        step()
    after = everything(model, optimizer)
    assert after.keys() == before.keys()
    for key, value in before.items():
        np.testing.assert_array_equal(after[key], value, err_msg=key)
    assert optimizer.layer_report() == reported


@pytest.mark.parametrize("first", [True, False], ids=["in the first step", "later"])
@pytest.mark.parametrize("applies_to", ["gradient", "update"])
@every_method
def test_a_layer_rate_that_raises_in_the_second_layer_has_changed_nothing(
    method: Any, applies_to: str, first: bool
) -> None:
    rate = RaisesAt("second", applies_to)
    models = Pair(), Pair()
    optimizer, twin = (method(model, layer_rate=rate) for model in models)
    for k in range(3):
        for model in models:
            for p in model.parameters():
                give(p, np.full(p.shape, 0.5 + k))
        twin.step()
        if k == (0 if first else 1):
            rate.raises = True
            assert_unchanged_by(optimizer.step, ArithmeticError, models[0], optimizer)
            rate.raises = False
        optimizer.step()
    for ours, expected in zip(models[0].parameters(), models[1].parameters(), strict=True):
        np.testing.assert_array_equal(host(ours), host(expected))


def elsewhere(grad: md.Tensor) -> Any:
    return backend.to_device(grad._data, "cupy" if grad.device == "numpy" else "numpy")


@every_method
def test_a_gradient_that_does_not_fit_has_changed_nothing(method: Any, standin: ModuleType) -> None:
    model = Pair()
    optimizer = method(model)
    for spoil in (
        lambda grad: setattr(grad, "_data", np.ones((5, 7))),
        lambda grad: setattr(grad, "_data", elsewhere(grad)),
    ):
        for p in model.parameters():
            give(p, np.full(p.shape, 0.5))
        spoil(model.second.bias.grad)
        assert_unchanged_by(optimizer.step, (ShapeError, DeviceError), model, optimizer)  # type: ignore[arg-type]


@pytest.mark.parametrize("rate", [None, RaisesAt("none", "update")], ids=["", "with a rate for the update"])
def test_a_method_of_a_users_that_fails_has_changed_nothing(rate: Any) -> None:
    model = Pair()
    optimizer = Careless(model, lr=0.1, momentum=0.9, layer_rate=rate)
    for raises in (False, True):
        for p in model.parameters():
            give(p, np.full(p.shape, 0.5))
        optimizer.calls, optimizer.raises = 0, raises
        if raises:
            assert_unchanged_by(optimizer.step, MemoryError, model, optimizer)
        else:
            optimizer.step()


def test_a_direction_that_does_not_fit_its_parameter_is_named() -> None:
    class Wide(SGD):
        def direction(self, state: dict[str, Any], gradient: Any, scaled: Any) -> Any:
            return backend.module_of(scaled).stack([scaled, scaled])

    model = Layer([1.0, 2.0], [0.5], "float32")
    give(model.bias, [1])
    optimizer = Wide(model, lr=0.1)
    with pytest.raises(ShapeError, match=r"the direction of Wide for 'bias' is of shape \(2, 1\); expected .*\(1,\)"):
        optimizer.step()
    np.testing.assert_array_equal(host(model.bias), [0.5])
