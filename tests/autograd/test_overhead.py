"""What the engine costs beside the arithmetic, counted and not timed: calls of minidl's own functions, and objects.

A number here may only go down. Whoever adds a call to what every op does finds it here; a feature that is off (hooks,
anomaly mode, recorders) is not to be seen at all. Counted with the faster versions, which are there to cost little.
"""

from __future__ import annotations

import gc
import sys
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from types import FrameType
from typing import Any

import numpy as np
import pytest

import minidl as md
import minidl.functional as F
from minidl.autograd.writes import activity

pytestmark = pytest.mark.usefixtures("faster_versions")

HERE = str(Path(md.__file__).parent)


@pytest.fixture(autouse=True)
def _nobody_watches_other_arrays(monkeypatch: pytest.MonkeyPatch) -> None:
    """Such as those that other tests have looked at and still hold."""
    monkeypatch.setattr(activity, "guards", 0)


def calls(action: Callable[[], Any]) -> Counter[str]:
    """How often which function of minidl was called, as 'autograd.py Function.__call__'; warmed up before."""
    action()
    found: Counter[str] = Counter()

    def profile(frame: FrameType, event: str, argument: Any) -> None:
        code = frame.f_code
        if event == "call" and code.co_filename.startswith(HERE) and "<" not in code.co_name:  # 3.12 inlines these
            found[f"{Path(code.co_filename).relative_to(HERE).as_posix()} {code.co_qualname}"] += 1

    sys.setprofile(profile)
    try:
        action()
    finally:
        sys.setprofile(None)
    return found


def leaves(*shape: int) -> list[md.Tensor]:
    """Three tensors on NumPy, whatever the backend under test: kernels count differently."""
    return [md.Tensor(np.full(shape, value, np.float32), requires_grad=True) for value in (1.0, 0.99, 0.01)]


def training(layers: int) -> tuple[Callable[[], Any], md.Tensor]:
    """A step of a network with so many hidden layers; and its input."""
    with md.using("numpy"):
        model = md.models.mlp((8, *[8] * layers, 4))
    optimizer = md.optim.SGD(model, lr=0.1)
    x, labels = np.ones((5, 8), np.float32), np.zeros(5, np.int64)

    def step() -> float:
        loss = F.cross_entropy(model(md.Tensor(x)), labels)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        return loss.item()

    return step, md.Tensor(x)


# ---- calls


def test_a_forward_is_four_calls_an_op() -> None:
    x, a, b = leaves(8)
    found = calls(lambda: x * a + b)
    assert found == {
        "tensors/tensor.py Tensor.__mul__": 1,
        "tensors/tensor.py Tensor.__add__": 1,
        "autograd/function.py Function.__call__": 2,
        "fast/call.py _call_of_two": 2,
        "functional/arithmetic.py Mul.forward": 1,
        "functional/arithmetic.py Add.forward": 1,
        "autograd/writes.py Stretch.begin": 1,  # these two once a graph, not once an op
        "autograd/writes.py Stretch.__init__": 1,
    }


def test_a_forward_that_is_not_recorded_is_four() -> None:
    x, a, _ = leaves(8)
    with md.no_grad():
        assert calls(lambda: x * a).total() == 4


def test_an_array_on_the_left_costs_one_further_call() -> None:
    """NumPy asks for minidl's function, where the operator of a Tensor makes the op itself."""
    x = leaves(8)[0]
    array = np.ones(8, np.float32)
    assert calls(lambda: array * x).total() == calls(lambda: x * array).total() + 1


def test_a_backward_is_one_call_an_op() -> None:
    """The op's `backward`. The rest is the same for every walk."""
    x, a, b = leaves(8)

    def walk(ops: int) -> Callable[[], Any]:
        y = x
        for _ in range(ops):
            y = y * a + b
        return lambda: y.sum().backward(retain_graph=True)

    more = calls(walk(11)) - calls(walk(1))
    assert more == {"fast/cpu/arithmetic.py Mul.backward": 10, "functional/arithmetic.py Add.backward": 10}


def test_a_dense_layer() -> None:
    """Alone it is most of its walk: its version is chosen, a graph begun, and each leaf's gradient delivered."""
    x, weight, bias = leaves(8, 8)[0], leaves(8, 8)[1], leaves(8)[2]
    assert calls(lambda: F.linear(x, weight, bias)).total() <= 7
    grad = md.Tensor(np.ones((8, 8), np.float32))
    y = F.linear(x, weight, bias)
    assert calls(lambda: y.backward(grad, retain_graph=True)).total() <= 34


def test_a_training_step_costs_a_hidden_layer_so_much() -> None:
    """A dense layer with its sigmoid: forward, backward and update."""
    few, many = calls(training(1)[0]), calls(training(11)[0])
    assert (many - few).total() <= 10 * 21
    assert few.total() <= 107


def test_an_optimizer_calls_nothing_for_a_parameter() -> None:
    """What a step of plain SGD calls is the same for 3 and for 30 parameters, but for a count of each one's writes."""

    def step(parameters: int) -> Callable[[], Any]:
        params = [md.Tensor(np.ones(4, np.float32), requires_grad=True) for _ in range(parameters)]
        optimizer = md.optim.SGD(params, lr=0.1)

        def action() -> None:
            for p in params:
                p._grad = p.wrap(np.ones(4, np.float32))
            optimizer.step()

        return action

    more = calls(step(30)) - calls(step(3))
    assert more == {"autograd/variable.py Variable.wrap": 27, "autograd/writes.py WriteCount.__init__": 27}


@pytest.mark.parametrize(
    "room",
    [
        "autograd/hooks.py",
        "nn/hooks.py",
        "autograd/diagnosis.py",
        "autograd/modes.py",
        "observe/",
        "tensors/in_place.py",
    ],
)
def test_what_is_off_is_not_called(room: str) -> None:
    assert not [name for name in calls(training(2)[0]) if name.startswith(room)]


def test_in_the_walk_counts_of_writes_are_not_called_either() -> None:
    """Writes are counted by the one who writes; who reads compares numbers."""
    x, a, b = leaves(8)
    y = (x * a + b).sum()
    found = calls(lambda: y.backward(retain_graph=True))
    assert [name for name in found if name.startswith("autograd/writes.py")] == ["autograd/writes.py Stretch.end"]


# ---- objects for the collector


def objects_left(action: Callable[[], Any], times: int = 100) -> float:
    """How many objects that the collector looks at remain of an action whose result is kept."""
    action()
    results: list[Any] = [None] * times
    gc.collect()
    gc.disable()
    try:
        before = len(gc.get_objects())
        for i in range(times):
            results[i] = action()
        gc.collect()  # what stays tracked: no tuples of plain numbers
        return (len(gc.get_objects()) - before) / times
    finally:
        gc.enable()


def test_a_recorded_op_leaves_a_node_its_inputs_and_its_result() -> None:
    x, a, b = leaves(8)
    assert objects_left(lambda: x * a) <= 3.05
    assert objects_left(lambda: x * a + b) <= 5.05  # of the product its Tensor is gone
    with md.no_grad():
        assert objects_left(lambda: x * a + b) <= 1.05


def test_a_backward_leaves_nothing_but_gradients() -> None:
    def action() -> list[md.Tensor | None]:
        x, a, b = leaves(8)
        (x * a + b).sum().backward()
        return [x.grad, a.grad, b.grad]

    assert objects_left(action) <= 4.05  # three Tensors and their list


def test_a_training_step_leaves_nothing() -> None:
    assert objects_left(training(3)[0]) <= 0.05
