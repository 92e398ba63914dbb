"""`md.break_on` stops where all that was asked for is met: in the op's own lines, once each time."""

from __future__ import annotations

import gc
import sys
import threading
import weakref
from types import FrameType
from typing import Any

import numpy as np
import pytest

import minidl as md
import minidl.functional as F
from minidl import nn
from minidl.autograd.hooks import after_step, before_step
from minidl.autograd.modes import OBSERVED, mode
from tests.arrays import device, host, tensor

Stop = tuple[str, str]  # class, method


@pytest.fixture
def stops(monkeypatch: pytest.MonkeyPatch) -> list[Stop]:
    """Where `breakpoint()` was called: ("Mul", "forward"); the frame is that of the method of the class's own file."""
    found: list[Stop] = []

    def hook() -> None:
        frame: FrameType = sys._getframe(1)
        this = frame.f_locals["self"]
        method = getattr(type(this).plain, frame.f_code.co_name)
        assert frame.f_code.co_filename == method.__code__.co_filename
        assert frame.f_code.co_firstlineno == method.__code__.co_firstlineno
        found.append((type(this).__name__, frame.f_code.co_name))

    monkeypatch.setattr(sys, "breakpointhook", hook)
    return found


def pair() -> tuple[md.Tensor, md.Tensor]:
    return tensor(np.array([1.0, 2.0]), requires_grad=True), tensor(np.array([3.0, 4.0]), requires_grad=True)


def training(steps: int = 2) -> None:
    md.seed(0)
    model = md.models.mlp((4, 3, 2), activation="relu")
    optimizer = md.optim.SGD(model, lr=0.1)
    for _ in range(steps):
        loss = F.cross_entropy(model(md.ones(5, 4)), device([0, 1, 0, 1, 0]))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()


# ---- where it stops


@pytest.mark.parametrize("op", ["Mul", md.ops.Mul])
def test_an_op_forward_and_backward(op: Any, stops: list[Stop]) -> None:
    w, x = pair()
    with md.break_on(op=op) as stop:
        F.sum(w * x + w).backward()
    assert stops == [("Mul", "forward"), ("Mul", "backward")]
    assert stop.stops == 2
    np.testing.assert_array_equal(host(w.grad), [4, 5])
    (w * x).sum().backward()
    assert len(stops) == 2


def test_one_phase(stops: list[Stop]) -> None:
    w, x = pair()
    with md.break_on(op="Mul", phase="backward"):
        loss = F.sum(w * x)
        loss.backward(retain_graph=True)
        loss.backward()
    assert stops == [("Mul", "backward")] * 2
    assert type(loss._op) is md.ops.Sum or type(loss._op).plain is md.ops.Sum


def test_the_op_that_stops_runs_plain_lines_and_gives_the_same(stops: list[Stop]) -> None:
    x = tensor(np.linspace(-1, 1, 12).reshape(3, 4), requires_grad=True)
    F.sum(F.softmax(F.relu(x)) ** 2).backward()
    expected, x.grad = host(x.grad), None
    with md.break_on(op="ReLU"), md.break_on(op="Softmax"):
        F.sum(F.softmax(F.relu(x)) ** 2).backward()
    np.testing.assert_allclose(host(x.grad), expected)
    assert sorted(stops) == sorted((op, method) for op in ("ReLU", "Softmax") for method in ("forward", "backward"))


def test_second_derivatives(stops: list[Stop]) -> None:
    w, x = pair()
    with md.break_on(op="Mul", phase="backward"):
        (grad,) = md.grad(F.sum(w * w * x), [w], create_graph=True)
    assert len(stops) == 2
    np.testing.assert_allclose(host(md.grad(grad.sum(), w)), 2 * host(x))


def test_a_layer_in_all_phases(stops: list[Stop]) -> None:
    with md.break_on(layer="fc2"):
        training(1)
    assert stops == [("Linear", "forward"), ("Linear", "backward"), ("SGD", "update_layer")]


