"""`md.record()`: what is written on a tape, and that writing it changes nothing."""

from __future__ import annotations

import gc
import threading
import weakref
from collections.abc import Iterator
from contextlib import nullcontext
from typing import Any

import numpy as np
import pytest

import minidl as md
import minidl.functional as F
from minidl import nn
from minidl.autograd.hooks import after_backward, after_step, before_step
from minidl.autograd.modes import OBSERVED, mode
from minidl.stepper.events import Event
from minidl.stepper.tape import Tape
from tests.arrays import tensor


def said(tape: Tape) -> list[tuple[str, str]]:
    return [(event.phase, event.op.removeprefix("General")) for event in tape]  # labels on a device take the general op


def key(tape: Tape, event: Event) -> str:
    assert event.output is not None
    return tape.values[event.output].key


class Net(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.fc1 = nn.Linear(3, 4)
        self.fc2 = nn.Linear(4, 2)

    def forward(self, x: Any) -> Any:
        h = F.tanh(self.fc1(x))
        return self.fc2(h)


def train(steps: int, recorded: bool) -> dict[str, Any]:
    md.seed(0)
    model = Net()
    sgd = md.optim.SGD(model, lr=0.1, momentum=0.9, layer_rate=md.optim.LayerSpecific())
    x, labels = tensor(np.random.default_rng(0).standard_normal((5, 3)).astype(np.float32)), tensor(np.arange(5) % 2)
    with md.record() if recorded else nullcontext():
        for _ in range(steps):
            loss = F.cross_entropy(model(x), labels)
            sgd.zero_grad()
            loss.backward()
            sgd.step()
    return {name: p.numpy() for name, p in model.named_parameters()}


# ---- what is on it


def test_a_step_is_recorded_phase_by_phase() -> None:
    md.seed(0)
    model = Net()
    sgd = md.optim.SGD(model, lr=0.1)
    with md.record() as tape:
        loss = F.cross_entropy(model(tensor(np.ones((5, 3), np.float32))), tensor(np.arange(5) % 2))
        loss.backward()
        sgd.step()
    assert said(tape) == [
        ("forward", "Linear"),
        ("forward", "Tanh"),
        ("forward", "Linear"),
        ("loss", "CrossEntropy"),
        ("backward", "seed"),
        ("backward", "CrossEntropy"),
        ("backward", "Linear"),
        ("backward", "Tanh"),
        ("backward", "Linear"),
        *[("accumulate", "accumulate")] * 4,
        *[("update", "SGD")] * 4,
    ]
    assert [event.number for event in tape] == list(range(len(tape)))
    assert [tape.layer(event) for event in tape][:3] == ["fc1", "Net", "fc2"]
    assert tape.layers_of(tape[0]) == ["fc1", "Net"]


def test_values_are_called_what_the_program_calls_them() -> None:
    x, weights = tensor([1.0, 2.0], requires_grad=True), tensor([3.0, 4.0])
    with md.record() as tape:
        h = x * weights + 0.5
        loss = F.sum(h)
        loss.backward()
    assert [value.key for value in tape.values] == ["x", "weights", "mul", "0.5", "h", "loss"]
    assert [value.kind for value in tape.values] == ["leaf", "input", "result", "constant", "result", "result"]


def test_values_of_layers_are_called_by_their_place_and_no_key_comes_twice() -> None:
    model = Net()
    with md.record() as tape:
        for _ in range(2):
            model(tensor(np.ones((1, 3), np.float32)))
    keys = [value.key for value in tape.values]
    assert {"fc1.weight", "fc1.bias", "fc1.linear", "fc1.linear2", "h", "h2"} <= set(keys)
    assert len(set(keys)) == len(keys)


def test_numbers_of_every_event_are_those_of_the_program() -> None:
    x, w = tensor([[1.0, 2.0], [3.0, 4.0]], requires_grad=True), tensor([0.5, -1.0], requires_grad=True)
    with md.record() as tape:
        h = F.tanh(x * w)
        h.retain_grad()
        loss = F.mean(h * h)
        loss.backward()
    for name, t in [("h", h), ("loss", loss), ("x", x), ("w", w)]:
        kept = tape.content(name)
        assert kept is not None
        np.testing.assert_array_equal(kept.values, t.numpy())
    for name, t in [("h", h), ("x", x), ("w", w)]:
        gradient = tape.gradient(name)
        assert gradient.complete
        assert gradient.total is not None
        assert t.grad is not None
        np.testing.assert_array_equal(gradient.total.values, t.grad.numpy())


def test_addends_at_a_shared_value_and_their_sum() -> None:
    x = tensor([3.0], requires_grad=True)
    with md.record() as tape:
        (x * x + x).backward()
    came = tape.gradient("x").addends
    assert [addend.grad.values.item() for _, addend in came] == [1, 3, 3]
    assert [None if a.total is None else a.total.values.item() for _, a in came] == [None, 4, 7]
    product = next(event for event in tape if event.phase == "backward" and event.op == "Mul")
    assert [addend.input for addend in product.addends] == [0, 1]


def test_shapes_and_dtypes_before_an_addend_was_made_to_fit() -> None:
    x, b = tensor(np.ones((2, 3), np.float64), requires_grad=True), tensor(np.ones(3, np.float32), requires_grad=True)
    with md.record() as tape:
        F.sum(x + b).backward()
    added = next(event for event in tape if event.phase == "backward" and event.op == "Add")
    to_x, to_b = added.addends
    assert (to_x.shape_before, to_x.dtype_before) == (None, None)
    assert (to_b.shape_before, to_b.dtype_before) == ((2, 3), "float64")
    assert to_b.grad.shape == (3,)


@pytest.mark.parametrize("shape", [(), (0, 3), (1,), (2, 3)])
def test_arrays_of_every_shape(shape: tuple[int, ...]) -> None:
    x = tensor(np.ones(shape, np.float32), requires_grad=True)
    with md.record() as tape:
        F.sum(x * 2).backward()
    assert tape.gradient("x").total is not None
    assert tape.value("x").shape == shape


def test_what_runs_without_history_is_recorded_too() -> None:
    x = tensor([1.0, 2.0])
    with md.record() as tape:
        y = x * 2
        with md.no_grad():
            z = y + 1
        assert (z.numpy() == [3, 5]).all()
    assert said(tape) == [("forward", "Mul"), ("forward", "Add")]
    assert [event.grad_enabled for event in tape] == [True, False]
    assert tape[1].inputs[0] == tape[0].output


def test_an_update_says_by_which_rate() -> None:
    model = Net()
    sgd = md.optim.SGD(model, lr=0.1, layer_rate=md.optim.LayerSpecific(), weight_decay=0.01)
    sgd.scale("*bias", lr=2.0)
    with md.record() as tape:
        F.sum(model(tensor(np.ones((1, 3), np.float32)))).backward()
        before = model.fc1.bias.numpy().copy()
        sgd.step()
    update = next(e for e in tape.find(phase="update", layer="fc1") if key(tape, e) == "fc1.bias")
    report = sgd.layer_report()["fc1"]
    numbers = update.numbers
    assert (numbers["lr"], numbers["multiplier"], numbers["rate"]) == (0.1, report.multiplier, report.rate)
    assert (numbers["scale_lr"], numbers["weight_decay"], numbers["step"]) == (2.0, 0.01, 1)
    assert update.before is not None
    assert update.after is not None
    np.testing.assert_array_equal(update.before.values, before)
    np.testing.assert_array_equal(update.after.values, model.fc1.bias.numpy())
    kept = tape.content("fc1.bias", update.number - 1)
    assert kept is not None
    np.testing.assert_array_equal(kept.values, before)


def test_an_update_by_hand_is_an_update() -> None:
    w = tensor([1.0, 2.0], requires_grad=True)
    with md.record() as tape:
        F.sum(w * w).backward()
        with md.no_grad():
            w -= 0.1 * w.grad
    assert said(tape)[-3:] == [("update", "Mul"), ("update", "Sub"), ("update", "write")]
    last = tape[-1]
    assert last.after is not None
    np.testing.assert_array_equal(last.after.values, w.numpy())
    assert "w.grad" in [value.key for value in tape.values]


def test_each_update_by_hand_is_followed_by_what_it_wrote() -> None:
    w, b = tensor([1.0, 2.0], requires_grad=True), tensor([3.0], requires_grad=True)
    with md.record() as tape:
        for _ in range(2):
            F.sum(w * w + b).backward()
            with md.no_grad():
                for p in (w, b):
                    p -= 0.1 * p.grad
                    p.grad = None
    assert [e.op for e in tape.find(phase="update")] == ["Mul", "Sub", "write"] * 4
    writes = tape.find(op="write")
    assert [key(tape, e) for e in writes] == ["w", "b", "w", "b"]
    assert [tape.source(e)[2].strip() for e in writes if tape.source(e)] == ["p -= 0.1 * p.grad"] * 4
    kept = [(e.before.values.tolist(), e.after.values.tolist()) for e in writes if e.before and e.after]
    np.testing.assert_allclose(kept[1], [[3.0], [2.8]], rtol=1e-6)
    np.testing.assert_allclose(kept[2], [[0.8, 1.6], [0.64, 1.28]], rtol=1e-6)


def test_an_update_by_hand_is_there_though_its_weights_are_gone() -> None:
    def train() -> None:
        w = tensor([1.0, 2.0], requires_grad=True)
        F.sum(w * w).backward()
        w.data[...] -= 0.1 * w.grad.data

    with md.record() as tape:
        train()
    assert said(tape)[-1] == ("update", "write")


def test_a_write_through_the_raw_array_is_noticed_at_the_end() -> None:
    w = tensor([1.0, 2.0], requires_grad=True)
    with md.record() as tape:
        F.sum(w * w).backward()
        w.data[...] = 5
    assert said(tape)[-1] == ("update", "write")
    assert tape[-1].note == "written in place by the program"


def test_gradients_add_up_over_two_backwards() -> None:
    w = tensor([1.0], requires_grad=True)
    with md.record() as tape:
        for _ in range(2):
            F.sum(w * 3).backward()
    first, second = tape.find(phase="accumulate")
    assert first.before is None
    assert second.before is not None
    assert second.gradient is not None
    assert second.after is not None
    assert [k.values.item() for k in (second.before, second.gradient, second.after)] == [3, 3, 6]
    assert second.note.startswith("the .grad was not empty")
    gradient = tape.gradient("w", first.number)
    assert gradient.total is not None
    assert gradient.total.values.item() == 3


def test_a_second_backward_begins_anew() -> None:
    x = tensor([2.0], requires_grad=True)
    with md.record() as tape:
        loss = F.sum(x * x)
        loss.backward(retain_graph=True)
        loss.backward()
    seeds = [event.number for event in tape if event.op == "seed"]
    assert len(seeds) == 2
    assert tape.gradient("x", seeds[1]).total is None
    assert len(tape.gradient("x").addends) == 2


def test_a_scaled_loss_is_said() -> None:
    x = tensor([2.0], requires_grad=True)
    with md.record() as tape:
        loss = F.sum(x * x)
        (loss * 1024).backward()
    seed = next(event for event in tape if event.op == "seed")
    assert seed.numbers == {"scale": 1024}
    assert "multiplied by 1024" in seed.note


def test_hooks_that_change_a_gradient_are_seen() -> None:
    x = tensor([2.0], requires_grad=True)
    x.register_hook(lambda g: g * 10)
    with md.record() as tape:
        F.sum(x * 3).backward()
    (last,) = tape.find(phase="accumulate")
    assert last.after is not None
    assert last.after.values.item() == 30
    assert last.note == "a hook changed the gradient on its way"


def test_gradients_of_gradients() -> None:
    t = tensor(2.0, requires_grad=True)
    with md.record() as tape:
        slope = md.grad(t**3, t, create_graph=True)
        again = md.grad(slope, t)
        y = t * 2
    assert (again.item(), y.item()) == (12, 4)
    assert [event.op for event in tape if event.op == "seed"] == ["seed", "seed"]
    assert tape[-1].phase == "forward"
    total = tape.gradient("t").total
    assert total is not None
    assert total.values.item() == 12


def test_ops_of_your_own() -> None:
    class Cube(md.Function):
        saves_inputs = True

        def forward(self, x: Any) -> Any:
            return x**3

        def backward(self, grad_out: Any, x: Any) -> Any:
            return grad_out * 3 * x * x

    x = tensor([2.0], requires_grad=True)
    with md.record() as tape:
        Cube()(x).backward()
    assert said(tape)[:3] == [("loss", "Cube"), ("backward", "seed"), ("backward", "Cube")]
    total = tape.gradient("x").total
    assert total is not None
    assert total.values.item() == 12


def test_a_backward_of_a_forward_from_before_the_tape() -> None:
    x = tensor([2.0], requires_grad=True)
    loss = F.sum(F.exp(x * 2))
    with md.record() as tape:
        loss.backward()
    assert [e.op for e in tape] == ["seed", "Sum", "Exp", "Mul", "accumulate"]
    assert tape[1].note == "its forward ran before the tape began"
    assert tape[-1].after is not None
    np.testing.assert_array_equal(tape[-1].after.values, x.grad.numpy())


def test_the_settings_of_an_op() -> None:
    with md.record() as tape:
        F.sum(tensor(np.ones((2, 3))), axis=1, keepdims=True)
    assert tape[0].options == "axis=1, keepdims=True"


def test_an_error_is_noted_and_what_was_recorded_stays() -> None:
    x = tensor(np.ones((2, 3), np.float32))
    recording = md.record()
    with pytest.raises(md.ShapeError), recording:
        F.exp(x) @ x
    tape = recording.tape
    assert said(tape) == [("forward", "Exp")]
    assert tape[-1].note.startswith("then ShapeError: ")
    assert not mode.get() & OBSERVED


# ---- that it changes nothing


@pytest.mark.parametrize("plain", [False, True])
def test_weights_are_bit_equal_with_and_without(plain: bool) -> None:
    with md.plain() if plain else nullcontext():
        without, recorded = train(3, False), train(3, True)
    for name, w in without.items():
        np.testing.assert_array_equal(w, recorded[name])


def test_nothing_is_left_behind() -> None:
    hooks = [len(h) for h in (after_backward, before_step, after_step)]
    train(1, True)
    assert [len(h) for h in (after_backward, before_step, after_step)] == hooks
    assert not mode.get() & OBSERVED


def test_a_tape_keeps_no_tensor_alive() -> None:
    x = tensor(np.ones(3, np.float32), requires_grad=True)
    with md.record() as tape:
        h = F.exp(x)
        loss = F.sum(h)
        loss.backward()
    gone = [weakref.ref(t) for t in (x, h, loss)]
    del x, h, loss
    gc.collect()
    assert all(reference() is None for reference in gone)
    assert len(tape) == 6


@pytest.mark.gpu
def test_a_tape_of_a_device_holds_arrays_of_the_host() -> None:
    x = md.tensor(np.ones((2, 3), np.float32)).to("cupy")
    w = md.tensor(np.ones(3, np.float32)).to("cupy").detach().requires_grad_()
    with md.record() as tape:
        F.sum(F.relu(x * w)).backward()
    arrays = [kept for value in tape.values for _, kept in value.contents]
    arrays += [addend.grad for event in tape for addend in event.addends]
    assert arrays
    assert all(type(kept.values) is np.ndarray for kept in arrays)
    assert tape.value("x").device == "cupy"
    assert tape.program is not None
    assert all(type(array) is np.ndarray for array in tape.program.arrays.values())


def test_other_threads_are_not_recorded() -> None:
    with md.record() as tape:
        other = threading.Thread(target=lambda: F.exp(tensor([1.0])))
        other.start()
        other.join()
        F.exp(tensor([1.0]))
    assert said(tape) == [("forward", "Exp")]


def test_two_recordings_at_once() -> None:
    x = tensor([1.0], requires_grad=True)
    with md.record() as outer:
        y = F.exp(x)
        with md.record() as inner:
            y.backward()
        F.exp(x)
    assert [e.op for e in inner] == ["seed", "Exp", "accumulate"]
    assert [e.op for e in outer] == ["Exp", "seed", "Exp", "accumulate", "Exp"]


# ---- budgets


def test_a_full_tape_keeps_samples() -> None:
    x = tensor(np.ones(1000, np.float32))
    with md.record(budget=5000) as tape:
        for _ in range(3):
            x = F.exp(-x)
    sizes = [value.contents[0][1].values.size for value in tape.values]
    assert sizes[:2] == [1000, 1000]
    assert set(sizes[2:]) == {64}
    assert all(value.contents[0][1].size == 1000 for value in tape.values)


def test_elements_say_how_much_is_kept_of_an_array() -> None:
    with md.record(elements=10) as tape:
        F.exp(tensor(np.ones(1000, np.float32)))
    assert tape.values[0].contents[0][1].values.size == 10
    for arguments in ({"elements": 0}, {"budget": -1}, {"elements": 2.5}):
        with pytest.raises(ValueError, match="record: "):
            md.record(**arguments)  # type: ignore[arg-type]


def test_a_block_is_entered_once() -> None:
    recording = md.record()
    with pytest.raises(RuntimeError, match="nothing has been recorded yet"):
        recording.tape
    with recording:
        pass
    with pytest.raises(RuntimeError, match="has begun already"), recording:
        pass


# ---- live


def test_a_live_backward_waits_between_ops() -> None:
    x = tensor([1.0, 2.0], requires_grad=True)
    seen = []
    with md.record() as tape:
        loss = F.sum(F.exp(x * 2))
        for event in tape.live(loss):
            seen.append(event)
            if event.op == "Exp":
                assert x.grad is None
                F.exp(tensor([1.0]))  # the loop may compute something of its own
    assert [e.op for e in seen] == ["seed", "Sum", "Exp", "Mul", "accumulate"]
    assert x.grad is not None
    np.testing.assert_allclose(x.grad.numpy(), 2 * np.exp([2.0, 4.0]), rtol=1e-6)


def test_live_belongs_into_the_block() -> None:
    with md.record() as tape:
        pass
    events: Iterator[Event] = tape.live(tensor([1.0], requires_grad=True) * 2)
    with pytest.raises(md.GraphError, match="which has ended"):
        next(events)


def test_a_gradient_that_is_converted_for_its_leaf_is_no_hooks_doing() -> None:
    b = tensor(np.float32(3.0), requires_grad=True)
    with md.record() as tape:
        (F.sum(b * tensor(np.ones(2))) + b * b).backward()
    note = tape.find(phase="accumulate")[0].note
    assert note == "the gradient was converted from float64 to float32, the dtype of its leaf"
