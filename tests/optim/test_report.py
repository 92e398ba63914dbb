"""What an optimizer tells about its last step."""

from __future__ import annotations

import gc
import weakref
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import minidl as md
from minidl.optim import SGD, LayerSpecific, clip_grad_norm_, clip_grad_value_, layer_view, norms
from tests.arrays import host
from tests.optim.trajectories import Pair, give


def test_the_report_is_there_for_every_rate_also_after_zero_grad() -> None:
    model = Pair()
    optimizer = SGD(model, lr=0.5)
    give(model.first.weight, [2, 1])
    give(model.first.bias, [2])
    optimizer.step()
    optimizer.zero_grad()
    optimizer.lr = 7
    report = optimizer.layer_report()["first"]
    assert (report.grad_norm, report.multiplier, report.rate, report.floored) == (pytest.approx(3), 1.0, 0.5, False)
    assert [type(value) for value in (report.grad_norm, report.multiplier, report.rate)] == [float] * 3
    assert SGD(model).layer_report() == {}


def test_the_largest_multiplier_is_known_without_waiting(standin: Any) -> None:
    for backend_name in ("numpy", "cupy"):
        with md.using(backend_name):
            model = Pair()
            optimizer = SGD(model, layer_rate=lambda view: {"first": 2.0, "second": view.gradient_norm}[view.name])
            assert optimizer.largest_multiplier() is None
            for size, expected in [(1, ("first", 2.0)), (3, ("second", pytest.approx(3 * 2**0.5)))]:
                for p in (model.first.weight, model.second.weight):
                    give(p, np.full(p.shape, size))
                optimizer.step()
                standin.reset_synchronizations()
                found = optimizer.largest_multiplier()
                assert standin.synchronizations() == ()
                assert found == (expected if backend_name == "numpy" else ("first", 2.0))
    optimizer.layer_rate = md.optim.Uniform()
    assert optimizer.largest_multiplier() is None


ZEROING: dict[str, Callable[[md.Tensor], Any]] = {
    "grad *= 0": lambda grad: grad.__imul__(0),
    "grad[...] = 0": lambda grad: grad.__setitem__(..., 0),
    "grad[0] = 0": lambda grad: grad.__setitem__(0, 0),
    "grad.data[...] = 0": lambda grad: grad.data.__setitem__(..., 0),
    "grad.data = 0": lambda grad: setattr(grad, "data", grad._data * 0),
    "a view": lambda grad: grad.reshape(-1).__setitem__(..., 0),
    "detached": lambda grad: grad.detach().__imul__(0),
}


@pytest.mark.parametrize("rate", [None, LayerSpecific()], ids=repr)
@pytest.mark.parametrize("zero", ZEROING.values(), ids=ZEROING.keys())
def test_the_report_is_about_the_gradients_of_the_step_also_after_they_were_zeroed_in_place(
    zero: Any, rate: Any
) -> None:
    model = Pair()
    optimizer = SGD(model, lr=0.5, layer_rate=rate)
    for k in (1, 2):
        for p in (model.first.weight, model.first.bias, model.second.weight):
            give(p, np.full(p.shape, k))
        optimizer.step()
        for p in (model.first.weight, model.first.bias, model.second.weight):
            zero(p.grad)
            assert host(p.grad)[0] == 0
        report = optimizer.layer_report()
        assert report["first"].grad_norm == pytest.approx(k * 3**0.5)
        assert report["second"].grad_norm == pytest.approx(k * 2**0.5)


def test_clipping_between_two_steps_leaves_the_report_as_it_is() -> None:
    for clip in (lambda p: clip_grad_norm_(p, 0.1), lambda p: clip_grad_value_(p, 0.1)):
        model = Pair()
        optimizer = SGD(model, lr=0.5)
        give(model.first.weight, [3, 4])
        optimizer.step()
        clip(model.parameters())
        assert optimizer.layer_report()["first"].grad_norm == pytest.approx(5)


def test_two_optimizers_of_one_parameter_both_report_it() -> None:
    model = Pair()
    optimizers = [SGD(model, lr=0.5), SGD(model, lr=0.1, momentum=0.9)]
    give(model.first.weight, [3, 4])
    for optimizer in optimizers:
        optimizer.step()
    assert model.first.weight.grad is not None
    model.first.weight.grad *= 0
    assert [o.layer_report()["first"].grad_norm for o in optimizers] == pytest.approx([5, 5])


def test_nothing_is_computed_for_it_unless_somebody_asks_or_writes(monkeypatch: pytest.MonkeyPatch) -> None:
    measured = []
    monkeypatch.setattr(layer_view, "l2_norm", lambda arrays: measured.append(1) or norms.l2_norm(arrays))
    model = Pair()
    optimizer = SGD(model, lr=0.5)
    for _ in range(3):
        (model.first.weight * 3).sum().backward()
        optimizer.step()
        optimizer.zero_grad()
    assert measured == []


def test_it_keeps_the_gradients_until_the_next_step_and_no_longer() -> None:
    """Though somebody holds one of them; and without the collector."""
    model = Pair()
    optimizer = SGD(model, lr=0.5)
    held, arrays = [], []
    gc.collect()
    gc.disable()
    try:
        for _ in range(3):
            for p in model.parameters():
                give(p, np.ones(p.shape))
            arrays.append(weakref.ref(model.first.weight.grad._data))
            held.append(model.first.bias.grad)
            optimizer.step()
            optimizer.zero_grad()
        assert [array() is not None for array in arrays] == [False, False, True]
        del optimizer
        assert arrays[-1]() is None
        held[0] *= 0  # the report that would measure it now is gone
    finally:
        gc.enable()