def test_a_layer_inside_another(stops: list[Stop]) -> None:
    class Net(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.body = nn.Sequential(nn.Linear(2, 2), nn.Tanh())
            self.head = nn.Linear(2, 1)

        def forward(self, x: Any) -> Any:
            return self.head(self.body(x))

    with md.break_on(layer="body", phase="forward"):
        Net()(md.ones(1, 2))
    assert stops == [("Linear", "forward"), ("Tanh", "forward")]


def test_an_update_of_one_step(stops: list[Stop]) -> None:
    with md.break_on(phase="update", step=2) as stop:
        training(3)
    assert stops == [("SGD", "update_layer")] * 2
    assert repr(stop) == "break_on(phase='update', step=2; stopped 2 times, removed)"
    with md.break_on(op="SGD", layer="fc1"):
        training(1)
    assert len(stops) == 3


def test_breakpoints_that_meet_stop_once_and_all_count(stops: list[Stop]) -> None:
    """As those of a notebook's cell that was run twice."""
    w, x = pair()
    with md.break_on(op="Mul") as first, md.break_on(when=lambda op, *arrays: len(arrays) == 2) as second:
        (w * x).sum().backward()
    assert stops == [("Mul", "forward"), ("Mul", "backward")]
    assert (first.stops, second.stops) == (2, 1)
    with md.break_on(phase="update") as first, md.break_on(op="SGD", layer="fc1") as second:
        training(2)
    assert stops[2:] == [("SGD", "update_layer")] * 4
    assert (first.stops, second.stops) == (4, 2)
    np.testing.assert_array_equal(host(w.grad), [3, 4])


def test_the_others_stop_on_when_one_is_removed_at_its_prompt(monkeypatch: pytest.MonkeyPatch) -> None:
    first, second = md.break_on(phase="update"), md.break_on(phase="update")
    monkeypatch.setattr(sys, "breakpointhook", first.remove)
    training(1)
    assert (first.stops, second.stops) == (1, 2)
    second.remove()


def test_a_step_that_an_error_has_left_is_counted_once(monkeypatch: pytest.MonkeyPatch) -> None:
    model = md.models.mlp((4, 3, 2), activation="relu")
    optimizer = md.optim.SGD(model, lr=0.1)
    model(md.ones(5, 4)).sum().backward()
    with md.break_on(phase="update") as first, md.break_on(op="SGD") as second:
        monkeypatch.setattr(sys, "breakpointhook", lambda: 1 / 0)  # as the `q` of pdb
        with pytest.raises(ZeroDivisionError):
            optimizer.step()
        monkeypatch.setattr(sys, "breakpointhook", lambda: None)
        optimizer.step()
        assert (first.stops, second.stops) == (3, 3)
    assert type(optimizer) is md.optim.SGD


def test_a_step_of_another_thread_takes_no_stop_away(monkeypatch: pytest.MonkeyPatch) -> None:
    def meanwhile() -> None:
        thread = threading.Thread(target=training, args=(1,))
        thread.start()
        thread.join()

    monkeypatch.setattr(sys, "breakpointhook", meanwhile)
    with md.break_on(phase="update") as stop:
        training(1)
    assert stop.stops == 2


def test_what_is_computed_at_the_prompt_of_an_update_takes_no_stop_away(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "breakpointhook", lambda: md.ones(2) * 2)
    with md.break_on(phase="update") as stop:
        training(1)
    assert stop.stops == 2


def test_a_condition_may_remove_its_breakpoints(stops: list[Stop]) -> None:
    model = md.models.mlp((4, 3, 2), activation="relu")
    optimizer, asked = md.optim.SGD(model, lr=0.1), []
    model(md.ones(5, 4)).sum().backward()

    def when(*seen: Any) -> bool:
        asked.append(seen)
        first.remove()
        second.remove()
        return True

    first = md.break_on(phase="update")
    second = md.break_on(phase="update", when=when)
    optimizer.step()
    optimizer.step()
    assert (len(asked), stops, type(optimizer)) == (1, [], md.optim.SGD)


def test_a_stop_that_an_error_prevents_is_not_counted(stops: list[Stop]) -> None:
    def when(*seen: Any) -> bool:
        raise ZeroDivisionError

    first, second = md.break_on(phase="update"), md.break_on(phase="update", when=when)
    with pytest.raises(ZeroDivisionError):
        training(1)
    assert (first.stops, stops) == (0, [])
    first.remove()
    second.remove()


def test_a_condition_sees_the_class_that_the_op_has(stops: list[Stop]) -> None:
    w, x = pair()
    kinds: list[type] = []
    with md.break_on(op="Mul"), md.break_on(phase="forward", when=lambda op, *arrays: kinds.append(type(op).plain)):
        w * x
    assert kinds == [md.ops.Mul]


def test_an_op_with_odd_slots_stops_too(stops: list[Stop]) -> None:
    class Odd(md.Function):
        __slots__ = ("_stops", "was")

        def forward(self, x: Any) -> Any:
            return x * 2

        def backward(self, grad_out: Any) -> Any:
            return grad_out * 2

    w, _ = pair()
    with md.break_on(op="Odd"), md.break_on(op=Odd):
        Odd()(w).sum().backward()
    assert stops == [("Odd", "forward"), ("Odd", "backward")]


def test_a_step_begins_with_its_forward(stops: list[Stop]) -> None:
    with md.break_on(op="ReLU", step=3):
        training(3)
    assert stops == [("ReLU", "forward"), ("ReLU", "backward")]


def test_a_condition_is_given_the_op_and_its_arrays(stops: list[Stop]) -> None:
    w, x = pair()
    with md.break_on(op="Mul", phase="forward", when=lambda op, a, b: a[0] > 2):
        F.sum((w * x) * x)
    assert len(stops) == 1
    with md.break_on(phase="backward", when=lambda node, grad, *saved: len(saved) == 2 and F.sum(md.Tensor(grad)) > 5):
        F.sum((w * x) * x).backward()
    assert stops[1:] == [("Mul", "backward")]
    with md.break_on(phase="update", when=lambda optimizer, *grads: len(grads) == 2 and optimizer.step_count == 1):
        training(3)
    assert stops[2:] == [("SGD", "update_layer")] * 2


def test_an_op_of_ones_own(stops: list[Stop]) -> None:
    class Twice(md.Function):
        def forward(self, x: Any) -> Any:
            return 2 * x

        def backward(self, grad_out: Any) -> Any:
            return 2 * grad_out

    w, _ = pair()
    with md.break_on(op=Twice):
        Twice()(w).sum().backward()
    with md.break_on(op="Twice", phase="forward"):
        Twice()(w)
    assert stops == [("Twice", "forward"), ("Twice", "backward"), ("Twice", "forward")]


# ---- when it is there


def test_as_a_statement_until_it_is_removed(stops: list[Stop]) -> None:
    w, x = pair()
    stop = md.break_on(op="Mul")
    w * x
    stop.remove()
    stop.remove()
    w * x
    assert len(stops) == 1
    assert repr(stop) == "break_on(op='Mul'; stopped 1 time, removed)"
    assert not mode.get() & OBSERVED
    assert not before_step
    assert not after_step


def test_the_graph_of_an_op_that_stopped_goes_when_its_result_goes(stops: list[Stop]) -> None:
    w, x = pair()
    stop = md.break_on(op="Mul")
    y, last = w * x, weakref.ref(w)
    del w, y
    assert stops == [("Mul", "forward")]
    assert last() is None
    stop.remove()


def test_the_classes_that_stop_go_too(stops: list[Stop]) -> None:
    w, x = pair()
    for _ in range(3):
        with md.break_on(op="Mul"):
            (w * x).sum().backward()
    gc.collect()
    assert len(stops) == 6
    assert not [cls for cls in md.ops.Mul.__subclasses__() if hasattr(cls, "_minidl_waiting")]


def test_another_thread_does_not_stop(stops: list[Stop]) -> None:
    w, x = pair()
    with md.break_on(op="Mul"), md.break_on(phase="update"):
        thread = threading.Thread(target=lambda: ((w * x).sum().backward(), training(1)))
        thread.start()
        thread.join()
    assert not stops


def test_a_copy_that_a_tape_keeps_does_not_stop(stops: list[Stop]) -> None:
    w, x = pair()
    with md.break_on(op="Mul", phase="forward"), md.record() as tape:
        w * x
    (op,) = tape.program.ops.values()
    np.testing.assert_array_equal(op.forward(np.ones(2), np.ones(2)), [1, 1])
    assert stops == [("Mul", "forward")]


def test_an_error_in_the_op_leaves_it_as_it_was(stops: list[Stop]) -> None:
    w, _ = pair()
    with md.break_on(op="MatMul"), pytest.raises(md.ShapeError):
        w @ md.ones(3, 3)
    assert stops == [("MatMul", "forward")]


def test_pythonbreakpoint_0_turns_it_off(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "breakpointhook", sys.__breakpointhook__)
    monkeypatch.setenv("PYTHONBREAKPOINT", "0")
    w, x = pair()
    with md.break_on(op="Mul"):
        np.testing.assert_array_equal(host(w * x), [3, 8])


# ---- what is refused


@pytest.mark.parametrize(
    ("options", "error", "words"),
    [
        ({}, ValueError, "say where to stop: op=, layer=, phase=, step=, when="),
        ({"op": "mul"}, ValueError, "no op called 'mul': did you mean 'Mul'"),
        ({"op": "cross_entropy"}, ValueError, "did you mean 'CrossEntropy'"),
        ({"op": "SGDD", "phase": "update"}, ValueError, "no optimizer called 'SGDD': did you mean 'SGD'"),
        ({"op": F.relu}, TypeError, "relu is a function; give the op that it calls, or its name: did you mean 'ReLU'"),
        ({"op": nn.Linear}, TypeError, "Linear is a layer's class; name the layer, as in layer='fc1'"),
        ({"op": 3}, TypeError, "expected op as a name or a class, 'Mul' or md.ops.Mul; got 3"),
        ({"op": md.ops.Mul, "phase": "update"}, ValueError, "Mul is an op, and ops have no update"),
        ({"op": md.optim.SGD, "phase": "forward"}, ValueError, "SGD is an optimizer, and optimizers have no forward"),
        ({"phase": "backwards"}, ValueError, "expected 'forward' or 'backward' or 'update'; got 'backwards'"),
        ({"step": 0}, ValueError, "step: expected a whole number of at least 1; got 0"),
        ({"layer": 1}, TypeError, "expected layer as a dotted name"),
        ({"when": True}, TypeError, "expected when as a function"),
    ],
)
def test_bad_arguments(options: dict[str, Any], error: type[Exception], words: str) -> None:
    with pytest.raises(error, match=words):
        md.break_on(**options)
    assert not mode.get() & OBSERVED


def test_a_condition_that_returns_an_array() -> None:
    w, x = pair()
    with md.break_on(when=lambda op, *arrays: arrays[0] > 0), pytest.raises(ValueError, match=r"use \.any\(\)"):
        w * x


def test_a_condition_that_takes_other_arrays_is_told_which_it_gets() -> None:
    w, x = pair()
    with md.break_on(op="Mul", when=lambda op, a, b: False), pytest.raises(TypeError) as caught:
        (w * x).sum().backward()
    (note,) = [note for note in caught.value.__notes__ if "when" in note]
    assert "called with Mul() of Tensor (2,), Tensor (2,) and 3 arrays" in note
    assert "when(op, grad_out, *saved) in the backward" in note


def test_an_op_or_layer_that_is_never_called_is_said() -> None:
    w, x = pair()
    with pytest.warns(UserWarning, match=r"no such op was called; there were 'Mul', 'Sum'"), md.break_on(op="Sub"):
        (w * x).sum().backward()
    with pytest.warns(UserWarning, match=r"no such layer was called; there were 'fc1'"), md.break_on(layer="fc9"):
        training(1)
