"""minidl/fast/cpu/usual_step.py: the step without a plan is the one with a plan, and leaves the same behind."""

from __future__ import annotations

import copy
import gc
import weakref
from typing import Any

import numpy as np
import pytest

import minidl as md
from minidl.autograd.writes import activity
from minidl.fast.cpu import update, usual_step
from minidl.optim import SGD, LayerSpecific
from tests.optim.test_optimizer import every_method

pytestmark = pytest.mark.usefixtures("faster_versions")


def parameters(*shapes: tuple[int, ...], dtype: str = "float32") -> list[md.Tensor]:
    rng = np.random.default_rng(0)
    return [md.Tensor(np.asarray(rng.standard_normal(s)).astype(dtype), requires_grad=True) for s in shapes]


def give(params: list[md.Tensor], seed: int = 1) -> None:
    rng = np.random.default_rng(seed)
    for p in params:
        p.grad = md.Tensor(np.asarray(rng.standard_normal(p.shape)).astype(p.dtype))


def trained(make: Any, params: list[md.Tensor], steps: int = 4) -> tuple[list[Any], Any]:
    optimizer = make(params)
    for step in range(steps):
        give(params, step)
        optimizer.step()
    return [p._data for p in params], optimizer


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[bool]:
    """Whether each step was a usual one."""
    answers: list[bool] = []

    def asking(*arguments: Any) -> bool:
        answers.append(usual_step.usual_step(*arguments))
        return answers[-1]

    monkeypatch.setattr(update, "usual_step", asking)
    return answers


@every_method
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_it_makes_the_step_of_the_plan(method: Any, dtype: str, monkeypatch: pytest.MonkeyPatch) -> None:
    shapes = ((9, 5), (33,), (), (0, 3), (400, 300))
    found, ours = trained(method, parameters(*shapes, dtype=dtype))
    monkeypatch.setattr(update, "usual_step", lambda *arguments: False)
    expected, theirs = trained(method, parameters(*shapes, dtype=dtype))
    for a, b in zip(found, expected, strict=True):
        np.testing.assert_array_equal(a, b)
    assert ours.state_dict().keys() == theirs.state_dict().keys()
    assert ours.layer_report() == theirs.layer_report()


def test_the_first_step_that_has_to_make_slots_is_planned_and_the_others_are_not(asked: list[bool]) -> None:
    trained(lambda p: SGD(p, lr=0.1, momentum=0.9), parameters((3, 2)))
    assert asked == [False, True, True, True]
    asked.clear()
    trained(lambda p: SGD(p, lr=0.1), parameters((3, 2)))
    assert asked == [True] * 4


UNUSUAL = {
    "a layer rate": lambda p: SGD(p, lr=0.1, layer_rate=LayerSpecific()),
    "a scale": lambda p: SGD(p, lr=0.1).scale("*", lr=2.0),
    "a rate of 0": lambda p: SGD(p, lr=0.0),
    "a rate beyond float32": lambda p: SGD(p, lr=1e-42),
}


@pytest.mark.parametrize("make", UNUSUAL.values(), ids=UNUSUAL.keys())
def test_what_is_unusual_has_a_plan(make: Any, asked: list[bool]) -> None:
    trained(make, parameters((3, 2)))
    assert not any(asked)


def test_float16_has_a_plan(asked: list[bool]) -> None:
    trained(lambda p: SGD(p, lr=0.1), parameters((3, 2), dtype="float16"))
    assert not any(asked)


def test_a_parameter_that_cannot_be_written_to_is_refused_before_another_is_written() -> None:
    first, second = params = parameters((3,), (3,))
    second.data.flags.writeable = False
    give(params)
    before = first._data.copy()
    with pytest.raises(ValueError, match="read-only array"):
        SGD(params, lr=0.1).step()
    np.testing.assert_array_equal(first._data, before)


def test_frozen_ones_and_those_without_a_gradient_are_passed_over() -> None:
    params = parameters((3,), (3,), (3,))
    give(params)
    params[0].requires_grad, params[1].grad = False, None
    before = [p._data.copy() for p in params]
    optimizer = SGD(params, lr=0.1)
    optimizer.step()
    assert [bool((p._data == b).all()) for p, b in zip(params, before, strict=True)] == [True, True, False]
    assert list(optimizer.layer_report()) == [optimizer.layers[2].name]
    assert [state["steps"] for state in optimizer.state.values()] == [0, 0, 1]


def test_the_writes_are_counted() -> None:
    params = parameters((3,), (3,))
    loss = (params[0] * params[1]).sum()
    give(params)
    before = activity.count
    SGD(params, lr=0.1).step()
    assert activity.count == before + 2
    with pytest.raises(md.GraphError, match="written"):
        loss.backward()


def test_new_data_of_a_parameter_is_what_is_updated() -> None:
    (p,) = params = parameters((3,))
    optimizer = SGD(params, lr=0.5)
    for value in (1.0, 5.0):
        p.data = np.full(3, value, np.float32)
        p.grad = md.Tensor(np.ones(3, np.float32))
        optimizer.step()
        np.testing.assert_array_equal(p._data, np.full(3, value - 0.5, np.float32))


def test_the_report_waits_and_is_about_the_gradients_of_the_step() -> None:
    (p,) = params = parameters((2,))
    p.grad = md.Tensor(np.array([3.0, 4.0], np.float32))
    one, two = SGD(params, lr=0.1), SGD(params, lr=0.2)
    one.step()
    two.step()
    raw = p.grad.data  # who has it may write to it unseen: the norms are computed now
    raw[...] = 0
    for optimizer in (one, two):
        (report,) = optimizer.layer_report().values()
        assert (report.grad_norm, report.multiplier, report.rate) == (pytest.approx(5), 1.0, optimizer.lr)
    one.step()
    (report,) = one.layer_report().values()
    assert report.grad_norm == 0


def test_what_is_remembered_is_a_sequence_that_can_be_copied_and_goes_with_the_next_step() -> None:
    params = parameters((2,), (3,))
    give(params)
    optimizer = SGD(params, lr=0.1)
    optimizer.step()
    last = optimizer._last
    assert len(last) == 2
    assert [seen.view.name for seen in last] == [last[0].view.name, last[1].view.name]
    assert len(last[:1]) == 1
    assert copy.deepcopy(optimizer).layer_report() == optimizer.layer_report()
    gone = weakref.ref(last)
    del last
    give(params)
    optimizer.step()
    gc.collect()
    assert gone() is None
